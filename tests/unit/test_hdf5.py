"""A file of tables is on disk in its last committed state."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.disk import file_size_limit

from naiad.hdf5 import Hdf5Draft, Pages


def append(rows: int) -> Any:
    values = np.random.default_rng(rows).random((rows, 1))

    def change(file: h5py.File) -> None:
        for name in ("table/a", "table/b"):
            column = file.get(name)
            if column is None:
                column = file.create_dataset(
                    name, (0, 1), "f8", maxshape=(None, 1), chunks=(512, 1), compression="gzip"
                )
            column.resize(len(column) + rows, axis=0)
            column[-rows:] = values

    return change


def test_a_file_equals_h5pys_own(tmp_path: Path) -> None:
    with Hdf5Draft(tmp_path / "a.h5") as draft, h5py.File(tmp_path / "b.h5", "w") as plain:
        for rows in (700, 3, 5000):
            draft.commit(append(rows))
            append(rows)(plain)
    with h5py.File(tmp_path / "a.h5") as a, h5py.File(tmp_path / "b.h5") as b:
        for name in ("table/a", "table/b"):
            np.testing.assert_array_equal(a[name][:], b[name][:])


def test_a_full_disk_leaves_the_file_of_the_last_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    draft, commits = Hdf5Draft(path), 0

    def fill() -> None:
        nonlocal commits
        while True:
            draft.commit(append(700))
            commits += 1

    with file_size_limit(100_000):
        with pytest.raises(OSError, match="too large"):
            fill()
        size = path.stat().st_size
        draft.close()
    assert commits > 2
    assert path.stat().st_size == size < 100_000
    with h5py.File(path) as file:
        assert len(file["table/a"]) == len(file["table/b"]) == 700 * commits
        assert np.isfinite(file["table/b"][:]).all()


def test_the_process_ends_cleanly_after_a_full_disk(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from tests.support.disk import file_size_limit\n"
        "from tests.unit.test_hdf5 import append\n"
        "from naiad.hdf5 import Hdf5Draft\n"
        "with file_size_limit(50_000), Hdf5Draft(Path(sys.argv[1])) as draft:\n"
        "    for _ in range(100): draft.commit(append(700))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.h5"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.strip().endswith("OSError: [Errno 27] File too large")


def test_a_change_that_fails_half_way_is_not_committed(tmp_path: Path) -> None:
    def half(file: h5py.File) -> None:
        append(10)(file)
        raise KeyError("b")

    with Hdf5Draft(tmp_path / "a.h5") as draft:
        draft.commit(append(5))
        with pytest.raises(KeyError):
            draft.commit(half)
        with pytest.raises(ValueError, match="has failed"):
            draft.commit(append(5))
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file["table/a"]) == 5


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 300_000), st.binary(min_size=1, max_size=99)),
        st.tuples(st.just("write"), st.integers(0, 200_000), st.just(b"x" * 150_000)),
        st.tuples(st.just("read"), st.integers(0, 300_000), st.integers(1, 200_000)),
        st.tuples(st.just("commit"), st.none(), st.none()),
    ),
    max_size=12,
)


@given(OPERATIONS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_are_a_file(tmp_path: Path, operations: list[tuple[str, Any, Any]]) -> None:
    pages, model, kept = Pages(tmp_path / "a"), io.BytesIO(), b""
    for operation, at, what in operations:
        pages.seek(at or 0)
        model.seek(at or 0)
        if operation == "write":
            pages.write(what)
            model.write(what)
        elif operation == "read":
            buffer = bytearray(what)
            count = pages.readinto(buffer)
            assert bytes(buffer[:count]) == model.read(what)
        else:
            pages.commit()
            kept = model.getvalue()
        assert pages.seek(0, os.SEEK_END) == len(model.getvalue())
        assert (tmp_path / "a").read_bytes() == kept
    pages.close()
