"""Preparation of CT volumes for the network: scaled, cropped to the patient, and of one size.

The same as these transforms of MONAI (tests compare them), without importing MONAI, which takes
seconds, and cache-friendly: a few slices at a time, cropped before they become float32::

    LoadImage(reader="NibabelReader", image_only=True, dtype=numpy.float32)
    EnsureChannelFirst(channel_dim="no_channel")
    ScaleIntensityRange(a_min=-1000, a_max=500, b_min=0, b_max=1, clip=True)
    CropForeground(margin=5, allow_smaller=True)
    Resize([192, 192, 64], mode="area")
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.medical import nifti
from naiad.applications.medical.covid_ct.schema import (
    HOUNSFIELD,
    MARGIN,
    MAX_BYTES,
    MAX_VOLUME,
    SHAPE,
)
from naiad.applications.medical.nifti import Volume
from naiad.errors import InvalidInput, MissingExtra

try:
    import torch
    from torch import Tensor
    from torch.nn import functional as F
except ImportError as error:
    raise MissingExtra("covid-ct", error.name or "torch") from error

_SLAB: Final = 8  # slices processed together: 8 MB of float32 for 512 x 512 pixels


def prepare(data: bytes, name: str) -> NDArray[np.float32]:
    """Convert a NIfTI file to the network's input: float32 ``[192, 192, 64]``, 0 to 1.

    Args:
        data: the whole file, gzipped or not.
        name: its name in messages.

    Raises:
        InvalidInput: as for :func:`naiad.applications.medical.nifti.read`, or the volume has only
            air.
    """
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{name} has {len(data):,} bytes; a file may have {MAX_BYTES:,}")
    volume = nifti.read(data, name=name, max_bytes=MAX_VOLUME)
    return resized(volume, foreground(volume, name))


def foreground(volume: Volume, name: str) -> tuple[slice, slice, slice]:
    """Return the box around everything denser than air, with a margin, within the volume.

    Raises:
        InvalidInput: no voxel is denser than air.
    """
    # A larger value is a larger stored number, or a smaller one if the slope is negative; so the
    # extremes along two axes show where the third has anything.
    densest = np.max if volume.slope > 0 else np.min
    stored = volume.stored
    over_z = densest(stored, axis=2)
    profiles = (densest(over_z, axis=1), densest(over_z, axis=0), densest(stored, axis=(0, 1)))
    box: list[slice] = []
    for profile in profiles:
        there = np.flatnonzero(volume.scaled(profile) > HOUNSFIELD[0])
        if not there.size:
            raise InvalidInput(f"{name} has no voxel above {HOUNSFIELD[0]:g} HU: it has only air")
        first, last = int(there[0]), int(there[-1])
        box.append(slice(max(0, first - MARGIN), min(len(profile), last + MARGIN + 1)))
    return box[0], box[1], box[2]


def resized(volume: Volume, box: tuple[slice, slice, slice]) -> NDArray[np.float32]:
    """Return a volume's part in ``box``, scaled to 0 to 1 and averaged to the network's size."""
    slices = volume.stored[box].T  # [z, y, x], the order in memory
    low, high = HOUNSFIELD
    x, y, z = SHAPE
    shares = _shares(len(slices), z)
    total = torch.zeros(z, y, x)
    for start in range(0, len(slices), _SLAB):
        part = torch.from_numpy(volume.scaled(slices[start : start + _SLAB]))
        part.sub_(low).div_(high - low).clamp_(0, 1)
        pooled = F.adaptive_avg_pool2d(part[:, None], (y, x))[:, 0]
        weights = shares[:, start : start + _SLAB]
        (bins,) = torch.where(weights.any(1))
        first, last = int(bins[0]), int(bins[-1]) + 1
        total[first:last] += torch.tensordot(weights[first:last], pooled, 1)
    return total.permute(2, 1, 0).contiguous().numpy()


def _shares(given: int, wanted: int) -> Tensor:
    """Return the weights of given slices in each wanted one: float32 ``[wanted, given]``.

    They average over the windows of torch's ``adaptive_avg_pool``.
    """
    bins, slices = torch.arange(wanted)[:, None], torch.arange(given)
    first, last = bins * given // wanted, -(-(bins + 1) * given // wanted)
    inside = ((slices >= first) & (slices < last)).float()
    return inside / inside.sum(1, keepdim=True)
