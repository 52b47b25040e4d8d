"""The scans of one DICOM series as NIfTI files, each a unit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from naiad.applications.medical.dicom.series import find_series
from naiad.applications.medical.nifti import write
from naiad.errors import NaiadError


class SeriesScans:
    """A `naiad.tasks.task.Source` of the scans in a folder with one series: mostly one."""

    def __init__(
        self,
        folder: Path,
        position_tolerance: float | None = None,
        make: Callable[[bytes], Any] = lambda scan: scan,
    ) -> None:
        """Read the headers.

        Args:
            folder: of the series.
            position_tolerance: see `Series.volume`.
            make: makes a unit of a NIfTI file.

        Raises:
            InvalidInput: no file can be used; says why.
        """
        found = find_series(folder)
        self._series, self._tolerance, self._make = found, position_tolerance, make

    def __len__(self) -> int:
        """Return the number of scans."""
        return len(self._series)

    def read(self, numbers: range) -> Iterator[tuple[str, Any]]:
        """Yield the description of each scan, and the scan, or the error that reading it raised.

        What was tolerated is said in warnings.
        """
        for number in numbers:
            series = self._series[number]
            try:
                volume = series.volume(position_tolerance=self._tolerance)
                for note in volume.notes:
                    warnings.warn(note, stacklevel=2)
                scan: Any = self._make(write(volume.stored, volume.affine))
            except NaiadError as error:
                scan = error
            yield series.description, scan

    def close(self) -> None:
        """Do nothing, as files are not kept open."""
