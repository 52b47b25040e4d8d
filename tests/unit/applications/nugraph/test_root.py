"""ROOT files: results are written to a tree, and events read from one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.support.disk import file_size_limit
from tests.unit.applications.nugraph.served import LABELS, NOTICE, answer, make_event
from tests.unit.applications.nugraph.test_events import assert_same
from tests.unit.applications.nugraph.test_events import make_event as random_event

from naiad.applications.nugraph.events import Event, open_events, write_events
from naiad.applications.nugraph.heads import Labels
from naiad.applications.nugraph.labels import EVENT_CLASSES, SEMANTIC_CLASSES
from naiad.applications.nugraph.result_files import write_results
from naiad.applications.nugraph.results import NuGraph3Result
from naiad.applications.nugraph.root_results import RootWriter
from naiad.applications.nugraph.simulate import simulate
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.bulk.merging import read_provenance
from naiad.errors import InvalidInput, NaiadError

uproot = pytest.importorskip("uproot")
ak = pytest.importorskip("awkward")


def reconstruct(planes: list[int], labels: Labels = LABELS, **numbers: int) -> NuGraph3Result:
    event = make_event(planes, **numbers)
    return NuGraph3Result.from_outputs(event, answer(event.arrays()), labels)


def read(path: Path) -> Any:
    with uproot.open(path) as file:
        return file["events"].arrays(library="ak")


def test_results_are_a_tree_with_an_entry_per_event(tmp_path: Path) -> None:
    results = [reconstruct([0, 2], event=5), reconstruct([]), reconstruct([1, 1, 0], run=9)]
    events = read(write_results(results, tmp_path / "r.root"))
    table = pd.read_parquet(write_results(results, tmp_path / "r.parquet"))
    assert events["event"].tolist() == [5, 1, 1]
    assert events["nhits"].tolist() == [2, 0, 3]
    assert set(events.fields) == {*table.columns} - {"entry"} | {"nhits"}
    for name in events.fields:
        if name == "nhits":
            continue
        for entry, rows in table.groupby("entry"):
            column = (
                rows[name].cat.codes
                if isinstance(rows[name].dtype, pd.CategoricalDtype)
                else (rows[name])
            )
            of_event = events[name][entry]
            if isinstance(of_event, ak.Array):
                of_event = of_event.tolist()
                column = column[rows["hit_id"].notna()]
            np.testing.assert_array_equal(np.atleast_1d(of_event), column[: np.size(of_event)])


def test_branches_are_described_beside_the_tree(tmp_path: Path) -> None:
    path = write_results([reconstruct([0, 1])], tmp_path / "r.root")
    with uproot.open(path) as file:
        about = json.loads(str(file["about"]))
        columns = {one["branch"]: one for one in json.loads(str(file["columns"]))}
        assert set(file["events"].keys()) == {*columns, "nhits"}
        assert file["events"].title == "NuGraph3 results"
    assert about["notice"] == NOTICE
    assert about["semantic_classes"] == list(SEMANTIC_CLASSES)
    assert columns["time"] == {"branch": "time", "doc": "drift time of the hit", "unit": "tick"}
    assert columns["vertex_x"]["unit"] == "cm"
    assert columns["plane"]["classes"] == ["u", "v", "y"]
    assert columns["event_class"]["classes"] == list(EVENT_CLASSES)


def test_classes_without_names_have_branches_with_names_that_root_takes(tmp_path: Path) -> None:
    event = make_event([0, 1])
    result = NuGraph3Result.from_outputs(event, answer(event.arrays()), {})
    events = read(write_results([result], tmp_path / "r.root"))
    assert {"p_class_0", "p_event_class_3"} <= set(events.fields)


def test_results_are_written_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.applications.nugraph.result_blocks._HITS_PER_WRITE", 10)
    results = [reconstruct([0, 1, 2] * (n % 4), event=n) for n in range(30)]
    writer = RootWriter(NuGraph3Task(), tmp_path / "r.root", LABELS)
    for number, result in enumerate(results):
        writer.add("", None, result)
        assert number - 4 < writer.written <= number + 1
    writer.close()
    writer.close()
    assert writer.written == 30
    events = read(tmp_path / "r.root")
    assert events["event"].tolist() == list(range(30))
    assert ak.num(events["wire"]).tolist() == [3 * (n % 4) for n in range(30)]


def test_a_full_disk_gives_one_line_and_finished_results_are_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.applications.nugraph.result_blocks._HITS_PER_WRITE", 300)
    path, partial = tmp_path / "r.root", tmp_path / "r.partial.root"
    results = (reconstruct([n % 3] * 100, event=n) for n in range(200))
    with (
        file_size_limit(60_000),
        pytest.raises(NaiadError, match=f"{path} cannot be written: File too large") as caught,
    ):
        write_results(results, path)
    assert not path.exists()
    events = read(partial)
    assert 3 <= len(events) < 200
    assert events["event"].tolist() == list(range(len(events)))
    assert (events["wire"] == ak.Array([300 + 2 * np.arange(100)] * len(events))).to_list() == [
        [True] * 100
    ] * len(events)
    assert str(caught.value).endswith(f"the first {len(events)} results are in {partial}")


def test_results_of_different_models_do_not_share_a_file(tmp_path: Path) -> None:
    other = reconstruct([0], Labels(SEMANTIC_CLASSES, EVENT_CLASSES, "another notice"))
    with pytest.raises(NaiadError, match="another model"):
        write_results([reconstruct([0]), other], tmp_path / "r.root")
    parts = [
        write_results([one], tmp_path / f"{n}.root")
        for n, one in enumerate((other, reconstruct([])))
    ]
    with pytest.raises(NaiadError, match=r"1\.root has results of another model"):
        RootWriter.merge(None, parts, tmp_path / "merged.root", {})


def test_merged_parts_equal_a_single_file(tmp_path: Path) -> None:
    results = [reconstruct([0, 1, 2] * (n % 3), event=n) for n in range(9)]
    parts = [
        write_results(results[start:stop], tmp_path / f"part{start}.root")
        for start, stop in ((0, 1), (1, 6), (6, 9))
    ]
    merged = tmp_path / "merged.root"
    RootWriter.merge(None, parts, merged, {"naiad": "1.2.3"})
    assert read_provenance(merged) == {"naiad": "1.2.3"}
    assert read_provenance(parts[0]) is None
    assert read(merged).to_list() == read(write_results(results, tmp_path / "all.root")).to_list()


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("position", [True, False])
def test_events_are_written_and_read_back(tmp_path: Path, truth: bool, position: bool) -> None:
    path = tmp_path / "events.root"
    events = [
        random_event(n, n % 5, (n + 3) % 4, truth=truth, position=position) for n in range(300)
    ]
    assert write_events(path, events) == 300
    with open_events(path) as file:
        assert len(file) == 300
        assert file.has_truth is truth
        for event, got in zip(events, file, strict=True):
            same(event, got)
        same(events[-1], file[-1])
        assert [one.event for one in file[10:40:7]] == [e.event for e in events[10:40:7]]


def same(event: Event, got: Event) -> None:
    """Compare events, whose truth has no texts in ROOT."""
    if event.truth is not None and got.truth is not None:
        np.testing.assert_array_equal(got.truth.semantic, event.truth.semantic)
        np.testing.assert_array_equal(got.truth.vertex, event.truth.vertex)
        assert got.truth.event_class == event.truth.event_class
    assert (event.truth is None) == (got.truth is None)
    assert_same(
        Event(*event.id, event.hits, event.spacepoints),
        Event(*got.id, got.hits, got.spacepoints),
    )


def test_simulated_events_are_the_same_in_both_formats(tmp_path: Path) -> None:
    for name in ("a.h5", "a.root"):
        write_events(tmp_path / name, simulate(5, seed=3))
    with open_events(tmp_path / "a.h5") as first, open_events(tmp_path / "a.root") as second:
        for one, other in zip(first, second, strict=True):
            same(one, other)


def write_tree(path: Path, events: list[Event], name_of: Any, **values: Any) -> None:
    """Write hits and spacepoints as a user would, with branches named by table and column."""
    branches: dict[str, Any] = dict(values)
    for table in ("hits", "spacepoints"):
        for column in getattr(events[0], table):
            if column != "position":
                rows = ak.Array([getattr(event, table)[column] for event in events])
                branches[name_of(f"{table.removesuffix('s')}_table", column)] = rows
    with uproot.recreate(path) as file:
        file["notes"] = "another object"
        file.mktree("ana/other", {"hit_id": "int32"}).extend({"hit_id": np.arange(3)})
        tree = file.mktree(
            "ana/tree",
            {
                name: of.dtype if isinstance(of, np.ndarray) else of.type.content
                for name, of in branches.items()
            },
        )
        tree.extend(branches)


@pytest.mark.parametrize(
    "name_of",
    [
        lambda table, column: f"{table}_{column}",
        lambda table, column: f"{table}.{column}",
        lambda table, column: column,
    ],
    ids=["table_column", "table.column", "column"],
)
def test_a_tree_of_someone_else_s_is_read_and_numbered_by_position(
    tmp_path: Path, name_of: Any
) -> None:
    path = tmp_path / "events.root"
    events = [random_event(n, n + 1, n, truth=False, position=False) for n in range(6)]
    write_tree(path, events, name_of)
    with open_events(path) as file:
        assert [event.id for event in file] == [(0, 0, n) for n in range(6)]
        for event, got in zip(events, file, strict=True):
            assert_same(Event(*got.id, event.hits, event.spacepoints), got)
    write_tree(path, events, name_of, run=np.full(6, 3), event=10 * np.arange(6))
    with open_events(path) as file:
        assert [event.id for event in file] == [(3, 0, 10 * n) for n in range(6)]


def test_a_file_without_events_is_refused_with_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "events.root"
    path.write_text("no events here")
    with pytest.raises(InvalidInput, match=r"events\.root is not a ROOT file"):
        open_events(path)
    with uproot.recreate(path) as file:
        file.mktree("other", {"x": "int32"}).extend({"x": np.arange(3)})
    with pytest.raises(InvalidInput, match=r"hit_table_local_plane, .*; its trees are other"):
        open_events(path)
    events = [random_event(0, 5, 5, truth=False, position=False)]
    write_tree(path, events, lambda table, column: f"{table}_{column}".replace("hit_id_v", "w"))
    with pytest.raises(InvalidInput, match="spacepoint_table has no column 'hit_id_v'"):
        open_events(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.root"
    write_events(path, simulate(3, seed=1))
    whole = path.read_bytes()
    for size in (len(whole) // 2, 300, 20):
        path.write_bytes(whole[:size])
        with pytest.raises(InvalidInput, match="damaged"), open_events(path) as file:
            list(file)


def test_branches_of_different_length_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.root"
    event = random_event(0, 5, 5, truth=False, position=False)
    hits = {**event.hits, "rms": event.hits["rms"][:3]}
    write_tree(
        path,
        [Event(*event.id, hits, event.spacepoints)],
        lambda table, column: f"{table}_{column}",
    )
    with (
        open_events(path) as file,
        pytest.raises(InvalidInput, match=r"hit_table_rms has 3 rows in event 0, .* has 5"),
    ):
        file[0]


def test_without_uproot_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.root").touch()
    code = (
        "import sys; sys.modules['uproot'] = None\n"
        "from naiad.applications.nugraph.events import open_events\n"
        "from naiad.errors import MissingExtra\n"
        "try: open_events(sys.argv[1])\n"
        "except MissingExtra as error: print(error)\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "events.root"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "[root]" in printed.stdout
