"""The picture of a result as a secondary capture."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from naiad.dicom.identity import Origin, long
from naiad.errors import MissingExtra

try:
    from highdicom.sc import SCImage
    from pydicom.dataset import Dataset
    from pydicom.uid import ExplicitVRLittleEndian
except ImportError as error:
    raise MissingExtra("dicomweb", error.name or "highdicom") from error


def capture(picture: NDArray[Any], origin: Origin) -> Dataset:
    """Return a picture, uint8 ``[rows, columns, 3]``, as an instance that refers to its sources."""
    made: Any = SCImage.from_ref_dataset(
        origin.sources[0],
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **origin.about("capture", 3, "picture"),
    )
    made.PatientOrientation = None  # it may show several planes
    made.Laterality = ""
    made.ConversionType = "WSD"
    made.BurnedInAnnotation = "NO"  # labels and numbers, but nothing that identifies the patient
    made.DerivationDescription = f"Drawn by {long(origin.version)}"
    made.ImageComments = origin.notices
    made.SourceImageSequence = [_reference(one) for one in origin.sources]
    return made


def _reference(source: Dataset) -> Dataset:
    found = Dataset()
    found.ReferencedSOPClassUID = source.SOPClassUID
    found.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return found
