"""HDF5 files of strangers must not name files of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from naiad.errors import InvalidInput
from naiad.hdf5_references import refuse_references


def external_storage(file: Any, secret: Path) -> None:
    file.create_dataset("a/raw", (6,), "u1", external=[(str(secret), 0, 6)])


def external_link(file: Any, secret: Path) -> None:
    file.create_group("a/b")["link"] = h5py.ExternalLink(str(secret), "/x")


def virtual(file: Any, secret: Path) -> None:
    layout = h5py.VirtualLayout((3,), "i8")
    layout[:] = h5py.VirtualSource(str(secret), "x", (3,))
    file.create_virtual_dataset("v", layout)


@pytest.mark.parametrize("refer", [external_storage, external_link, virtual])
@pytest.mark.parametrize("block", [0, 512, 2048])
def test_a_file_that_names_another_is_refused(
    tmp_path: Path, refer: Callable[[Any, Path], None], block: int
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    path = tmp_path / "sent.bin"  # HDF5 by its content, whatever its name
    with h5py.File(path, "w", userblock_size=block) as file:
        file["x"] = np.arange(3)
        refer(file, secret)
    with pytest.raises(InvalidInput, match="another file"):
        refuse_references(path)


def test_files_that_are_whole_pass(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        file["g/x"] = np.arange(3)
        file["soft"], file["g/hard"], file["g/loop"] = (
            h5py.SoftLink("/nowhere"),
            file["g/x"],
            file["g"],
        )
    refuse_references(path)
    other = tmp_path / "a.png"
    other.write_bytes(b"\x89PNG")
    refuse_references(other)
    refuse_references(tmp_path / "missing")
    refuse_references(tmp_path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InvalidInput, match="is not a readable HDF5 file"):
        refuse_references(path)
