"""The terminal shows the values of the result."""

from __future__ import annotations

import io
from dataclasses import replace

from tests.unit.applications.nugraph.served import LABELS, answer, make_event

from naiad.applications.nugraph.report import Tally, print_result, print_stages, print_tally
from naiad.applications.nugraph.results import NuGraph3Result
from naiad.console import PlainConsole


def reconstruct(planes: list[int]) -> NuGraph3Result:
    event = make_event(planes, event=11)
    return NuGraph3Result.from_outputs(event, answer(event.arrays()), LABELS)


class Page(PlainConsole):
    def __init__(self) -> None:
        super().__init__(file=io.StringIO(), width=100)

    @property
    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.file.getvalue().splitlines() if line.strip()]


def test_a_result_has_class_vertex_and_hits_per_class_and_plane() -> None:
    page = Page()
    print_result(reconstruct([0, 1, 2, 2, 0]), console=page)
    assert ["run", "7,", "subrun", "2,", "event", "11"] in page.lines
    assert ["signal", "3", "of", "5", "hits"] in page.lines
    assert ["vertex", "x", "5.0", "y", "2.0", "z", "3.0", "cm"] in page.lines
    assert ["muon", "0", "1", "0", "1"] in page.lines
    assert ["kaon", "0", "0", "1", "1"] in page.lines
    assert ["filtered", "out", "1", "0", "1", "2"] in page.lines
    assert ["all", "2", "1", "2", "5"] in page.lines
    assert any(line[0] == "cc_numu" and "█" in line[1] for line in page.lines if len(line) > 2)


def test_unknown_hits_give_a_warning() -> None:
    page = Page()
    print_result(replace(reconstruct([0]), unknown_hits=4), console=page)
    warning = "hits named by spacepoints but not found on their plane: 4 (ignored)"
    assert any(warning in " ".join(line) for line in page.lines)
    calm = Page()
    print_result(replace(reconstruct([0]), unknown_hits=0), console=calm)
    assert not any("spacepoint" in " ".join(line) for line in calm.lines)


def test_an_event_without_hits_is_printed() -> None:
    page = Page()
    print_result(reconstruct([]), console=page)
    assert ["all", "0", "0", "0", "0"] in page.lines


def test_stages_are_in_milliseconds() -> None:
    page = Page()
    print_stages({"prepare": 0.0007, "forward": 0.006}, console=page)
    assert ["prepare", "0.70"] in page.lines
    assert ["sum", "6.70"] in page.lines


def test_many_events_are_added_up() -> None:
    page, tally = Page(), Tally()
    for planes in ([0, 1], [0, 1, 2], [2] * 1500):
        tally.add(reconstruct(planes))
    print_tally(tally, 0.5, console=page)
    assert ["3", "events", "in", "0.5", "s,", "6.0", "per", "second"] in page.lines
    assert ["all", "2", "2", "1,501", "1,505"] in page.lines
    assert ["nc", "█████████▍", "1"] in page.lines
