"""Series of phantoms for tests: a block in noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from naiad.dicom.simulate import Patient, Position, series

SHAPE, SPACING = (14, 12, 6), (1.5, 1.75, 2.5)
BLOCK = (slice(3, 9), slice(2, 7), slice(1, 4))


def phantom() -> np.ndarray:
    """Return Hounsfield units ``[columns, rows, slices]``: 500 in the block, around 0 elsewhere."""
    values = np.random.default_rng(2).integers(-50, 50, SHAPE).astype(np.int16)
    values[BLOCK] = 500
    return values


def slices(position: Position = "axial", number: int = 1, study: str = "s") -> list[Dataset]:
    patient = Patient("Phantom^One", "P1", study)
    return list(series(phantom(), SPACING, patient, position, number))


def write(instances: list[Dataset], folder: Path, prefix: str = "") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{prefix}{number:03}.dcm" for number in range(len(instances))]
    for one, path in zip(instances, paths, strict=True):
        one.save_as(path, enforce_file_format=True)
    return paths
