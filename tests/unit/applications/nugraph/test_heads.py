"""A result has what the heads of its model give, and nothing of the others."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyarrow import parquet
from tests.unit.applications.nugraph.served import make_event

from naiad.applications.nugraph.display import event_display
from naiad.applications.nugraph.heads import (
    HEADS,
    NUGRAPH2_HEADS,
    NUGRAPH3_HEADS,
    Labels,
    in_order,
    output_tensors,
)
from naiad.applications.nugraph.report import Tally, print_result, print_tally
from naiad.applications.nugraph.result_columns import table_columns
from naiad.applications.nugraph.result_files import read_results, write_results
from naiad.applications.nugraph.results import NuGraphResult
from naiad.applications.nugraph.schema import PLANES
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.console import PlainConsole
from naiad.errors import PipelineError
from naiad.tasks.output import open_writer

SIZES = {"semantic": 5, "event": 3, "coordinates": 8}
ATTRIBUTES = {
    "semantic": "probabilities",
    "filter": "is_signal",
    "particle": "num_particles",
    "event": "event_class",
    "vertex": "vertex",
}
subsets = st.sets(st.sampled_from(list(HEADS)), min_size=1).map(in_order)


def outputs_of(heads: tuple[str, ...], planes: list[int], seed: int = 0) -> dict[str, NDArray[Any]]:
    """Return random outputs of a model with these heads for hits on these planes."""
    rng = np.random.default_rng(seed)
    outputs: dict[str, NDArray[Any]] = {}
    for name, tensor in output_tensors(heads, PLANES, SIZES).items():
        row, *width = tensor.dims
        columns = tuple(int(size) for size in width)
        rows = 1 if row == "requests" else planes.count(PLANES.index(name[-1]))
        values = rng.uniform(0, 1, (rows, *columns)) * (3 if tensor.dtype == "int32" else 1)
        outputs[name] = values.astype(tensor.dtype)
    return outputs


def labels_of(heads: tuple[str, ...]) -> Labels:
    return Labels(
        semantic=tuple("abcde") if "semantic" in heads else (),
        event=tuple("xyz") if "event" in heads else (),
        notice="mind",
        heads=heads,
        coordinates=8 if "coordinates" in heads else 0,
        title="NuGraph9",
    )


def reconstruct(heads: tuple[str, ...], planes: list[int], **numbers: int) -> NuGraphResult:
    event = make_event(planes, **numbers)
    return NuGraphResult.from_outputs(event, outputs_of(heads, planes), labels_of(heads))


@given(subsets, st.lists(st.integers(0, 2), max_size=9))
@settings(max_examples=40)
def test_a_result_has_the_parts_of_its_heads_only(
    heads: tuple[str, ...], planes: list[int]
) -> None:
    result = reconstruct(heads, planes)
    for head, attribute in ATTRIBUTES.items():
        assert hasattr(result, attribute) == (head in heads)
    outputs = outputs_of(heads, planes)
    for name in set(heads) & {"filter", "condensation", "coordinates", "particle", "position"}:
        for number, plane in enumerate(PLANES):
            here = result.columns["plane"] == number
            expected = outputs[f"{HEADS[name].output}_{plane}"]
            np.testing.assert_array_equal(result.values[name][here], expected)
    assert int(result.counts().to_numpy().sum()) == len(planes)
    assert repr(result).startswith("NuGraph9Result(7/2/1: ")


@given(subsets)
def test_the_declared_columns_are_those_of_the_table(heads: tuple[str, ...]) -> None:
    result = reconstruct(heads, [0, 1, 2, 2])
    declared = [column.name for column in table_columns(labels_of(heads))]
    hits = list(result.hits.columns)
    assert set(hits) <= set(declared)
    assert [name for name in declared if name in hits] == hits
    assert set(NuGraph3Task().rows(result)) == set(declared) - {"entry"}


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
@given(subsets, st.lists(st.lists(st.integers(0, 2), max_size=5), min_size=1, max_size=3))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_keep_the_parts(
    tmp_path: Path, suffix: str, heads: tuple[str, ...], events: list[list[int]]
) -> None:
    results = [reconstruct(heads, planes, event=n) for n, planes in enumerate(events)]
    path = tmp_path / f"results{suffix}"
    task = NuGraph3Task()
    writer = open_writer(task, path, labels_of(heads), task.Options())
    for result in results:
        writer.add("", None, result)
    writer.close()
    for got, expected in zip(read_results(path), results, strict=True):
        assert got.labels == expected.labels
        assert got.values.keys() == expected.values.keys()
        for name, values in expected.values.items():
            np.testing.assert_array_equal(got.values[name], values)
            assert got.values[name].dtype == values.dtype
        pd.testing.assert_frame_equal(got.hits, expected.hits)


@pytest.mark.parametrize("heads", [("semantic", "filter"), ("vertex",), ("filter", "particle")])
def test_a_report_and_a_picture_show_the_heads_there_are(heads: tuple[str, ...]) -> None:
    planes = [0, 1, 2, 2]
    result = reconstruct(heads, planes)
    for show in (print_result, print_many):
        page = PlainConsole(file=io.StringIO(), width=100)
        show(result, console=page)
        text = page.file.getvalue()  # type: ignore[attr-defined]
        assert ("filtered out" in text) == ("filter" in heads)
        if show is print_result:
            assert ("vertex" in text) == ("vertex" in heads)
            assert ("particles" in text) == ("particle" in heads)
    figure = event_display(make_event(planes), result)
    words = " ".join(text.get_text() for text in figure.texts)
    assert ("vertex" in words) == ("vertex" in heads)
    assert ("are signal" in words) == ("filter" in heads)


def print_many(result: NuGraphResult, *, console: PlainConsole) -> None:
    tally = Tally()
    tally.add(result)
    print_tally(tally, 1.0, console=console)
    assert "1 event in 1.0 s" in console.file.getvalue()  # type: ignore[attr-defined]


def test_heads_are_those_of_the_answer_if_the_server_names_none() -> None:
    planes = [0, 1]
    outputs = outputs_of(("semantic", "filter"), planes)
    assert NuGraphResult.from_outputs(make_event(planes), outputs, {}).labels.heads == (
        *("semantic", "filter"),
    )


def test_a_missing_output_is_named() -> None:
    planes = [0, 1]
    outputs = outputs_of(("semantic", "filter"), planes)
    with pytest.raises(PipelineError, match=r"no e_evt, which a model with the head 'event'"):
        NuGraphResult.from_outputs(make_event(planes), outputs, Labels((), ()))
    del outputs["x_filter_v"]
    with pytest.raises(PipelineError, match="no x_filter_v"):
        NuGraphResult.from_outputs(make_event(planes), outputs, {})


def test_labels_say_the_heads_that_the_server_names() -> None:
    labels = Labels.from_metadata(
        {"heads": "vertex, semantic,a head of the future", "instance_features": "3"}
    )
    assert labels.heads == ("semantic", "vertex")
    assert labels.names("coordinates") == ("0", "1", "2")


@pytest.mark.parametrize("heads", [NUGRAPH2_HEADS, NUGRAPH3_HEADS, tuple(HEADS)])
def test_datasets_of_hdf5_say_their_columns_units_and_classes(
    tmp_path: Path, heads: tuple[str, ...]
) -> None:
    result = reconstruct(heads, [0, 1, 2])
    path = write_results([result], tmp_path / "r.h5")
    table = write_results([result], tmp_path / "r.parquet")
    fields = {field.name: field for field in parquet.read_schema(table)}
    named: list[str] = []
    with h5py.File(path) as file:
        for table in ("event_table", "hit_table"):
            for name, dataset in file[table].items():
                about = dict(dataset.attrs)
                assert about["doc"], name
                if name == "event_id.seq_cnt":
                    continue
                assert len(about["columns"]) == dataset.shape[1]
                named += about["columns"].tolist()
                for column in about["columns"]:
                    unit = (fields[column].metadata or {}).get(b"unit", b"").decode()
                    assert about.get("unit", "") == unit, column
        assert list(file["hit_table/local_plane"].attrs["classes"]) == ["u", "v", "y"]
        assert list(file["hit_table/semantic"].attrs["classes"]) == list("abcde")
        if "vertex" in heads:
            assert file["event_table/vertex"].attrs["unit"] == "cm"
            assert file["event_table/vertex"].attrs["doc"] == "x, y, z of the vertex"
    # Those that follow from others, or from the place in the file, are left out.
    assert {*fields} - {*named} == {"entry", "signal"}
