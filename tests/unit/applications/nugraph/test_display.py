"""The event display shows hits in the colour of their class and counts those it hides."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from tests.unit.applications.nugraph.served import LABELS, NOTICE, answer, make_event

from naiad.applications.nugraph.display import event_display
from naiad.applications.nugraph.display_parts import PALETTE, class_colours
from naiad.applications.nugraph.events import Event
from naiad.applications.nugraph.heads import in_order
from naiad.applications.nugraph.labels import SEMANTIC_CLASSES
from naiad.applications.nugraph.results import NuGraph3Result
from naiad.applications.nugraph.simulate import simulate

pytestmark = pytest.mark.slow


def draw(event: Event, **options: object) -> Figure:
    result = NuGraph3Result.from_outputs(event, answer(event.arrays()), LABELS)
    return event_display(event, result, **options)


def texts(figure: Figure) -> list[str]:
    found = [text.get_text() for text in figure.texts]
    found += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    found += [text.get_text() for ax in figure.axes for text in ax.texts]
    return [text for text in found if text]


def dots(figure: Figure, panel: int) -> int:
    return sum(len(c.get_offsets()) for c in figure.axes[panel].collections)


def test_hits_are_on_their_plane_at_wire_and_time_in_the_colour_of_their_class() -> None:
    event = make_event([0, 1, 2, 2, 1, 0, 2, 2])
    figure = draw(event, zoom=False)
    assert [dots(figure, panel) for panel in range(3)] == [2, 2, 4]
    _, bright = figure.axes[2].collections
    at = {tuple(row): to_hex(c) for row, c in zip(*offsets_and_colours(bright), strict=True)}
    # Of the hits on plane y, 3 and 6 are filtered out; 2 and 7 (class 0) are signal.
    assert at == {(304, 1015): PALETTE[2].lower(), (314, 1052.5): PALETTE[0].lower()}


def offsets_and_colours(collection: object) -> tuple[object, object]:
    return np.asarray(collection.get_offsets()).tolist(), collection.get_facecolors()


def test_a_model_that_finds_particles_has_a_row_in_their_colours() -> None:
    event = make_event([0, 1, 2, 2, 1, 0, 2, 2])
    arrays = event.arrays()
    outputs = answer(arrays)
    for number, name in enumerate("uvy"):
        here = arrays["hit_table_hit_id"][arrays["hit_table_local_plane"] == number]
        outputs[f"i_{name}"] = (here % 3 - 1).astype(np.int32)
    labels = replace(LABELS, heads=in_order((*LABELS.heads, "particle")))
    result = NuGraph3Result.from_outputs(event, outputs, labels)
    figure = event_display(event, result, zoom=False)
    assert len(figure.axes) == 6
    assert "2 particles" in texts(figure)
    faint, bright = figure.axes[5].collections
    # Of the hits on plane y, 3 and 6 have no particle; 2 is of particle 1 and 7 of particle 0.
    assert len(faint.get_offsets()) == 2
    at = {tuple(row): to_hex(c) for row, c in zip(*offsets_and_colours(bright), strict=True)}
    assert at == {(304, 1015): PALETTE[1].lower(), (314, 1052.5): PALETTE[0].lower()}
    assert len(event_display(event, result, truth=True).axes) == 6


def test_larger_charge_is_a_larger_dot() -> None:
    faint, bright = draw(make_event([0] * 12), zoom=False).axes[0].collections
    for collection in (faint, bright):
        wires = np.asarray(collection.get_offsets())[:, 0]  # charge grows with the wire
        assert (np.diff(collection.get_sizes()[np.argsort(wires)]) > 0).all()


def test_the_picture_has_a_title_and_legends() -> None:
    shown = texts(draw(make_event([0, 1, 2, 1], event=42)))
    assert "Run 7, subrun 2, event 42" in shown
    assert NOTICE.capitalize() in shown
    facts = next(text for text in shown if "vertex" in text and "cm" in text)
    assert "vertex (4.0, 2.0, 3.0) cm" in facts
    assert "2 of 4 hits are signal" in facts
    assert "muon (1)" in shown
    assert "filtered out (2)" in shown


def test_without_a_notice_none_is_shown() -> None:
    event = make_event([0, 1, 2])
    labels = replace(LABELS, notice="")
    result = NuGraph3Result.from_outputs(event, answer(event.arrays()), labels)
    assert not any("simulated" in text for text in texts(event_display(event, result)))


def test_zooming_in_counts_the_hits_outside() -> None:
    (event,) = simulate(1, seed=5)
    figure = draw(event)
    for number, ax in enumerate(figure.axes):
        here = event.hits["local_plane"] == number
        wires, times = event.hits["local_wire"][here], event.hits["local_time"][here]
        (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
        inside = (wires >= left) & (wires <= right) & (times >= low) & (times <= high)
        notes = [text.get_text() for text in ax.texts if "outside" in text.get_text()]
        assert notes == ([f"{(~inside).sum()} hits outside"] if not inside.all() else [])
    assert not any("outside" in text for text in texts(draw(event, zoom=False)))


def test_wires_and_ticks_have_one_scale_in_centimetres() -> None:
    (event,) = simulate(1, seed=5)
    figure = draw(event)
    for ax in figure.axes:
        box = ax.get_window_extent()
        (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
        along = (right - left) * 0.3 / box.width
        assert along == pytest.approx((high - low) * 0.055 / box.height, rel=1e-6)


def test_the_truth_is_drawn_below_when_there_is_one() -> None:
    (event,) = simulate(1, seed=5)
    assert len(draw(event, truth=True).axes) == 6
    assert any("Truth" in text for text in texts(draw(event, truth=True)))
    assert len(draw(make_event([0, 1]), truth=True).axes) == 3


def test_the_vertex_is_marked_if_the_event_has_the_geometry() -> None:
    (event,) = simulate(1, seed=5)
    result = NuGraph3Result.from_outputs(event, answer(event.arrays()), LABELS)
    right = replace(result, values={**result.values, "vertex": event.truth.vertex})
    assert "vertex" in texts(event_display(event, right))
    assert "vertex" not in texts(draw(make_event([0, 1, 2])))
    away = np.array([256, -110, 1000], np.float32)
    far = replace(result, values={**result.values, "vertex": away})
    event_display(event, far)


@pytest.mark.parametrize(
    "planes", [[], [0], [1, 1], [0] * 5 + [2]], ids=["none", "one", "two", "a plane without"]
)
@pytest.mark.parametrize("zoom", [True, False])
def test_an_unusual_event_is_drawn(tmp_path: Path, planes: list[int], zoom: bool) -> None:
    path = tmp_path / "event.png"
    figure = draw(make_event(planes), path=path, zoom=zoom)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "no hits" in texts(figure)


def test_charge_of_zero_or_below_is_drawn() -> None:
    event = make_event([0, 1, 2] * 3)
    for charge in (0.0, -5.0):
        integral = np.full(9, charge, np.float32)
        figure = draw(replace(event, hits={**event.hits, "integral": integral}), zoom=True)
        assert sum(dots(figure, panel) for panel in range(3)) == 9


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_the_suffix_says_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"event{suffix}"
    draw(make_event([0, 1, 2]), path=path)
    assert path.stat().st_size > 1000


def test_pyplot_with_its_global_state_is_not_imported() -> None:
    code = (
        "import sys, naiad.applications.nugraph.display; print('matplotlib.pyplot' in sys.modules)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "False"


def test_each_class_has_its_own_colour() -> None:
    colours = class_colours(SEMANTIC_CLASSES)
    assert len(set(colours.values())) == len(SEMANTIC_CLASSES)


def test_without_zooming_in_the_hits_fill_the_panels() -> None:
    for event in simulate(3, seed=5):
        figure = draw(event, zoom=False)
        for number, ax in enumerate(figure.axes):
            here = event.hits["local_plane"] == number
            for values, (low, high) in (
                (event.hits["local_wire"][here], ax.get_xlim()),
                (event.hits["local_time"], ax.get_ylim()),
            ):
                assert low < values.min()
                assert values.max() < high
                # All but the margins, and room for a vertex nearby.
                assert np.ptp(values) > 0.75 * (high - low)
