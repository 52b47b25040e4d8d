"""``naiad infer|simulate|train nugraph3`` and ``naiad weights``, as a user runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from tests.unit.applications.nugraph.served import NOTICE, NuGraph3, make_event, nugraph3_server
from typer.testing import CliRunner, Result

from naiad.applications.nugraph.events import EventFile, open_events, write_events
from naiad.applications.nugraph.result_files import read_results
from naiad.applications.nugraph.simulate import simulate
from naiad.cli.main import app
from naiad.cli.verbs import parse_slice
from naiad.errors import InvalidInput, NaiadError, Unavailable


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def infer(file: Path, url: str, *arguments: str | Path) -> Result:
    return run("infer", "nugraph3", file, "--url", url, *arguments)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Write ten events, number i with i hits."""
    path = tmp_path / "events.h5"
    write_events(path, (make_event([n % 3] * n, event=n) for n in range(10)))
    return path


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        (None, range(10)),
        ("2:5", range(2, 5)),
        (":3", range(3)),
        ("7:", range(7, 10)),
        ("-2:", range(8, 10)),
        ("0:9:4", range(0, 9, 4)),
        ("4", range(4, 5)),
        ("-1", range(9, 10)),
        ("-3", range(7, 8)),
    ],
)
def test_events_are_chosen_as_in_python(text: str | None, chosen: range) -> None:
    assert range(10)[parse_slice(text, "events")] == chosen


@pytest.mark.parametrize("text", ["", "a", "1:b", "1:2:3:4", "1:5:-1", "1:5:0", "1.5"])
def test_an_invalid_slice_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="FIRST:STOP"):
        parse_slice(text, "events")


def test_a_few_events_are_printed_one_by_one(events: Path) -> None:
    with nugraph3_server() as (url, _):
        result = infer(events, url, "--events", "4:6")
    assert result.exit_code == 0, result.output
    assert "run 7, subrun 2, event 4" in result.output
    assert "run 7, subrun 2, event 5" in result.output
    assert NOTICE in result.output


def test_up_to_ten_events_have_a_line_each_and_a_summary(events: Path) -> None:
    with nugraph3_server() as (url, _):
        result = infer(events, url)
        more = infer(events, url, "--events", "5:")
        many = events.with_name("many.h5")
        write_events(many, (make_event([0], event=n) for n in range(11)))
        sums = infer(many, url)
    assert result.exit_code == more.exit_code == sums.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    for n in range(10):
        assert sum(line[:1] == [f"7/2/{n}"] for line in lines) == 1
    assert ["7/2/9", "cc_numu", "0.53", "9.0,", "2.0,", "3.0", "6", "9"] in lines
    assert "5 events in" in more.output
    assert "11 events in" in sums.output
    assert "7/2/" not in sums.output


def test_the_truth_is_compared_where_the_file_has_it(tmp_path: Path) -> None:
    path, real = tmp_path / "events.h5", tmp_path / "real.h5"
    write_events(path, simulate(5, seed=3))
    write_events(real, (make_event([0, 1, 2], event=n) for n in range(2)))
    with nugraph3_server() as (url, _):
        result = infer(path, url, real, "--truth")
        plain = infer(path, url)
        none = infer(real, url, "--truth")
    assert result.exit_code == 0, result.output
    assert "compared with the truth: 5 events; 2 without truth" in result.output
    for word in ("efficiency", "purity", "accuracy", "signal, by the filter", "michel", "cc_nutau"):
        assert word in result.output
        assert word not in plain.output or word in ("michel", "cc_nutau")
    assert "distance of the vertex: median" in result.output
    assert "no event has truth to compare with; 2 without truth" in none.output


def test_many_events_are_summed_up(events: Path) -> None:
    with nugraph3_server() as (url, served):
        result = infer(events, url, "--concurrency", "3")
    assert result.exit_code == 0, result.output
    assert "10 events in" in result.output
    assert len(served.requests) == 10
    assert NOTICE in result.output


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_results_are_written_in_the_order_of_the_file(events: Path, suffix: str) -> None:
    out = events.with_name(f"out{suffix}")
    with nugraph3_server() as (url, _):
        result = infer(events, url, "--output", out)
    assert result.exit_code == 0, result.output
    assert "wrote 10 events" in result.output
    read = list(read_results(out))
    assert [r.event for r in read] == list(range(10))
    assert [len(r.hits) for r in read] == list(range(10))


