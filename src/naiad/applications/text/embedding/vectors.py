"""Files of vectors: NumPy's ``.npy``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class VectorFile:
    """A `Writer` of one array with a row per unit, float32 ``[units, dimension]``."""

    def __init__(self, task: Any, path: Path, card: Any) -> None:
        """Create the file; its rows are written when it is closed.

        Raises:
            OSError: the file cannot be written.
        """
        self._file = path.open("wb")
        self._rows: list[NDArray[np.float32]] = []
        self.written = 0

    def add(self, name: str, unit: Any, result: NDArray[np.float32]) -> None:
        """Add a row."""
        self._rows.append(result)

    def close(self) -> None:
        """Write the file."""
        if self._file.closed:
            return
        with self._file as file:
            if self._rows:
                data = io.BytesIO()
                np.save(data, np.stack(self._rows))
                # Not by NumPy, which does not notice a full disk (2.4).
                file.write(data.getbuffer())
                file.flush()
                self.written = len(self._rows)
