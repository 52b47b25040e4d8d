"""Synthetic CT series, in the positions in which scanners leave patients: for demos and tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.dicom.uids import uid_of
from naiad.errors import MissingExtra

try:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
except ImportError as error:
    raise MissingExtra("dicomweb", error.name or "pydicom") from error

Position: TypeAlias = Literal["axial", "flipped", "oblique", "coronal", "tilted"]
POSITIONS: Final[tuple[Position, ...]] = ("axial", "flipped", "oblique", "coronal", "tilted")

_OFFSET: Final = -1024  # Hounsfield units of the stored value 0
_TILT: Final = np.radians(15.0)


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient who does not exist, and the study of them.

    Attributes:
        name: as DICOM has it: ``Phantom^Oblique``.
        id: PatientID.
        study: any text, of which UIDs are made.
    """

    name: str
    id: str
    study: str


def series(
    voxels: NDArray[np.int16],
    spacing: tuple[float, float, float],
    patient: Patient,
    position: Position = "axial",
    number: int = 1,
) -> Iterator[Dataset]:
    """Yield the slices of a volume as CT images.

    Args:
        voxels: Hounsfield units, ``[columns, rows, slices]``.
        spacing: of voxels along these axes, in millimetres.
        patient: of the images.
        position: ``flipped``: feet on top, mirrored rows; ``oblique``: turned about two axes;
            ``tilted``: slices are not stacked along their normal.
        number: of the series.
    """
    along, down, across = _directions(position)
    uid = uid_of(patient.study, "series", str(number), position)
    now = datetime.now(timezone.utc)
    origin = -(np.array(spacing) * voxels.shape / 2) @ np.stack([along, down, across])
    for index in range(voxels.shape[2]):
        one: Any = Dataset()
        one.file_meta = meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SOPClassUID = meta.MediaStorageSOPClassUID = CTImageStorage
        one.SOPInstanceUID = uid_of(uid, str(index))
        meta.MediaStorageSOPInstanceUID = UID(one.SOPInstanceUID)
        one.SpecificCharacterSet = "ISO_IR 192"
        one.PatientName, one.PatientID = patient.name, patient.id
        one.PatientBirthDate, one.PatientSex = "19700101", "O"
        one.StudyInstanceUID = uid_of(patient.study, "study")
        one.StudyDate, one.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
        one.StudyID, one.AccessionNumber, one.ReferringPhysicianName = "1", "", ""
        one.StudyDescription = "Synthetic phantom"
        one.Modality, one.Manufacturer = "CT", "Naiad"
        one.SeriesInstanceUID, one.SeriesNumber = uid, number
        one.SeriesDescription = f"phantom, {position}"
        one.FrameOfReferenceUID, one.PositionReferenceIndicator = uid_of(uid, "frame"), ""
        one.PatientPosition = "FFS" if position == "flipped" else "HFS"
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.InstanceNumber, one.AcquisitionNumber = index + 1, 1
        one.KVP = "120"
        one.ImagePositionPatient = [
            f"{value:.6f}"[:16] for value in origin + across * spacing[2] * index
        ]
        one.ImageOrientationPatient = [f"{value:.9f}"[:16] for value in (*along, *down)]
        one.PixelSpacing = [f"{spacing[1]:.6f}", f"{spacing[0]:.6f}"]
        one.SliceThickness = f"{spacing[2]:.6f}"
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.Rows, one.Columns = voxels.shape[1], voxels.shape[0]
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
        one.RescaleIntercept, one.RescaleSlope, one.RescaleType = str(_OFFSET), "1", "HU"
        stored = np.clip(voxels[:, :, index].T.astype(np.int32) - _OFFSET, 0, 65535)
        one.PixelData = stored.astype("<u2").tobytes()
        yield one


def _directions(position: Position) -> tuple[NDArray[np.float64], ...]:
    """Return unit vectors along rows, down columns, and from slice to slice, in DICOM's axes."""
    x, y, z = np.eye(3)
    if position == "flipped":
        return -x, y, -z
    if position == "coronal":
        return x, -z, y
    if position == "oblique":
        return tuple(_turned(vector) for vector in (x, y, z))
    if position == "tilted":
        return x, y * np.cos(_TILT) + z * np.sin(_TILT), z
    return x, y, z


def _turned(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn a vector by 20 degrees about the first axis, and 30 about the third."""
    a, b = np.radians(20), np.radians(30)
    first = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    third = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return third @ first @ vector