def test_each_event_is_drawn(events: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pictures"
    with nugraph3_server() as (url, _):
        result = infer(events, url, "--events", "0:2", "--plot", folder)
    assert result.exit_code == 0, result.output
    assert [p.name for p in sorted(folder.iterdir())] == ["00000-7-2-0.png", "00001-7-2-1.png"]


def test_a_refused_event_is_reported_and_the_others_go_on(events: Path) -> None:
    out = events.with_name("out.h5")
    with nugraph3_server(refuse=frozenset({3, 5})) as (url, _):
        result = infer(events, url, "-o", out)
    assert result.exit_code == 1
    assert "event 3 (run 7, subrun 2, event 3): event 3 is not to my taste" in result.output
    assert "2 of 10 events failed" in result.output
    assert [r.event for r in read_results(out)] == [0, 1, 2, 4, 6, 7, 8, 9]


def test_an_unreadable_event_is_reported_and_the_others_go_on(
    events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_of = EventFile._event

    def damaged(self: EventFile, number: int, column: Any) -> Any:
        if number == 2:
            raise OSError("unable to read the chunk")
        return event_of(self, number, column)

    monkeypatch.setattr(EventFile, "_event", damaged)
    out = events.with_name("out.h5")
    with nugraph3_server() as (url, _):
        result = infer(events, url, "-o", out)
    assert result.exit_code == 1
    assert "event 2 (run 7, subrun 2, event 2): unable to read the chunk" in result.output
    assert [r.event for r in read_results(out)] == [0, 1, 3, 4, 5, 6, 7, 8, 9]


def test_without_a_server_it_says_how_to_start_one(events: Path) -> None:
    result = infer(events, "127.0.0.1:9")
    assert isinstance(result.exception, Unavailable)
    assert "naiad serve nugraph3" in str(result.exception)
    assert "--local" in str(result.exception)


def test_a_server_that_goes_away_ends_the_command(
    events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer_one = NuGraph3.ModelInfer

    def leave(self: NuGraph3, request: Any, context: Any) -> Any:
        self.ready = len(self.requests) < 4
        return infer_one(self, request, context)

    monkeypatch.setattr(NuGraph3, "ModelInfer", leave)
    out = events.with_name("out.h5")
    with nugraph3_server() as (url, _):
        result = infer(events, url, "-o", out, "--concurrency", "1", "--timeout", "2")
    assert isinstance(result.exception, Unavailable)
    assert "is gone; 4 events got an answer" in str(result.exception)
    assert not out.exists()
    partial = out.with_name("out.partial.h5")
    assert f"the first 4 results are in {partial}" in result.output
    assert [r.event for r in read_results(partial)] == [0, 1, 2, 3]


def test_a_server_without_the_model_is_named_and_nothing_is_written(events: Path) -> None:
    out = events.with_name("out.h5")
    with nugraph3_server(name="other") as (url, _):
        result = infer(events, url, "-o", out)
    assert isinstance(result.exception, NaiadError)
    assert "other" in str(result.exception)
    assert not out.exists()


def test_strict_reaches_the_server(events: Path) -> None:
    with nugraph3_server() as (url, served):
        infer(events, url, "--events", "1", "--strict")
    assert served.requests[0].parameters["strict"].bool_param


@pytest.mark.slow
def test_existing_outputs_are_overwritten_only_when_told(events: Path, tmp_path: Path) -> None:
    out, pictures = tmp_path / "out.h5", tmp_path / "pictures"
    choice = ["--events", "1", "--plot", pictures]
    with nugraph3_server() as (url, served):
        assert infer(events, url, "-o", out, *choice).exit_code == 0
        for again in (["-o", out], choice):
            result = infer(events, url, *again)
            assert isinstance(result.exception, NaiadError)
            assert "exists; --force overwrites it" in str(result.exception)
        assert len(served.requests) == 1
        assert infer(events, url, "-o", out, *choice, "--force").exit_code == 0


def test_events_that_are_not_there_cannot_be_chosen(events: Path) -> None:
    with nugraph3_server() as (url, served):
        result = infer(events, url, "--events", "50:60")
    assert isinstance(result.exception, InvalidInput)
    assert "the inputs have none of the selected events" in str(result.exception)
    assert not served.requests


def test_an_unknown_format_is_refused_before_the_server_is_asked(events: Path) -> None:
    result = infer(events, "127.0.0.1:9", "-o", "results.txt")
    assert isinstance(result.exception, NaiadError)
    assert "results are written as .h5, .hdf5, .root, .csv, .parquet" in str(result.exception)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path: Path) -> None:
    result = infer(tmp_path / "none.h5", "127.0.0.1:9")
    assert isinstance(result.exception, InvalidInput)
    assert "no such file" in str(result.exception)


def test_weights_without_local_are_a_mistake(events: Path, tmp_path: Path) -> None:
    result = infer(events, "127.0.0.1:9", "--weights", tmp_path)
    assert result.exit_code == 2
    assert "--local" in result.output


def test_simulate_writes_the_same_events_for_the_same_seed(tmp_path: Path) -> None:
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path in paths:
        result = run("simulate", "nugraph3", "-n", "3", "-o", path, "--seed", "7")
        assert result.exit_code == 0, result.output
        assert "wrote 3 events" in result.output
    with open_events(paths[0]) as first, open_events(paths[1]) as second:
        for a, b, expected in zip(first, second, simulate(3, 7), strict=True):
            for name, array in expected.arrays().items():
                np.testing.assert_array_equal(a.arrays()[name], array)
                np.testing.assert_array_equal(b.arrays()[name], array)


def test_simulate_has_small_and_large_events(tmp_path: Path) -> None:
    path = tmp_path / "large.h5"
    assert run("simulate", "nugraph3", "-n", "1", "-o", path, "--size", "large").exit_code == 0
    with open_events(path) as file:
        (expected,) = simulate(1, 0, size="large")
        assert len(file[0].hits["hit_id"]) == len(expected.hits["hit_id"])
    assert run("simulate", "nugraph3", "-o", path, "--size", "huge").exit_code == 2


def test_simulate_overwrites_only_when_told(events: Path) -> None:
    before = events.read_bytes()
    result = run("simulate", "nugraph3", "-n", "2", "-o", events)
    assert isinstance(result.exception, NaiadError)
    assert "exists; --force overwrites it" in str(result.exception)
    assert events.read_bytes() == before
    assert run("simulate", "nugraph3", "-n", "2", "-o", events, "--force").exit_code == 0
    with open_events(events) as file:
        assert len(file) == 2


@pytest.mark.slow
def test_training_gives_weights_with_metrics(tmp_path: Path) -> None:
    events, weights = tmp_path / "events.h5", tmp_path / "weights"
    write_events(events, simulate(30, seed=1))
    arguments = ["train", "nugraph3", "--events", events, "--epochs", "1", "-o", weights]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert NOTICE in result.output
    for word in ("muon", "cc_numu", "recall", "precision", "vertex", "--weights"):
        assert word in result.output
    shown = run("weights", "show", weights)
    assert shown.exit_code == 0, shown.output
    assert NOTICE in shown.output
    assert "exists" in str(run(*arguments).exception)


def test_training_needs_truth(events: Path, tmp_path: Path) -> None:
    result = run("train", "nugraph3", "--events", events, "-o", tmp_path / "weights")
    assert isinstance(result.exception, InvalidInput)
    assert "truth" in str(result.exception)


def test_a_checkpoint_becomes_weights(shared_data: Path, tmp_path: Path) -> None:
    checkpoint, weights = shared_data / "nugraph3" / "hierarchical.ckpt", tmp_path / "weights"
    arguments = ["weights", "import", "nugraph3", checkpoint, "-o", weights]
    result = run(*arguments, "--notice", "a notice of mine")
    assert result.exit_code == 0, result.output
    shown = run("weights", "show", weights, "--tensors").output
    for words in ("a notice of mine", "295,818 numbers", "hierarchical.ckpt", "event_decoder"):
        assert words in shown
    assert "exists" in str(run(*arguments).exception)
    assert run(*arguments, "--force").exit_code == 0


def test_a_file_that_is_not_a_checkpoint_is_refused(events: Path, tmp_path: Path) -> None:
    result = run("weights", "import", "nugraph3", events, "-o", tmp_path / "weights")
    assert isinstance(result.exception, NaiadError)
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("command", ["infer", "simulate", "train", "weights import"])
def test_help_has_examples(command: str) -> None:
    result = run(*command.split(), "nugraph3", "--help")
    assert result.exit_code == 0
    assert f"naiad {command} nugraph3" in result.output
