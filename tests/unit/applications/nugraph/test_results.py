"""A result joins the served arrays with their hits, and survives a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tests.support.disk import file_size_limit
from tests.unit.applications.nugraph.served import LABELS, NOTICE, answer, make_event

from naiad.applications.nugraph.events import open_events
from naiad.applications.nugraph.labels import EVENT_CLASSES, SEMANTIC_CLASSES
from naiad.applications.nugraph.result_files import read_results, write_results
from naiad.applications.nugraph.results import FILTERED, Labels, NuGraph3Result
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.errors import NaiadError, PipelineError
from naiad.tasks.output import open_writer

SUFFIXES = [".h5", ".parquet"]


def reconstruct(planes: list[int], **numbers: int) -> NuGraph3Result:
    event = make_event(planes, **numbers)
    return NuGraph3Result.from_outputs(event, answer(event.arrays()), LABELS)


def assert_same(got: NuGraph3Result, expected: NuGraph3Result) -> None:
    assert (got.run, got.subrun, got.event) == (expected.run, expected.subrun, expected.event)
    assert got.labels == expected.labels
    assert got.unknown_hits == expected.unknown_hits
    assert got.event_probabilities == pytest.approx(expected.event_probabilities, abs=1e-7)
    np.testing.assert_array_equal(got.vertex, expected.vertex)
    pd.testing.assert_frame_equal(got.hits, expected.hits)


def test_each_hit_gets_the_row_of_its_plane_whatever_the_order_of_the_table() -> None:
    hits = reconstruct([2, 0, 1, 0, 2, 2, 1, 0, 0]).hits
    assert hits["hit_id"].tolist() == list(range(9))
    assert "".join(hits["plane"]) == "yuvuyyvuu"
    assert list(hits["semantic"]) == [SEMANTIC_CLASSES[i % 7] for i in range(9)]
    np.testing.assert_array_equal(hits["signal"], np.arange(9) % 3 != 0)


def test_probabilities_are_a_softmax() -> None:
    result = reconstruct([0, 1, 2, 2])
    columns = [f"p_{name}" for name in SEMANTIC_CLASSES]
    np.testing.assert_allclose(result.hits[columns].sum(axis=1), 1, rtol=1e-6)
    assert result.hits["p_pion"][0] == pytest.approx(np.exp(5) / (np.exp(5) + 6))
    scores = np.exp([0, 1, -1, 1])
    assert list(result.event_probabilities) == list(EVENT_CLASSES)
    assert list(result.event_probabilities.values()) == pytest.approx(scores / scores.sum())
    assert result.event_class == "cc_numu"


def test_scores_too_large_for_an_exponential_give_finite_probabilities() -> None:
    event = make_event([0])
    outputs = answer(event.arrays()) | {"e_evt": np.array([[1e4, -1e4, 0, 0]], np.float32)}
    result = NuGraph3Result.from_outputs(event, outputs, LABELS)
    assert result.event_probabilities["cc_nue"] == 1


def test_the_real_event_has_the_original_result(shared_data: Path) -> None:
    with open_events(shared_data / "nugraph3" / "event_small.h5") as events:
        event = events[0]
    with np.load(shared_data / "nugraph3" / "golden_small.npz") as golden:
        outputs = {name: golden[name] for name in golden if name[:2] in ("e_", "v_", "x_")}
    result = NuGraph3Result.from_outputs(event, outputs, LABELS)
    assert (result.run, result.subrun, result.event) == (7010, 1705, 85251)
    assert result.event_class == "nc"
    np.testing.assert_allclose(result.vertex, (8.4, -102.9, 309.5), atol=0.05)
    for plane in "uvy":
        on_plane = result.hits[result.hits["plane"] == plane]
        np.testing.assert_array_equal(on_plane["filter"], outputs[f"x_filter_{plane}"])
        best = outputs[f"x_semantic_{plane}"].argmax(axis=1)
        assert list(on_plane["semantic"]) == [SEMANTIC_CLASSES[i] for i in best]
    np.testing.assert_array_equal(result.hits["wire"], event.hits["local_wire"])


def test_counts_add_up_to_the_hits() -> None:
    result = reconstruct([0, 1, 2, 2, 0, 1, 1])
    counts = result.counts()
    assert list(counts.index) == [*SEMANTIC_CLASSES, FILTERED]
    assert list(counts.columns) == ["u", "v", "y"]
    assert counts.to_numpy().sum() == 7
    assert counts.loc[FILTERED].tolist() == [1, 1, 1]
    assert counts.loc["muon"].tolist() == [0, 1, 0]


def test_an_event_without_hits_has_a_result() -> None:
    result = reconstruct([])
    assert len(result.hits) == 0
    assert result.counts().to_numpy().sum() == 0
    assert result.event_class == "cc_numu"


@pytest.mark.parametrize("text", ["a,b, c", '["a", "b", "c"]'])
def test_labels_are_read_from_the_model_s_parameters(text: str) -> None:
    labels = Labels.from_metadata({"semantic_classes": text, "notice": NOTICE})
    assert labels == Labels(("a", "b", "c"), (), NOTICE)


def test_a_server_that_names_no_classes_still_gives_a_result() -> None:
    event = make_event([0, 1])
    result = NuGraph3Result.from_outputs(event, answer(event.arrays()), {})
    assert list(result.event_probabilities) == ["class 0", "class 1", "class 2", "class 3"]
    assert list(result.hits["semantic"]) == ["class 0", "class 1"]
    assert result.notice == ""


def test_outputs_of_another_event_are_refused() -> None:
    outputs = answer(make_event([0, 0, 1]).arrays())
    with pytest.raises(PipelineError, match=r"x_semantic_u has 2 rows .* with 1 hits on plane u"):
        NuGraph3Result.from_outputs(make_event([0, 1, 1]), outputs, LABELS)


def test_names_and_scores_of_different_number_are_refused() -> None:
    event = make_event([0])
    with pytest.raises(
        PipelineError, match=r"names 2 event classes \(cat, dog\), but has scores for 4"
    ):
        NuGraph3Result.from_outputs(event, answer(event.arrays()), {"event_classes": "cat,dog"})


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(st.lists(st.lists(st.integers(0, 2), max_size=9), min_size=1, max_size=5))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_written_results_are_read_back(
    tmp_path: Path, suffix: str, events: list[list[int]]
) -> None:
    results = [reconstruct(planes, event=n // 2, run=n) for n, planes in enumerate(events)]
    path = write_results(iter(results), tmp_path / f"results{suffix}", overwrite=True)
    read = list(read_results(path))
    assert len(read) == len(results)
    for got, expected in zip(read, results, strict=True):
        assert_same(got, expected)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_many_events_are_written_block_by_block(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.applications.nugraph.result_blocks._HITS_PER_WRITE", 10)
    monkeypatch.setattr("naiad.tasks.tables._ROWS", 10)
    # The same numbers twice in a row: still two events.
    results = [reconstruct([0, 1, 2] * (n % 4), event=n // 2) for n in range(30)]
    writer = open_writer(
        NuGraph3Task(), tmp_path / f"results{suffix}", LABELS, NuGraph3Task.Options()
    )
    for number, result in enumerate(results):
        writer.add("", None, result)
        # Only the last few events' rows may still be unwritten.
        assert number - 4 < writer.written <= number + 1
    writer.close()
    assert writer.written == 30
    read = list(read_results(tmp_path / f"results{suffix}"))
    assert [r.event for r in read] == [n // 2 for n in range(30)]
    for got, expected in zip(read, results, strict=True):
        assert_same(got, expected)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_added_before_an_exception_is_kept(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path, partial = tmp_path / f"results{suffix}", tmp_path / f"results.partial{suffix}"

    def one_and_then_trouble() -> Iterator[NuGraph3Result]:
        yield reconstruct([0, 1])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(one_and_then_trouble(), path)
    assert not path.exists()
    assert len(list(read_results(partial))) == 1
    assert f"the first 1 results are in {partial}" in capfd.readouterr().err


@pytest.mark.parametrize(("suffix", "size"), [(".h5", 76_000), (".parquet", 180_000)])
def test_a_full_disk_gives_one_line_and_finished_results_are_readable(
    tmp_path: Path, suffix: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.applications.nugraph.result_blocks._HITS_PER_WRITE", 300)
    monkeypatch.setattr("naiad.tasks.tables._ROWS", 300)
    results = [reconstruct([n % 3] * 100, event=n) for n in range(200)]
    path, partial = tmp_path / f"results{suffix}", tmp_path / f"results.partial{suffix}"
    with (
        file_size_limit(size),
        pytest.raises(NaiadError, match=f"{path} cannot be written: File too large") as caught,
    ):
        write_results(results, path)
    assert not path.exists()
    read = list(read_results(partial))
    assert 3 <= len(read) < 200
    assert str(caught.value).endswith(f"the first {len(read)} results are in {partial}")
    for got, expected in zip(read, results, strict=False):
        assert_same(got, expected)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".csv"])
def test_a_full_disk_leaves_no_file(tmp_path: Path, suffix: str) -> None:
    with file_size_limit(10), pytest.raises(NaiadError, match="cannot be written: File too large"):
        write_results([reconstruct([0, 1])], tmp_path / f"results{suffix}")
    assert not list(tmp_path.iterdir())


def test_parquet_is_a_plain_table_for_pandas(tmp_path: Path) -> None:
    path = write_results([reconstruct([0, 2], event=5), reconstruct([1])], tmp_path / "r.parquet")
    table = pd.read_parquet(path)
    assert table["event"].tolist() == [5, 5, 1]
    assert list(table["plane"]) == ["u", "y", "v"]
    assert list(table["event_class"]) == ["nc", "nc", "cc_numu"]
    assert {"p_muon", "p_event_nc", "vertex_x", "filter", "signal"} <= set(table.columns)


def test_hdf5_has_pynuml_s_layout(tmp_path: Path) -> None:
    path = write_results([reconstruct([]), reconstruct([1, 1], run=9)], tmp_path / "r.h5")
    with h5py.File(path) as file:
        assert file["hit_table/event_id.seq_cnt"][:].tolist() == [[1, 2]]
        assert file["hit_table/event_id"][:].tolist() == [[9, 2, 1], [9, 2, 1]]
        assert file["event_table/event_id"][:].tolist() == [[7, 2, 1], [9, 2, 1]]
        assert file["event_table/event_id.seq_cnt"][:].tolist() == [[0, 1], [1, 1]]
        assert file["hit_table/local_plane"].shape == (2, 1)
        assert file["hit_table/probability"].shape == (2, 7)
        assert list(file.attrs["semantic_classes"]) == list(SEMANTIC_CLASSES)
        assert file.attrs["notice"] == NOTICE


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_overwritten_only_on_request(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"results{suffix}"
    write_results([reconstruct([0])], path)
    with pytest.raises(NaiadError, match="exists"):
        write_results([reconstruct([0])], path)
    write_results([reconstruct([0], event=3)], path, overwrite=True)
    assert [r.event for r in read_results(path)] == [3]


def test_results_of_different_models_do_not_share_a_file(tmp_path: Path) -> None:
    event = make_event([0])
    other = NuGraph3Result.from_outputs(event, answer(event.arrays()), {})
    with pytest.raises(NaiadError, match="another model"):
        write_results([reconstruct([0]), other], tmp_path / "r.h5")


@pytest.mark.parametrize("name", ["r.txt", "r"])
def test_an_unknown_suffix_is_refused_with_those_that_are_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(NaiadError, match=r"\.h5, \.hdf5, \.root, \.csv, \.parquet"):
        write_results([reconstruct([0])], tmp_path / name)
    (tmp_path / "r").touch()
    with pytest.raises(NaiadError, match=r"must end in \.h5, \.hdf5, \.parquet or \.pq"):
        read_results(tmp_path / "r")


def test_csv_has_the_rows_of_parquet(tmp_path: Path) -> None:
    results = [reconstruct([0, 2], event=5), reconstruct([]), reconstruct([1])]
    text = pd.read_csv(write_results(results, tmp_path / "r.csv"))
    table = pd.read_parquet(write_results(results, tmp_path / "r.parquet"))
    assert list(text.columns) == list(table.columns)
    assert text["entry"].tolist() == [0, 0, 1, 2]
    assert text["plane"].tolist()[:2] == ["u", "y"]
    assert text.loc[2, ["hit_id", "plane", "filter"]].isna().all()
    np.testing.assert_allclose(text["filter"], table["filter"], rtol=1e-5)
    assert text["event_class"].tolist() == table["event_class"].tolist()


def test_columns_say_their_units(tmp_path: Path) -> None:
    schema = parquet.read_schema(write_results([reconstruct([0])], tmp_path / "r.parquet"))
    units = {
        field.name: field.metadata[b"unit"].decode()
        for field in schema
        if field.metadata and b"unit" in field.metadata
    }
    assert units == {
        "time": "tick",
        "integral": "ADC",
        "rms": "tick",
        **{f"vertex_{axis}": "cm" for axis in "xyz"},
    }
    assert all(field.metadata[b"doc"] for field in schema)


def test_hdf5_becomes_a_table_of_pandas_in_two_lines(tmp_path: Path) -> None:
    results = [reconstruct([0, 2], event=5), reconstruct([]), reconstruct([1])]
    path = write_results(results, tmp_path / "r.h5")
    with h5py.File(path) as file:
        columns = [c for c in file["hit_table"].values() if "columns" in c.attrs]
        hits = pd.concat([pd.DataFrame(c[:], columns=c.attrs["columns"]) for c in columns], axis=1)
    table = pd.read_parquet(as_parquet(path)).dropna(subset="hit_id").reset_index(drop=True)
    assert hits["event"].tolist() == [5, 5, 1]
    for name in ("run", "wire", "time", "filter", "p_muon"):
        np.testing.assert_array_equal(hits[name], table[name])
    assert [SEMANTIC_CLASSES[number] for number in hits["semantic"]] == list(table["semantic"])


def test_pynuml_reads_results(tmp_path: Path) -> None:
    """By the rules of pynuml.io.File, which needs MPI and so is not here."""
    results = [reconstruct([0, 2], event=5), reconstruct([]), reconstruct([1, 1, 0], event=3)]
    path = write_results(results, tmp_path / "r.h5")
    with h5py.File(path) as file:
        assert file["/event_table/event_id"].shape == (3, 3)  # the key by which it finds events
        for table in ("event_table", "hit_table"):
            group = file[table]
            keys = [name for name in group if name not in ("event_id.seq", "event_id.seq_cnt")]
            # add_group: columns have equal length; get_dataframe: [n, k], named by their number.
            assert len({group[name].shape[0] for name in keys}) == 1
            frames = []
            for name in keys:
                assert group[name].ndim == 2
                width = group[name].shape[1]
                names = [name] if width == 1 else [f"{name}_{n}" for n in range(width)]
                names = ["run", "subrun", "event"] if name == "event_id" else names
                frames.append(pd.DataFrame(group[name][:], columns=names))
            frame = pd.concat(frames, axis="columns").set_index(["run", "subrun", "event"])
            # read_data and build_evt: rows of event i, by binary search in unique rising numbers.
            counts = group["event_id.seq_cnt"][:]
            assert (np.diff(counts[:, 0]) > 0).all()
            for number, result in enumerate(results):
                low, high = np.searchsorted(counts[:, 0], [number, number + 1])
                start = counts[:low, 1].sum()
                rows = frame.iloc[start : start + counts[low:high, 1].sum()]
                assert len(rows) == (result.num_hits if table == "hit_table" else 1)
                assert set(rows.index) <= {(7, 2, result.event)}
                if table == "hit_table":
                    np.testing.assert_array_equal(rows["local_wire"], result.columns["wire"])


def as_parquet(path: Path) -> Path:
    """Write results of an HDF5 file as Parquet."""
    return write_results(read_results(path), path.with_suffix(".parquet"))


def test_a_server_that_names_no_classes_still_gives_a_table(tmp_path: Path) -> None:
    event = make_event([0, 1])
    result = NuGraph3Result.from_outputs(event, answer(event.arrays()), {})
    card = NuGraph3Task().card({})
    writer = open_writer(NuGraph3Task(), tmp_path / "r.parquet", card, NuGraph3Task.Options())
    writer.add("", None, result)
    writer.close()
    assert_same(next(read_results(tmp_path / "r.parquet")), result)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    (tmp_path / "text.h5").write_text("hello")
    for name, message in (
        ("a.parquet", "no NuGraph results"),
        ("text.parquet", "not a Parquet file"),
        ("text.h5", "not an HDF5 file"),
        ("none.h5", "no such file"),
    ):
        with pytest.raises(NaiadError, match=message):
            list(read_results(tmp_path / name))
