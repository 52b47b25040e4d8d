"""Merged parts equal a single file, however they were split."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tests.unit.applications.nugraph.served import make_event

from naiad.applications.nugraph.result_files import read_results, write_results
from naiad.applications.nugraph.results import Labels, NuGraph3Result
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.bulk.merging import read_provenance
from naiad.errors import NaiadError
from naiad.tasks.bulk import TaskBulk

BULK = TaskBulk(NuGraph3Task(), NuGraph3Task.Options())
LABELS = Labels(tuple("abcdefg"), tuple("wxyz"), "for tests")


def result(number: int, hits: int, labels: Labels = LABELS) -> NuGraph3Result:
    """Make a result with this number of hits, all of plane u."""
    import numpy as np

    rng = np.random.default_rng(number)
    planes = {"u": hits, "v": 0, "y": 0}
    outputs = {
        "e_evt": rng.normal(size=(1, 4)).astype("f4"),
        "v_evt": rng.normal(size=(1, 3)).astype("f4"),
        **{f"x_semantic_{p}": rng.normal(size=(n, 7)).astype("f4") for p, n in planes.items()},
        **{f"x_filter_{p}": rng.random(n).astype("f4") for p, n in planes.items()},
    }
    return NuGraph3Result.from_outputs(make_event([0] * hits, event=number), outputs, labels)


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
@given(parts=st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3), min_size=1, max_size=3))
@settings(max_examples=6)
def test_merging_is_the_inverse_of_cutting(suffix: str, parts: list[list[int]]) -> None:
    with TemporaryDirectory() as name:
        folder, number = Path(name), 0
        everything: list[NuGraph3Result] = []
        files: list[Path] = []
        for hits in parts:
            some = [result(number + i, count) for i, count in enumerate(hits)]
            number += len(some)
            everything += some
            files.append(write_results(some, folder / f"part{len(files)}{suffix}"))
        whole = write_results(everything, folder / f"whole{suffix}")
        merged = folder / f"merged{suffix}"
        BULK.merge(files, merged, {"naiad": "1.2.3", "servers": ["a", "b"]})
        assert read_provenance(merged) == {"naiad": "1.2.3", "servers": ["a", "b"]}
        assert read_provenance(whole) is None
        if suffix == ".h5":
            with h5py.File(whole) as one, h5py.File(merged) as other:
                for place in ("hit_table/local_time", "event_table/vertex"):
                    about = dict(one[place].attrs)
                    assert about["unit"]
                    assert repr(about) == repr(dict(other[place].attrs))
            assert contents(merged) == contents(whole)
        else:
            assert parquet.read_table(merged).equals(parquet.read_table(whole))
        events = [r.event for r in read_results(merged)]
        assert events == list(range(number))


def contents(path: Path) -> dict[str, list[object]]:
    with h5py.File(path) as file:
        return {
            f"{table}/{name}": column[:].tolist()
            for table, columns in file.items()
            for name, column in columns.items()
        }


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_results_of_two_models_do_not_get_into_one_file(tmp_path: Path, suffix: str) -> None:
    other = Labels(tuple("abcdefg"), tuple("wxyz"), "of other weights")
    files = [
        write_results([result(0, 2)], tmp_path / f"a{suffix}"),
        write_results([result(1, 2, other)], tmp_path / f"b{suffix}"),
    ]
    with pytest.raises(NaiadError, match="has results of another model"):
        BULK.merge(files, tmp_path / f"c{suffix}", {})


@pytest.mark.parametrize("name", ["a.h5", "a.parquet"])
def test_a_file_that_is_none_has_no_provenance(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("dear Lena")
    with pytest.raises(NaiadError, match=rf"{name} cannot be read"):
        read_provenance(tmp_path / name)
    assert issubclass(pa.ArrowInvalid, ValueError)
