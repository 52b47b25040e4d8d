"""Image files of a user's, as requests. Needs no image library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from naiad.applications.medical.mednist.schema import MAX_BYTES
from naiad.core.schema import Array
from naiad.files import find_files, read_file

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})


def find_images(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are given, and the images in folders; errors as `naiad.files.find_files`."""
    return find_files(paths, SUFFIXES, "image")


def read_image(path: Path) -> bytes:
    """The bytes of a file; errors as `naiad.files.read_file`."""
    return read_file(path, MAX_BYTES)


def as_request(images: Iterable[bytes]) -> dict[str, Array]:
    """The tensors of a request for some images."""
    return {"INPUT0": np.array([*images, None], object)[:-1, None]}


def read_requests(path: Path | str) -> Iterator[dict[str, Array]]:
    """A request for each image file at ``path``, a file or folder; errors as `find_images`."""
    for image in find_images([Path(path)]):
        yield as_request([read_image(image)])
