"""The two kinds of images, volumes and pictures: their files and their label maps.

Libraries are imported late, as the client and the command line need few of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from naiad.core.schema import Array
from naiad.errors import InvalidInput, PipelineError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from naiad.applications.medical.geometry import Forms
    from naiad.applications.medical.nifti import Volume

MAX_VOXEL_BYTES: Final = 1 << 30
"""Maximum size of a volume, uncompressed, in bytes."""
MAX_PICTURE_BYTES: Final = 20 << 20
"""Maximum size of a picture file, in bytes."""
MAX_PIXELS: Final = 50_000_000
"""Maximum pixels of a picture, read from its header before anything is decoded."""

# By number of channels: the modes of pictures that are read as they are; others become the first.
_MODES: Final = {1: ("L",), 2: ("LA",), 3: ("RGB",), 4: ("RGBA", "CMYK")}
_EXACT: Final = 2**24  # float32 has all integers below

Loaded: TypeAlias = "Volume | PILImage"
"""A volume or a picture in memory."""
LoadedT = TypeVar("LoadedT", bound=Loaded)


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of a scan's voxels or a picture's pixels.

    Attributes:
        shape: their numbers along each axis: ``x, y, z``, or width and height.
        affine: from their indices to millimetres, ``[4, 4]``; the identity for a picture.
        forms: geometric fields of the scan's file, for label maps that lie on it in any program.
        notes: contradictions in these, each with what was taken.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    forms: Forms | None = None
    notes: tuple[str, ...] = ()


class Kind(ABC, Generic[LoadedT]):
    """A kind of image.

    Attributes:
        name: noun for an image.
        axes: number of its axes in space.
        most_channels: maximum channels of a network's input.
        sizes: name of the tensor with the sizes of labels, of ``size_type`` in ``unit``.
        map_format: format of label maps, with values of ``label_types``.
        gzips: whether label maps may be gzipped.
        placed: whether a file says where in space it lies.
    """

    name: ClassVar[str]
    axes: ClassVar[int]
    most_channels: ClassVar[int]
    sizes: ClassVar[str]
    size_type: ClassVar[str]
    unit: ClassVar[str]
    map_format: ClassVar[str]
    label_types: ClassVar[Sequence[str]]
    gzips: ClassVar[bool]
    placed: ClassVar[bool]

    def __repr__(self) -> str:
        """Return its name."""
        return f"<{self.name}>"

    @abstractmethod
    def files(self, name: str, channel_names: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the files of an image, for a network with these channels."""

    @abstractmethod
    def read(self, files: Sequence[bytes], name: str, channels: int) -> list[LoadedT]:
        """Read an image from its files.

        Args:
            files: one for each name of :meth:`files`, or a NIfTI file with several volumes.
            name: name of their tensor, for messages.
            channels: number of the network's input channels.

        Raises:
            InvalidInput: a file cannot be read, or the files do not fit together; says why.
        """

    @abstractmethod
    def grid(self, loaded: LoadedT) -> Grid:
        """Return the grid of an image."""

    @abstractmethod
    def write(self, labels: Array, grid: Grid, *, compress: bool) -> bytes:
        """Encode a label map, ``[x, y, z]`` or ``[x, y]``; ``compress`` it if it :attr:`gzips`."""

    @abstractmethod
    def read_map(self, data: bytes, name: str) -> Array:
        """Decode a label map: ``[x, y, z]``, or ``[rows, columns]`` for a picture."""

    @abstractmethod
    def suffix(self, *, compress: bool) -> str:
        """Return the suffix of a label map's file."""

    @abstractmethod
    def measured(self, counts: NDArray[np.int64], grid: Grid) -> Array:
        """Convert numbers of voxels or pixels to :attr:`unit`."""

    @abstractmethod
    def said(self, size: float) -> str:
        """Return a size in words."""

    @abstractmethod
    def example(self, shape: Sequence[int], channels: int) -> list[bytes]:
        """Return the files of a ball, or disk, in noise."""

    def whole_numbers(self, maps: NDArray[np.float32]) -> Array:
        """Convert label maps to the smallest integers that programs read in :attr:`map_format`.

        Raises:
            PipelineError: a value is not a label, or is out of the format's range.
        """
        wrong = ~((maps == np.round(maps)) & (np.abs(maps) < _EXACT))
        if wrong.any():
            raise PipelineError(
                f"the bundle's postprocessing leaves {maps[wrong][0]:g} in its label map; it must "
                "end with integers: add AsDiscreted to postprocessing"
            )
        low, high = maps.min(), maps.max()
        limits = [np.iinfo(kind) for kind in self.label_types]
        for limit in limits:
            if limit.min <= low and high <= limit.max:
                return maps.astype(limit.dtype)
        raise PipelineError(
            f"the bundle's postprocessing leaves labels from {low:g} to {high:g}; "
            f"{self.map_format} has {limits[-1].min} to {limits[-1].max:,}"
        )


