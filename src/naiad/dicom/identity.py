"""Attributes that all results share: UIDs, software, codes, and the notice."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from naiad import __version__
from naiad.dicom.findings import PRIVATE, Algorithm, Code, Segment
from naiad.dicom.sink import MANUFACTURER
from naiad.dicom.uids import uid_of
from naiad.errors import InvalidInput, MissingExtra

try:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import CodedConcept
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes
except ImportError as error:
    raise MissingExtra("dicomweb", error.name or "highdicom") from error

NOTICE: Final = "not for diagnosis"
_SHORT, _LONG = 16, 64  # characters of an SH and an LO
_SEXES: Final = ("M", "F", "O")
# Attributes of types 1 and 2 of patient and study, which highdicom reads of a source.
_CARRIED: Final = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
)
_NAMES: Final = ("PatientName", "ReferringPhysicianName")
_ALSO: Final = ("IssuerOfPatientID", "StudyDescription")
_NEEDED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The series a result is about, and the software that made it.

    Attributes:
        sources: headers of its files, as highdicom takes them.
        algorithm: by which the result was found.
        run, scan: see `naiad.dicom.results.instances`.
    """

    sources: Sequence[Dataset]
    algorithm: Algorithm
    run: str
    scan: int

    def about(self, kind: str, number: int, what: str) -> dict[str, Any]:
        """Return the arguments that all of highdicom's instances take.

        Args:
            kind: of the result.
            number: by which its series' number is derived from the source's.
            what: the result in a word or two.
        """
        first, series = self.sources[0], str(self.sources[0].SeriesInstanceUID)
        return {
            "series_instance_uid": uid_of(self.run, series, str(self.scan), kind, "series"),
            "series_number": 9000 + 10 * (int(first.get("SeriesNumber") or 0) % 90) + number,
            "sop_instance_uid": uid_of(self.run, series, str(self.scan), kind, "instance"),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": long(self.algorithm.name),
            "software_versions": [f"naiad {__version__}", long(self.version)],
            "device_serial_number": "0",
            "specific_character_set": "ISO_IR 192",
            "series_description": long(f"{self.algorithm.name} {what}, {NOTICE}"),
        }

    @property
    def version(self) -> str:
        """Name and version of the model."""
        return f"{self.algorithm.name} {self.algorithm.version}".strip()

    @property
    def notices(self) -> str:
        """The notice that every result has, and that of the model."""
        said = " ".join(self.algorithm.notice.split())
        return f"Made by software: {NOTICE}.{f' {said}' if said else ''}"

    def finish(self, made: Dataset) -> Dataset:
        """Return a result with further attributes of the study, and without private tags."""
        for name in _ALSO:
            if (value := self.sources[0].get(name)) is not None and name not in made:
                setattr(made, name, value)
        made.remove_private_tags()
        return made


def as_sources(headers: Sequence[Dataset]) -> list[Dataset]:
    """Return headers as highdicom takes them: required attributes are there, empty if unknown.

    Raises:
        InvalidInput: one lacks what no result can do without.
    """
    sources: list[Dataset] = []
    for header in headers:
        for name in _NEEDED:
            if not header.get(name):
                raise InvalidInput(
                    f"an image of the series has no {name}; no result can refer to it"
                )
        source = copy.copy(header)
        for name in _CARRIED:
            if name not in source:
                setattr(source, name, "")
        if source.PatientSex not in _SEXES:
            source.PatientSex = ""
        for name in _NAMES:  # as text, for another character set
            setattr(source, name, str(source.get(name) or ""))
        sources.append(source)
    return sources


def identification(algorithm: Algorithm) -> AlgorithmIdentificationSequence:
    """Return the model as an algorithm of results."""
    return AlgorithmIdentificationSequence(
        name=long(algorithm.name),
        family=codes.DCM.ArtificialIntelligence,
        version=long(algorithm.version or "unknown"),
        source=MANUFACTURER,
    )


def concept(code: Code | None, name: str) -> CodedConcept:
    """Return a concept; without a code, the name in the private scheme."""
    if code is None:
        return private(name)
    return CodedConcept(code.value, code.scheme, long(code.meaning))


def category_of(segment: Segment) -> CodedConcept:
    """Return the category of a segment's concept, by default tissue."""
    if segment.category is not None:
        return concept(segment.category, "")
    return CodedConcept.from_code(codes.SCT.Tissue)


def private(name: str) -> CodedConcept:
    """Return a name as a concept of the private scheme, whose code is the name or its digest."""
    short = name if name.isascii() and len(name) <= _SHORT else ""
    value = short or f"N{sha256(name.encode()).hexdigest()[: _SHORT - 1].upper()}"
    return CodedConcept(value, PRIVATE, long(name))


def scheme() -> list[CodingSchemeIdentificationItem]:
    """Return the identification of the private scheme."""
    return [
        CodingSchemeIdentificationItem(
            PRIVATE, name="Names of labels and classes in Naiad", responsible_organization="Naiad"
        )
    ]


def long(text: str) -> str:
    r"""Return a text as an LO has it: up to 64 characters, without controls and ``\``."""
    clean = "".join(one if one.isprintable() and one != "\\" else " " for one in text)
    return clean.strip()[:_LONG].strip() or "unnamed"
