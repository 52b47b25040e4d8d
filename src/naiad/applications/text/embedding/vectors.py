"""Files of vectors: NumPy's ``.npy``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class VectorFile:
    """A `Writer` of one array with a row per unit, float32 ``[units, dimension]``."""

    def __init__(self, task: Any, path: Path, card: Any) -> None:
        """Begin without rows; the file is written when it is closed."""
        self._path = path
        self._rows: list[NDArray[np.float32]] = []

    def add(self, name: str, unit: Any, result: NDArray[np.float32]) -> None:
        """Add a row."""
        self._rows.append(result)

    def close(self) -> None:
        """Write the file."""
        if self._rows:
            with self._path.open("wb") as file:
                np.save(file, np.stack(self._rows))