class VolumeKind(Kind["Volume"]):
    """CT and MR scans, as NIfTI files."""

    name = "volume"
    axes = 3
    most_channels = 1024
    sizes, size_type, unit = "volumes", "float64", "ml"
    map_format, label_types = "NIfTI", ("uint8", "int16", "int32")
    gzips = placed = True

    def files(self, name: str, channel_names: Sequence[str]) -> tuple[str, ...]:
        """Return a name for each channel."""
        return (name,) if len(channel_names) == 1 else tuple(channel_names)

    def read(self, files: Sequence[bytes], name: str, channels: int) -> list[Volume]:
        """Read the volumes of a scan, one per channel, all with the same grid."""
        from naiad.applications.medical.nifti import read, read_volumes

        if len(files) == 1 < channels:
            return read_volumes(files[0], name=f"{name}[0]", max_bytes=MAX_VOXEL_BYTES)
        volumes = [
            read(data, name=f"{name}[{number}]", max_bytes=MAX_VOXEL_BYTES)
            for number, data in enumerate(files)
        ]
        first = volumes[0]
        for number, volume in enumerate(volumes):
            if volume.shape != first.shape or not np.allclose(
                volume.affine, first.affine, atol=1e-3
            ):
                raise InvalidInput(
                    f"{name}[{number}] has {list(volume.shape)} voxels and {name}[0] "
                    f"{list(first.shape)}, or another affine; the files of one scan must have the "
                    "same grid: resample them"
                )
        return volumes

    def grid(self, loaded: Volume) -> Grid:
        """Return the file's grid."""
        return Grid(loaded.shape, loaded.affine, loaded.forms, loaded.notes)

    def write(self, labels: Array, grid: Grid, *, compress: bool) -> bytes:
        """Encode a NIfTI file with the scan's geometry."""
        from naiad.applications.medical.nifti import write

        voxels = np.asfortranarray(labels)
        return write(voxels, grid.affine, forms=grid.forms, compress=compress)

    def read_map(self, data: bytes, name: str) -> Array:
        """Return the voxels as stored."""
        from naiad.applications.medical.nifti import read

        return read(data, name=name).stored

    def suffix(self, *, compress: bool) -> str:
        """Return ``.nii.gz`` or ``.nii``."""
        return ".nii.gz" if compress else ".nii"

    def measured(self, counts: NDArray[np.int64], grid: Grid) -> Array:
        """Return millilitres."""
        return counts * (abs(np.linalg.det(grid.affine[:3, :3])) / 1000)

    def said(self, size: float) -> str:
        """Return a text such as ``61.1 ml``."""
        return f"{size:,.1f} ml"

    def example(self, shape: Sequence[int], channels: int) -> list[bytes]:
        """Return a NIfTI file for each channel."""
        from naiad.applications.medical.nifti import write

        rng = np.random.default_rng(0)
        ball = _ball(shape)
        return [
            write((ball + rng.integers(0, 50, ball.shape)).astype(np.int16), np.eye(4))
            for _ in range(channels)
        ]


class PictureKind(Kind["PILImage"]):
    """Photographs, as files in the formats of `naiad.image_formats`.

    As in MONAI's reader, their first axis is x, and the EXIF orientation is ignored.
    """

    name = "picture"
    axes = 2
    most_channels = max(_MODES)  # red, green, blue and opacity
    sizes, size_type, unit = "areas", "int64", "px"
    map_format, label_types = "PNG", ("uint8", "uint16")
    gzips = placed = False

    def files(self, name: str, channel_names: Sequence[str]) -> tuple[str, ...]:
        """Return one name, for all colours."""
        return (name,)

    def read(self, files: Sequence[bytes], name: str, channels: int) -> list[PILImage]:
        """Read the picture in the network's colours; keep 16 bits of grey for a grey network."""
        from naiad.images import decoding, eight_bits, is_grey_16

        (data,), place = files, f"{name}[0]"
        picture = _opened(data, place, MAX_PICTURE_BYTES)
        with decoding(picture, place):
            picture.load()
            modes = _MODES[channels]
            fits = picture.mode in modes or (channels == 1 and is_grey_16(picture))
            return [picture if fits else eight_bits(picture).convert(modes[0])]

    def grid(self, loaded: PILImage) -> Grid:
        """Return its pixels, of a millimetre each, as a picture has no scale."""
        return Grid(loaded.size, np.eye(4))

    def write(self, labels: Array, grid: Grid, *, compress: bool) -> bytes:
        """Encode a PNG file of 8 or 16 bits of grey."""
        from PIL import Image

        file = BytesIO()
        Image.fromarray(np.ascontiguousarray(labels.T)).save(file, "PNG")
        return file.getvalue()

    def read_map(self, data: bytes, name: str) -> Array:
        """Return the pixels in Pillow's order."""
        from naiad.images import decoding

        picture = _opened(data, name, 4 * MAX_PIXELS)  # noise takes up to 2 bytes per pixel
        with decoding(picture, name):
            return np.asarray(picture)

    def suffix(self, *, compress: bool) -> str:
        """Return ``.png``."""
        return ".png"

    def measured(self, counts: NDArray[np.int64], grid: Grid) -> Array:
        """Return pixels."""
        return counts

    def said(self, size: float) -> str:
        """Return a text such as ``1,234 px``."""
        return f"{size:,} px"

    def example(self, shape: Sequence[int], channels: int) -> list[bytes]:
        """Return a PNG file."""
        from PIL import Image

        noise = np.random.default_rng(0).integers(0, 50, shape)
        pixels = (_ball(shape) + noise).astype(np.uint8)
        file = BytesIO()
        Image.fromarray(pixels.T).convert(_MODES[channels][0]).save(file, "PNG")
        return [file.getvalue()]


VOLUME: Final = VolumeKind()
PICTURE: Final = PictureKind()
KINDS: Final[Sequence[Kind[Any]]] = (VOLUME, PICTURE)


def _opened(data: bytes, place: str, most_bytes: int) -> PILImage:
    from naiad.images import open_picture

    return open_picture(data, place, most_bytes=most_bytes, most_pixels=MAX_PIXELS)


def _ball(shape: Sequence[int]) -> Array:
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    distance = np.sum(np.square(axes), axis=0)
    return 200 * (distance < 0.5)
