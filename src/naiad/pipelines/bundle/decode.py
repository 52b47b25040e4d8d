"""From the files of a request to volumes and pictures in memory. Libraries are imported late: the
command line makes a bundle's class without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np

from naiad.errors import InvalidInput
from naiad.pipelines.bundle.metadata import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from naiad.nifti import Volume

MAX_VOXEL_BYTES: Final = 1 << 30
"""The most that the voxels of one volume may occupy, uncompressed."""
MAX_PICTURE_BYTES: Final = 20 << 20
"""Largest picture file, in bytes."""
MAX_PIXELS: Final = 50_000_000
"""Most pixels of one picture, read from its header before anything is decoded."""

_MODES: Final = {1: "L", 3: "RGB"}


def read_volumes(files: Sequence[bytes], image: Image) -> list[Volume]:
    """The volumes of a scan, one per channel.

    Raises:
        InvalidInput: one is no NIfTI volume, or they have different grids.
    """
    from naiad.nifti import read

    volumes = [
        read(data, name=f"{image.name}[{number}]", max_bytes=MAX_VOXEL_BYTES)
        for number, data in enumerate(files)
    ]
    first = volumes[0]
    for number, volume in enumerate(volumes):
        if volume.shape != first.shape or not np.allclose(volume.affine, first.affine, atol=1e-3):
            raise InvalidInput(
                f"{image.name}[{number}] has {list(volume.shape)} voxels and {image.name}[0] "
                f"{list(first.shape)}, or another affine; the files of one scan must have the same "
                "grid: resample them"
            )
    return volumes


def read_picture(files: Sequence[bytes], image: Image) -> list[PILImage]:
    """The one picture of a request, in the colours that the network takes.

    Raises:
        InvalidInput: it is no JPEG or PNG, is damaged or too large.
    """
    from naiad.pictures import decoding, open_picture

    (data,), place = files, f"{image.name}[0]"
    picture = open_picture(data, place, most_bytes=MAX_PICTURE_BYTES, most_pixels=MAX_PIXELS)
    with decoding(picture, place):
        picture.load()
        mode = _MODES.get(image.channels)
        if mode is not None and len(picture.getbands()) != image.channels:
            return [picture.convert(mode)]
    return [picture]


def example_files(image: Image) -> list[bytes]:
    """A ball, or disk, in noise, of a size that the network takes."""
    rng = np.random.default_rng(0)
    shape = image.example_shape()
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    ball = 200 * (sum(axis**2 for axis in axes) < 0.5)
    if image.flat:
        from PIL import Image as Pillow

        file = BytesIO()
        pixels = (ball + rng.integers(0, 50, shape)).astype(np.uint8)
        Pillow.fromarray(pixels.T).convert(_MODES.get(image.channels, "L")).save(file, "PNG")
        return [file.getvalue()]
    from naiad.nifti import write

    return [
        write((ball + rng.integers(0, 50, shape)).astype(np.int16), np.eye(4)) for _ in image.files
    ]
