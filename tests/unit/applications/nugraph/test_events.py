"""Event files: both layouts are read correctly, and written events are read back unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naiad.applications.nugraph.events import (
    HIT_COLUMNS,
    SPACEPOINT_COLUMNS,
    Event,
    Truth,
    open_events,
    write_events,
)
from naiad.applications.nugraph.schema import INPUTS
from naiad.core.schema import validate
from naiad.errors import InvalidInput

pytestmark = pytest.mark.filterwarnings("error")


def make_event(
    number: int, hits: int, spacepoints: int, *, truth: bool = True, position: bool = True
) -> Event:
    """Make a random event; the same numbers give the same event."""
    rng = np.random.default_rng((number, hits, spacepoints))
    hit_table = {
        "hit_id": rng.permutation(hits).astype(np.int32),
        "local_plane": rng.integers(0, 3, hits).astype(np.int32),
        "local_time": rng.uniform(0, 6400, hits).astype(np.float32),
        "local_wire": rng.integers(0, 2400, hits).astype(np.int32),
        "integral": rng.gamma(2.0, 70.0, hits).astype(np.float32),
        "rms": rng.gamma(9.0, 0.5, hits).astype(np.float32),
    }
    points = {"spacepoint_id": np.arange(spacepoints, dtype=np.int32)}
    for plane in "uvy":
        points[f"hit_id_{plane}"] = rng.integers(-1, max(hits, 1), spacepoints).astype(np.int32)
    if position:
        points["position"] = rng.normal(size=(spacepoints, 3)).astype(np.float32)
    event = Event(7010, 1705, 85251 + number, hit_table, points)
    if not truth:
        return event
    particles = int(rng.integers(0, 4))
    tables = {
        "event_table": {
            "is_cc": np.array([1], np.int32),
            "nu_pdg": np.array([-14], np.int32),
            "nu_vtx": rng.normal(size=(1, 3)).astype(np.float32),
        },
        "particle_table": {
            "g4_id": np.arange(1, particles + 1, dtype=np.int32),
            "category": rng.integers(0, 6, particles).astype(np.int32),
            "start_process": np.array([b"primary"] * particles, object),
        },
        "edep_table": {
            "hit_id": hit_table["hit_id"][: hits // 2],
            "g4_id": rng.integers(1, particles + 2, hits // 2).astype(np.int32),
            "energy": rng.gamma(2.0, 1.0, hits // 2).astype(np.float32),
        },
    }
    return Event(*event.id, hit_table, points, Truth.from_tables(hit_table["hit_id"], tables))


def assert_same(first: Event, second: Event) -> None:
    assert first.id == second.id
    tables = [(first.hits, second.hits), (first.spacepoints, second.spacepoints)]
    assert (first.truth is None) == (second.truth is None)
    if first.truth is not None and second.truth is not None:
        np.testing.assert_array_equal(first.truth.semantic, second.truth.semantic)
        np.testing.assert_array_equal(first.truth.vertex, second.truth.vertex)
        assert first.truth.event_class == second.truth.event_class
        assert first.truth.tables.keys() == second.truth.tables.keys()
        tables += [(first.truth.tables[k], second.truth.tables[k]) for k in first.truth.tables]
    for left, right in tables:
        assert left.keys() == right.keys()
        for name in left:
            assert left[name].dtype == right[name].dtype, name
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def write_pandas_fixed(
    path: Path, tables: dict[str, dict[str, np.ndarray]], index: np.ndarray | None = None
) -> None:
    """Write tables in the layout of ``DataFrame.to_hdf(format="fixed")``, with its attributes.

    ``index``: run, subrun and event per row of every table, stored as a MultiIndex.
    """
    with h5py.File(path, "w") as file:
        for name, columns in tables.items():
            group = file.create_group(name)
            rows = len(next(iter(columns.values())))
            by_dtype: dict[np.dtype, list[str]] = {}
            for column, values in columns.items():
                by_dtype.setdefault(values.dtype, []).append(column)
            group.attrs.update(pandas_type=b"frame", pandas_version=b"0.15.2", encoding=b"UTF-8")
            group.attrs.update(ndim=2, nblocks=len(by_dtype), axis0_variety=b"regular")
            _pandas_strings(group, "axis0", list(columns))
            if index is None:
                group.attrs["axis1_variety"] = b"regular"
                group["axis1"] = np.arange(rows)
            else:
                group.attrs.update(axis1_variety=b"multi", axis1_nlevels=3)
                for level, title in enumerate((b"run", b"subrun", b"event")):
                    values, codes = np.unique(index[:rows, level], return_inverse=True)
                    group[f"axis1_level{level}"] = values
                    group[f"axis1_level{level}"].attrs["name"] = title
                    group[f"axis1_label{level}"] = codes.astype(np.int8)
            for block, (dtype, names) in enumerate(by_dtype.items()):
                group.attrs[f"block{block}_items_variety"] = b"regular"
                _pandas_strings(group, f"block{block}_items", names)
                if rows == 0:
                    # pandas writes one dummy value, and the real shape (pickled) beside it.
                    group[f"block{block}_values"] = np.empty((1, 1))
                    group[f"block{block}_values"].attrs["value_type"] = str(dtype).encode()
                    group[f"block{block}_values"].attrs["shape"] = np.void(b"\x80\x04K\x03K\x00")
                else:
                    group[f"block{block}_values"] = np.stack([columns[n] for n in names], axis=1)
                    group[f"block{block}_values"].attrs["transposed"] = True


def _pandas_strings(group: h5py.Group, name: str, values: list[str]) -> None:
    group[name] = np.array([value.encode() for value in values])
    group[name].attrs.update(kind=b"string", name=b"N.", transposed=True)


def pandas_tables(events: Iterable[Event], *, ids: bool = False) -> dict:
    events = list(events)
    tables: dict[str, dict[str, np.ndarray]] = {}
    for name, columns, part in (
        ("hit_table", HIT_COLUMNS, "hits"),
        ("spacepoint_table", SPACEPOINT_COLUMNS, "spacepoints"),
    ):
        tables[name] = {c: np.concatenate([getattr(e, part)[c] for e in events]) for c in columns}
        if ids:
            lengths = [len(next(iter(getattr(e, part).values()))) for e in events]
            rows = np.repeat([e.id for e in events], lengths, axis=0)
            tables[name].update(run=rows[:, 0], subrun=rows[:, 1], event=rows[:, 2])
    return tables


@pytest.mark.parametrize("truth", [True, False])
def test_the_real_event_is_read_as_the_golden_inputs(shared_data: Path, truth: bool) -> None:
    golden = np.load(shared_data / "nugraph3" / "golden_small.npz")
    with open_events(shared_data / "nugraph3" / "event_small.h5", truth=truth) as file:
        assert len(file) == 1
        event = file[0]
    assert event.id == (7010, 1705, 85251)
    assert list(event.arrays()) == list(INPUTS)
    for name, array in event.arrays().items():
        assert array.dtype == golden[f"in_{name}"].dtype
        np.testing.assert_array_equal(array, golden[f"in_{name}"], err_msg=name)
    assert event.spacepoints["position"].shape == (72, 3)
    assert (event.truth is not None) == truth


def test_the_tpc_of_hits_is_read_and_written_where_it_is_known(
    shared_data: Path, tmp_path: Path
) -> None:
    with open_events(shared_data / "nugraph3" / "event_small.h5") as file:
        event = file[0]
    tpc = event.arrays(extra=True)["hit_table_tpc"]
    assert (tpc.dtype, tpc.shape) == (np.int32, (189,))
    moved = replace(event, hits={**event.hits, "tpc": tpc + 3})
    write_events(tmp_path / "events.h5", [moved])
    with open_events(tmp_path / "events.h5") as file:
        assert file[0].arrays(extra=True)["hit_table_tpc"].tolist() == [3] * 189
    without = make_event(0, 20, 5)
    assert without.arrays(extra=True).keys() == without.arrays().keys() == INPUTS.keys()


def test_the_truth_of_the_real_event_becomes_labels(shared_data: Path) -> None:
    with open_events(shared_data / "nugraph3" / "event_small.h5") as file:
        truth = file[0].truth
    assert truth is not None
    # 56 hits without truth, 91 of protons, 42 of neutron secondaries; a neutral current.
    assert np.bincount(truth.semantic + 1, minlength=8).tolist() == [56, 0, 0, 0, 91, 0, 0, 42]
    assert truth.event_class == 3
    np.testing.assert_allclose(truth.vertex, [11.827, -100.627, 311.013], atol=1e-3)


def test_the_model_accepts_the_arrays_of_an_event() -> None:
    event = make_event(0, 20, 5)
    assert validate(INPUTS, event.arrays()) == {"hits": 20, "spacepoints": 5, "requests": 1}


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=150),
    truth=st.booleans(),
    position=st.booleans(),
)
def test_written_events_are_read_back(
    tmp_path: Path, sizes: list[tuple[int, int]], truth: bool, position: bool
) -> None:
    events = [
        make_event(number, *size, truth=truth, position=position)
        for number, size in enumerate(sizes)
    ]
    path = tmp_path / "events.h5"
    assert write_events(path, iter(events)) == len(events)
    with open_events(path) as file:
        assert len(file) == len(events)
        for number, (event, read) in enumerate(zip(events, file, strict=True)):
            assert_same(event, read)
            assert_same(event, file[number])
    assert list(tmp_path.iterdir()) == [path]


def test_slices_are_views_of_the_file(tmp_path: Path) -> None:
    events = [make_event(number, number % 7, number % 3) for number in range(200)]
    write_events(tmp_path / "events.h5", events)
    with open_events(tmp_path / "events.h5") as file:
        part = file[150:20:-7]
        assert len(part) == len(range(150, 20, -7))
        assert part.ids.tolist() == [list(events[i].id) for i in range(150, 20, -7)]
        for i, event in zip(range(150, 20, -7), part, strict=True):
            assert_same(events[i], event)
        assert_same(file[-1], events[-1])
        assert_same(file[10:][5:6][0], events[15])
        with pytest.raises(IndexError):
            file[200]


def test_an_event_without_rows_in_a_table_has_no_entry_in_its_seq_cnt(tmp_path: Path) -> None:
    events = [make_event(0, 5, 2), make_event(1, 0, 0), make_event(2, 4, 0)]
    write_events(tmp_path / "events.h5", events)
    with h5py.File(tmp_path / "events.h5") as file:
        assert file["hit_table/event_id.seq_cnt"][()].tolist() == [[0, 5], [2, 4]]
        assert file["spacepoint_table/event_id.seq_cnt"][()].tolist() == [[0, 2]]
        assert file["event_table/event_id.seq_cnt"][()].tolist() == [[0, 1], [1, 1], [2, 1]]


@pytest.mark.parametrize("event_table", [True, False])
@pytest.mark.parametrize("seq_cnt", [True, False])
def test_events_are_found_by_counts_and_by_ids(
    tmp_path: Path, event_table: bool, seq_cnt: bool
) -> None:
    path = tmp_path / "events.h5"
    events = [make_event(n, n % 4, (n + 1) % 3, truth=False) for n in range(100)]
    write_events(path, events)
    with h5py.File(path, "r+") as file:
        if not event_table:
            del file["event_table"]
        if not seq_cnt:
            for table in file.values():
                del table["event_id.seq_cnt"]
    with open_events(path) as file:
        read = {event.id: event for event in file}
    expected = (
        events
        if event_table
        else [e for e in events if e.hits["rms"].size or e.spacepoints["hit_id_u"].size]
    )
    assert sorted(read) == [event.id for event in expected]
    for event in expected:
        assert_same(event, read[event.id])


def test_rows_of_an_event_need_not_be_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    events = [make_event(n, 6, 4, truth=False, position=False) for n in range(3)]
    order = np.random.default_rng(0).permutation(18)
    tables = pandas_tables(events, ids=True)
    tables["hit_table"] = {name: values[order] for name, values in tables["hit_table"].items()}
    write_pandas_fixed(path, tables)
    with open_events(path) as file:
        assert len(file) == 3
        for event in file:
            original = events[event.event - 85251]
            assert (
                np.sort(event.hits["local_time"]).tolist()
                == np.sort(original.hits["local_time"]).tolist()
            )
            rows = [r for r in order.tolist() if r // 6 == event.event - 85251]
            assert event.hits["hit_id"].tolist() == [original.hits["hit_id"][r % 6] for r in rows]


def test_a_pandas_file_of_one_event_is_read(tmp_path: Path) -> None:
    event = make_event(0, 30, 9, truth=False, position=False)
    write_pandas_fixed(tmp_path / "event.h5", pandas_tables([event]))
    with open_events(tmp_path / "event.h5") as file:
        assert len(file) == 1
        read = file[0]
    assert read.id == (0, 0, 0)
    assert_same(Event(*read.id, event.hits, event.spacepoints), read)


@pytest.mark.parametrize("counts", [True, False], ids=["counted", "a row per event"])
def test_events_without_names_are_numbered_by_position(tmp_path: Path, counts: bool) -> None:
    path = tmp_path / "events.h5"
    events = [make_event(n, n % 3, 2) for n in range(5)]
    write_events(path, events)
    with h5py.File(path, "r+") as file:
        for table in file.values():
            del table["event_id"]
        if not counts:
            del file["event_table/event_id.seq_cnt"]
    with open_events(path) as file:
        assert [event.id for event in file] == [(0, 0, n) for n in range(5)]
        for event, read in zip(events, file, strict=True):
            assert_same(Event(*read.id, event.hits, event.spacepoints, event.truth), read)


def test_events_that_only_some_tables_name_keep_their_names(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    events = [make_event(n, n % 3, 2, truth=False) for n in range(5)]
    write_events(path, events)
    with h5py.File(path, "r+") as file:
        del file["event_table"], file["spacepoint_table/event_id"]
    with open_events(path) as file:
        # Those of events 0 and 3 were in the tables without their hits.
        assert [event.event for event in file] == [0, 85252, 85253, 3, 85255]
        for event, read in zip(events, file, strict=True):
            assert_same(Event(*read.id, event.hits, event.spacepoints), read)


def test_a_pandas_file_without_runs_is_of_run_0(tmp_path: Path) -> None:
    events = [make_event(n, 5, 5, truth=False, position=False) for n in range(3)]
    tables = pandas_tables(events, ids=True)
    for table in tables.values():
        del table["run"], table["subrun"]
    write_pandas_fixed(tmp_path / "events.h5", tables)
    with open_events(tmp_path / "events.h5") as file:
        assert [event.id for event in file] == [(0, 0, event.event) for event in events]


@pytest.mark.parametrize("empty", ["hit_table", "spacepoint_table"])
def test_a_pandas_table_without_rows_is_read(tmp_path: Path, empty: str) -> None:
    event = make_event(0, 3, 3, truth=False, position=False)
    tables = pandas_tables([event])
    tables[empty] = {name: values[:0] for name, values in tables[empty].items()}
    write_pandas_fixed(tmp_path / "event.h5", tables)
    with open_events(tmp_path / "event.h5") as file:
        arrays = file[0].arrays()
    assert {a.shape for n, a in arrays.items() if n.startswith(empty)} == {(0,)}
    validate(INPUTS, arrays)


@pytest.mark.parametrize("index", [True, False])
def test_a_pandas_file_of_many_events_is_read(tmp_path: Path, index: bool) -> None:
    events = [make_event(n, 5, 5, truth=False, position=False) for n in range(70)]
    ids = np.repeat([event.id for event in events], 5, axis=0) if index else None
    write_pandas_fixed(tmp_path / "events.h5", pandas_tables(events, ids=not index), ids)
    with open_events(tmp_path / "events.h5") as file:
        assert len(file) == 70
        for event, read in zip(events, file, strict=True):
            assert_same(event, read)


def test_vectors_kept_as_single_columns_are_joined(tmp_path: Path) -> None:
    event = make_event(0, 8, 2)
    assert event.truth is not None
    tables = pandas_tables([event])
    vertex = event.truth.tables["event_table"]["nu_vtx"]
    tables["event_table"] = {
        "is_cc": np.array([1], np.int32),
        "nu_pdg": np.array([-14], np.int32),
        **{f"nu_vtx_{axis}": vertex[:, i] for i, axis in enumerate("xyz")},
    }
    for name in ("particle_table", "edep_table"):
        columns = event.truth.tables[name]
        tables[name] = {key: column for key, column in columns.items() if column.dtype != object}
    write_pandas_fixed(tmp_path / "event.h5", tables)
    with open_events(tmp_path / "event.h5") as file:
        truth = file[0].truth
    assert truth is not None
    np.testing.assert_array_equal(truth.vertex, event.truth.vertex)
    np.testing.assert_array_equal(truth.semantic, event.truth.semantic)


def test_identifiers_that_pandas_made_floats_are_whole_numbers_again(tmp_path: Path) -> None:
    event = make_event(0, 8, 2, truth=False, position=False)
    tables = pandas_tables([event])
    tables["spacepoint_table"]["hit_id_u"] = tables["spacepoint_table"]["hit_id_u"].astype(float)
    write_pandas_fixed(tmp_path / "event.h5", tables)
    with open_events(tmp_path / "event.h5") as file:
        assert file[0].spacepoints["hit_id_u"].dtype == np.int32
    tables["spacepoint_table"]["hit_id_u"][1] = np.nan
    write_pandas_fixed(tmp_path / "nan.h5", tables)
    with (
        open_events(tmp_path / "nan.h5") as file,
        pytest.raises(InvalidInput, match="spacepoint_table/hit_id_u has nan; it must be a whole"),
    ):
        file[0]


def test_a_file_that_is_missing_or_not_hdf5_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.h5: no such file"):
        open_events(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no events here")
    with pytest.raises(InvalidInput, match=r"text\.h5 is not an HDF5 file"):
        open_events(tmp_path / "text.h5")


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("hit_table", "has no table 'hit_table'.*this one has event_table, spacepoint_table"),
        ("spacepoint_table", "has no table 'spacepoint_table'"),
        ("hit_table/rms", "hit_table has no column 'rms'; it must have hit_id, .*; it has hit_id"),
        ("spacepoint_table/hit_id", "spacepoint_table has no column 'hit_id_u'"),
    ],
)
def test_a_missing_table_or_column_is_named(tmp_path: Path, remove: str, message: str) -> None:
    path = tmp_path / "events.h5"
    write_events(path, [make_event(0, 5, 5, truth=False)])
    with h5py.File(path, "r+") as file:
        del file[remove]
    with pytest.raises(InvalidInput, match=message):
        open_events(path)


def test_columns_of_different_length_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    write_events(path, [make_event(0, 5, 5, truth=False)])
    with h5py.File(path, "r+") as file:
        file["hit_table/rms"].resize(4, axis=0)
    with pytest.raises(InvalidInput, match="has 5 rows, but hit_table/rms has 4"):
        open_events(path)


def test_counts_that_do_not_fit_the_table_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    write_events(path, [make_event(0, 5, 5, truth=False)])
    with h5py.File(path, "r+") as file:
        file["hit_table/event_id.seq_cnt"][0] = (0, 6)
    with pytest.raises(InvalidInput, match="counts 6 rows; the table has 5"):
        open_events(path)
    with h5py.File(path, "r+") as file:
        file["hit_table/event_id.seq_cnt"][0] = (3, 5)
    with pytest.raises(InvalidInput, match="sequence number 3; event_table has 1 events"):
        open_events(path)


def test_rows_that_belong_to_no_event_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    write_events(path, [make_event(n, 5, 5, truth=False) for n in range(2)])
    with h5py.File(path, "r+") as file:
        del file["hit_table/event_id.seq_cnt"]
        file["hit_table/event_id"][7] = (1, 2, 3)
    with pytest.raises(InvalidInput, match="run 1, subrun 2, event 3, which event_table lacks"):
        open_events(path)
    with h5py.File(path, "r+") as file:
        del file["hit_table/event_id"]
    with pytest.raises(InvalidInput, match="hit_table has neither event_id nor"):
        open_events(path)


def test_pandas_other_format_is_refused_with_advice(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "event.h5", "w") as file:
        file["hit_table/table"] = np.zeros(3, [("index", "i8"), ("hit_id", "i4")])
    with pytest.raises(InvalidInput, match='write it with format="fixed"'):
        open_events(tmp_path / "event.h5")


def test_real_data_has_events_without_truth(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    write_events(path, [make_event(n, 5, 5) for n in range(3)])
    with h5py.File(path, "r+") as file:
        del file["particle_table/category"]
    with open_events(path) as file:
        assert not file.has_truth
        assert [event.truth for event in file] == [None] * 3


def test_events_of_one_file_have_the_same_columns(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    with pytest.raises(InvalidInput, match=r"event 1 .* has the columns"):
        write_events(path, [make_event(0, 5, 5), make_event(1, 5, 5, truth=False)])
    assert list(tmp_path.iterdir()) == []
    broken = make_event(0, 5, 5, truth=False)
    hits = {**broken.hits, "rms": broken.hits["rms"][:3]}
    with pytest.raises(InvalidInput, match="hit_table/rms has 3 rows, but hit_id has 5"):
        write_events(path, [Event(*broken.id, hits, broken.spacepoints)])


def test_writing_reports_its_progress(tmp_path: Path) -> None:
    told: list[int] = []
    events = (make_event(n, 1, 1, truth=False) for n in range(130))
    write_events(tmp_path / "events.h5", events, progress=told.append)
    assert told == [64, 128, 130]
