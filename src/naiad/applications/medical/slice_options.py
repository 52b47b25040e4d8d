"""The option of tasks that read slices."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SliceOptions:
    """What is tolerated in DICOM series."""

    position_tolerance: float | None = field(
        default=None,
        metadata={
            "help": "Maximum distance of a DICOM slice from its place in an evenly spaced "
            "stack, in mm; by default 0.1, or 5% of the spacing if that is more.",
            "min": 0.0,
        },
    )
