"""Image files of a user's: which there are, and their bytes. Needs no image library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from naiad.errors import InvalidInput
from naiad.pipelines.image.schema import MAX_BYTES
from naiad.schema import Array

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})


def find_images(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are given, and the images in folders, by name, with those of folders below.

    Raises:
        InvalidInput: a folder has no image.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise InvalidInput(f"{path} has no image ({', '.join(sorted(SUFFIXES))})")
        yield from found


def read_image(path: Path) -> bytes:
    """The bytes of a file, which is not looked into.

    Raises:
        InvalidInput: it cannot be read, or is larger than the server takes.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InvalidInput(f"{path} has {size:,} bytes; the server takes {MAX_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error


def as_request(images: Iterable[bytes], top: int) -> dict[str, Array]:
    """The tensors of a request for the ``top`` best classes of each image."""
    return {"images": np.array([*images, None], object)[:-1], "top": np.array([top], np.int32)}


def read_requests(path: Path | str) -> Iterator[dict[str, Array]]:
    """A request for each image file at ``path``, a file or folder; errors as `read_image`."""
    for image in find_images([Path(path)]):
        yield as_request([read_image(image)], top=5)
