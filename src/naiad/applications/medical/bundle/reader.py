"""Readers by which a bundle's own ``LoadImaged`` reads volumes and pictures in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
from monai.data.image_reader import NibabelReader, PILReader
from monai.transforms.compose import Compose
from monai.transforms.io.array import LoadImage
from monai.transforms.io.dictionary import LoadImaged
from monai.utils.enums import MetaKeys
from nibabel.nifti1 import Nifti1Image
from PIL.Image import Image as PILImage

from naiad.applications.medical.bundle.kinds import PICTURE, VOLUME, Kind, Loaded
from naiad.applications.medical.nifti import Volume

_Y_FIRST: Final = np.eye(4)[[1, 0, 2, 3]]


class VolumeReader(NibabelReader):
    """A NIfTI reader whose file names are keys of ``volumes``.

    Everything after reading, such as the metadata for other transforms, is MONAI's own.
    """

    def __init__(self, volumes: Mapping[str, Volume], like: NibabelReader) -> None:
        """Read from ``volumes``, with the options of the reader ``like``."""
        channel_dim = cast(Any, like.channel_dim)  # NaN: no such axis
        super().__init__(channel_dim, like.as_closest_canonical, like.squeeze_non_spatial_dims)
        self._volumes = volumes

    def verify_suffix(self, filename: Sequence[Any] | Any) -> bool:
        """Return True: it reads all files."""
        return True

    def read(self, data: Sequence[Any] | Any, **kwargs: Any) -> Any:
        """Return the images of these names, as nibabel would load them from files."""
        self.filenames = _names(data)
        volumes = [self._volumes[name] for name in self.filenames]
        images = [Nifti1Image(volume.voxels(), volume.affine) for volume in volumes]
        return images if len(images) > 1 else images[0]


class PictureReader(PILReader):
    """A Pillow reader whose file names are keys of ``pictures``."""

    def __init__(self, pictures: Mapping[str, PILImage], like: PILReader) -> None:
        """Read from ``pictures``, with the options of the reader ``like``."""
        super().__init__(like.converter, like.reverse_indexing)
        self._pictures = pictures

    def verify_suffix(self, filename: Sequence[Any] | Any) -> bool:
        """Return True: it reads all files."""
        return True

    def read(self, data: Sequence[Any] | Any, **kwargs: Any) -> Any:
        """Return the picture of this name, as Pillow would open it."""
        (name,) = _names(data)
        picture = self._pictures[name]
        return self.converter(picture) if callable(self.converter) else picture

    def get_data(self, img: Any) -> tuple[Any, dict[str, Any]]:
        """Return pixels, and an affine that tells if their first axis is y."""
        array, meta = super().get_data(img)
        if not self.reverse_indexing:
            meta[MetaKeys.AFFINE] = _Y_FIRST.copy()
        return array, meta


_READERS: Final[Mapping[Kind[Any], Any]] = {
    VOLUME: (NibabelReader, VolumeReader),
    PICTURE: (PILReader, PictureReader),
}


def _names(data: Sequence[Any] | Any) -> tuple[str, ...]:
    return (data,) if isinstance(data, str) else tuple(map(str, data))


def transforms_in(transform: Any) -> Iterator[Any]:
    """Yield a transform, or all those of a (nested) ``Compose``."""
    if isinstance(transform, Compose):
        for inner in transform.transforms:
            yield from transforms_in(inner)
    else:
        yield transform


def read_from(loaded: Mapping[str, Loaded], transform: Any, kind: Kind[Any]) -> int:
    """Make all loading transforms of a chain read from ``loaded``; return their number."""
    loaders = [
        # The only way to it, as LoadImaged exposes only register().
        found._loader if isinstance(found, LoadImaged) else found  # pyright: ignore[reportPrivateUsage]
        for found in transforms_in(transform)
        if isinstance(found, LoadImaged | LoadImage)
    ]
    for loader in loaders:
        # Every loader has MONAI's own readers first, and those of the config last.
        theirs, ours = cast(tuple[Any, Any], _READERS[kind])
        like = next(reader for reader in reversed(loader.readers) if isinstance(reader, theirs))
        loader.readers = [ours(loaded, like)]
    return len(loaders)
