"""The two kinds of images, volumes and pictures: how files are read, and label maps written, read
and measured. Libraries are imported late: the client and the command line need few of them.
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

    from naiad.applications.medical.nifti import Volume

MAX_VOXEL_BYTES: Final = 1 << 30
"""The most that the voxels of one volume may occupy, uncompressed."""
MAX_PICTURE_BYTES: Final = 20 << 20
"""Largest picture file, in bytes."""
MAX_PIXELS: Final = 50_000_000
"""Most pixels of one picture, read from its header before anything is decoded."""

_MODES: Final = {1: "L", 3: "RGB"}
_EXACT: Final = 2**24  # float32 has all whole numbers below

Loaded: TypeAlias = "Volume | PILImage"
"""A volume or a picture in memory."""
LoadedT = TypeVar("LoadedT", bound=Loaded)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the voxels of a scan, or the pixels of a picture, lie.

    Attributes:
        shape: how many there are along each axis: ``x, y, z``, or width and height.
        affine: from their indices to millimetres, ``[4, 4]``; the identity, for a picture.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]


class Kind(ABC, Generic[LoadedT]):
    """A kind of image.

    Attributes:
        name: what one image is called.
        axes: how many there are in space.
        most_channels: that a network may take.
        sizes: the tensor that says how large labels are, of ``size_type`` in ``unit``.
        map_format: what label maps are written as, with ``label_types`` as their values.
        gzips: whether label maps may be gzipped or not.
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

    def __repr__(self) -> str:
        """Its name."""
        return f"<{self.name}>"

    @abstractmethod
    def files(self, name: str, channel_names: Sequence[str]) -> tuple[str, ...]:
        """What each file of one image is, where the network takes these channels."""

    @abstractmethod
    def read(self, files: Sequence[bytes], name: str, channels: int) -> list[LoadedT]:
        """The image in some files.

        Args:
            files: as many as :meth:`files` says.
            name: of the tensor that they came in, for messages.
            channels: that the network takes.

        Raises:
            InvalidInput: one cannot be read, or they do not go together; says why.
        """

    @abstractmethod
    def grid(self, loaded: LoadedT) -> Grid:
        """Its grid."""

    @abstractmethod
    def write(self, labels: Array, grid: Grid, *, compress: bool) -> bytes:
        """A label map, ``[x, y, z]`` or ``[x, y]``, as a file; ``compress`` if it :attr:`gzips`."""

    @abstractmethod
    def read_map(self, data: bytes, name: str) -> Array:
        """A label map that was written: ``[x, y, z]``, or of a picture ``[rows, columns]``."""

    @abstractmethod
    def suffix(self, *, compress: bool) -> str:
        """Of a label map's file."""

    @abstractmethod
    def measured(self, counts: NDArray[np.int64], grid: Grid) -> Array:
        """What so many voxels or pixels are in :attr:`unit`."""

    @abstractmethod
    def said(self, size: float) -> str:
        """A size in words."""

    @abstractmethod
    def example(self, shape: Sequence[int], channels: int) -> list[bytes]:
        """The files of a ball, or disk, in noise."""

    def whole_numbers(self, maps: NDArray[np.float32]) -> Array:
        """Label maps as the smallest integers that programs read in :attr:`map_format`.

        Raises:
            PipelineError: a value is no label, or none that the format has.
        """
        wrong = ~((maps == np.round(maps)) & (np.abs(maps) < _EXACT))
        if wrong.any():
            raise PipelineError(
                f"the bundle's postprocessing leaves {maps[wrong][0]:g} in its label map; it must "
                "end with whole numbers: add AsDiscreted to postprocessing"
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
    gzips = True

    def files(self, name: str, channel_names: Sequence[str]) -> tuple[str, ...]:
        """One for each channel."""
        return (name,) if len(channel_names) == 1 else tuple(channel_names)

    def read(self, files: Sequence[bytes], name: str, channels: int) -> list[Volume]:
        """The volumes of a scan, one per channel, all with the same grid."""
        from naiad.applications.medical.nifti import read

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
        """As the file says."""
        return Grid(loaded.shape, loaded.affine)

    def write(self, labels: Array, grid: Grid, *, compress: bool) -> bytes:
        """A NIfTI file with the scan's affine."""
        from naiad.applications.medical.nifti import write

        return write(np.asfortranarray(labels), grid.affine, compress=compress)

    def read_map(self, data: bytes, name: str) -> Array:
        """The voxels as they are stored."""
        from naiad.applications.medical.nifti import read

        return read(data, name=name).stored

    def suffix(self, *, compress: bool) -> str:
        """``.nii.gz`` or ``.nii``."""
        return ".nii.gz" if compress else ".nii"

    def measured(self, counts: NDArray[np.int64], grid: Grid) -> Array:
        """Millilitres."""
        return counts * (abs(np.linalg.det(grid.affine[:3, :3])) / 1000)

    def said(self, size: float) -> str:
        """Such as ``61.1 ml``."""
        return f"{size:,.1f} ml"

    def example(self, shape: Sequence[int], channels: int) -> list[bytes]:
        """A NIfTI file for each channel."""
        from naiad.applications.medical.nifti import write

        rng = np.random.default_rng(0)
        ball = _ball(shape)
        return [
            write((ball + rng.integers(0, 50, ball.shape)).astype(np.int16), np.eye(4))
            for _ in range(channels)
        ]


class PictureKind(Kind["PILImage"]):
    """Photographs, as JPEG and PNG files. As MONAI's reader has them, their first axis is x, and
    what EXIF says of rotation is not looked at.
    """

    name = "picture"
    axes = 2
    most_channels = 4  # red, green, blue and opacity
    sizes, size_type, unit = "areas", "int64", "px"
    map_format, label_types = "PNG", ("uint8", "uint16")
    gzips = False

    def files(self, name: str, channel_names: Sequence[str]) -> tuple[str, ...]:
        """One with all colours."""
        return (name,)

    def read(self, files: Sequence[bytes], name: str, channels: int) -> list[PILImage]:
        """The one picture, in the colours that the network takes; 16 bits of grey stay if it takes
        grey.
        """
        from naiad.images import decoding, eight_bits, is_grey_16

        (data,), place = files, f"{name}[0]"
        picture = _opened(data, place, MAX_PICTURE_BYTES)
        with decoding(picture, place):
            picture.load()
            mode = _MODES.get(channels, picture.mode)
            fits = picture.mode == mode or (mode == "L" and is_grey_16(picture))
            return [picture if fits else eight_bits(picture).convert(mode)]

    def grid(self, loaded: PILImage) -> Grid:
        """Its pixels, a millimetre each: a picture has no other scale."""
        return Grid(loaded.size, np.eye(4))

    def write(self, labels: Array, grid: Grid, *, compress: bool) -> bytes:
        """A PNG file of 8 or 16 bits of grey."""
        from PIL import Image

        file = BytesIO()
        Image.fromarray(np.ascontiguousarray(labels.T)).save(file, "PNG")
        return file.getvalue()

    def read_map(self, data: bytes, name: str) -> Array:
        """The pixels as Pillow has them."""
        from naiad.images import decoding

        picture = _opened(data, name, 4 * MAX_PIXELS)  # up to 2 for each, where it is noise
        with decoding(picture, name):
            return np.asarray(picture)

    def suffix(self, *, compress: bool) -> str:
        """``.png``."""
        return ".png"

    def measured(self, counts: NDArray[np.int64], grid: Grid) -> Array:
        """Pixels."""
        return counts

    def said(self, size: float) -> str:
        """Such as ``1,234 px``."""
        return f"{size:,} px"

    def example(self, shape: Sequence[int], channels: int) -> list[bytes]:
        """A PNG file."""
        from PIL import Image

        noise = np.random.default_rng(0).integers(0, 50, shape)
        pixels = (_ball(shape) + noise).astype(np.uint8)
        file = BytesIO()
        Image.fromarray(pixels.T).convert(_MODES.get(channels, "L")).save(file, "PNG")
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
