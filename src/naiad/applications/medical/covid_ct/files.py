"""NIfTI files of a user's, as requests. Needs no library for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from naiad.applications.medical.covid_ct.schema import MAX_BYTES
from naiad.core.schema import Array
from naiad.files import find_files, read_file

SUFFIXES: Final = frozenset({".nii", ".nii.gz"})


def find_scans(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are given, and the scans in folders; errors as `naiad.files.find_files`."""
    return find_files(paths, SUFFIXES, "scan")


def read_scan(path: Path) -> bytes:
    """The bytes of a file; errors as `naiad.files.read_file`."""
    return read_file(path, MAX_BYTES)


def as_request(scans: Iterable[bytes]) -> dict[str, Array]:
    """The tensors of a request for some scans."""
    return {"INPUT0": np.array([*scans, None], object)[:-1, None]}


def read_requests(path: Path | str) -> Iterator[dict[str, Array]]:
    """A request for each scan at ``path``, a file or folder; errors as `find_scans`."""
    for scan in find_scans([Path(path)]):
        yield as_request([read_scan(scan)])
