"""De-identification by DICOM's Basic Application Level Confidentiality Profile.

The profile is table E.1-1 of PS3.15: what becomes of some 660 attributes. The table, and the dummy
values that replace others, are those of the package dicom-anonymizer. Its own walk over a dataset
is not used: that of version 2.1 applies the table at the top level only, and so leaves the UIDs in
the sequences of segmentations and reports, and gives a report "ANONYMIZED" for each of its values.

Beyond the table, elements that cannot be judged are removed (those of private and unknown tags,
overlays and curves), and free text that has the patient's name or number in it is emptied.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from naiad.dicom.pseudonyms import Kind, Pseudonyms
from naiad.errors import InvalidInput, MissingExtra, NaiadError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

EDITION: Final = "2026c"
"""Edition of the standard whose table is used."""

_METHOD: Final = f"Naiad, DICOM PS3.15 table E.1-1 ({EDITION})"
_PROFILE: Final = ("113100", "Basic Application Confidentiality Profile")
_CLEANED: Final = ("113104", "Clean Structured Content Option")
_KINDS: Final[Mapping[str, Kind]] = {
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "series",
    "SOPInstanceUID": "instance",
    "ReferencedSOPInstanceUID": "instance",
    "FrameOfReferenceUID": "frame",
}
_PATIENT: Final = ("PatientName", "PatientID")
_CONTENT: Final = "ContentSequence"
_TEXT: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_UID: Final = re.compile(r"\b[0-2](?:\.(?:0|[1-9]\d*)){4,}\b")
_SHORTEST: Final = 3  # characters of a name that is looked for in texts
_PICTURES: Final = frozenset({"DOC", "DX", "ES", "OT", "SC", "US", "XA", "XC"})
"""Modalities whose pictures often have text in them."""


class Deidentifier:
    """De-identifies the instances of any number of studies by one set of pseudonyms."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        """Replace identifiers by ``pseudonyms``."""
        self.pseudonyms = pseudonyms

    def image(self, dataset: Dataset, name: str) -> str:
        """De-identify an instance of the patient's in place; return a note about it, or "".

        Args:
            dataset: the instance, changed in place.
            name: of its file, for messages.

        Raises:
            InvalidInput: names or numbers are burned into its pixels, or it cannot be read.
            MissingExtra: dicom-anonymizer is not installed.
        """
        try:
            with warnings.catch_warnings():  # pydicom's, of values that break a rule
                warnings.simplefilter("ignore")
                note = _pixels(dataset, name)
                self._clean(dataset, _Rest(_words(dataset)), self._patient(dataset))
                _declare(dataset)
        except NaiadError:
            raise
        except Exception as error:  # damaged files make pydicom raise nearly anything
            said = f"{type(error).__name__}: {error}"
            raise InvalidInput(f"{name} cannot be de-identified: {said}") from error
        return note

    def result(self, dataset: Dataset) -> None:
        """De-identify, in place, an instance that was made of images of :meth:`image`.

        Its UIDs are new ones, and its texts are ours, so both are kept.
        """
        self._clean(dataset, _Rest(frozenset()))
        _declare(dataset)

    def text(self, text: str) -> str:
        """Return a sentence about a file or series with new UIDs in place of the old."""
        return _UID.sub(lambda found: self.pseudonyms.uid(found[0]), text)

    def _clean(self, dataset: Dataset, rest: _Rest, patient: str | None = None) -> None:
        """Apply the table to a dataset and to its sequences.

        Args:
            dataset: changed in place.
            rest: what becomes of texts that are not in the table.
            patient: name and number to give the patient; None of a result, whose patient, UIDs and
                texts are ours.
        """
        own = patient is None
        for tag in list(dataset.keys()):
            if not _is_known(tag):
                del dataset[tag]
                continue
            element = dataset[tag]
            action = _actions().get((tag.group, tag.elem), "keep")
            if element.keyword == _CONTENT or action == "references":
                action = "keep"  # their items are cleaned
            if action == "remove":
                del dataset[tag]
            elif action == "uid":
                if not own:
                    self._replace_uids(element)
            elif element.keyword in _PATIENT:
                element.value = element.value if own else patient
            elif action in ("empty", "replace"):
                _replace(dataset, element, empty=action == "empty")
            elif element.VR == "SQ":
                for item in cast("list[Dataset]", element.value):
                    self._clean(item, rest, patient)
            elif element.keyword == "TextValue" and not own:
                element.value = "ANONYMIZED"
            elif element.VR in _TEXT:
                rest.clean(element)

    def _patient(self, dataset: Dataset) -> str:
        identity = [str(dataset.get(name) or "") for name in ("PatientID", "IssuerOfPatientID")]
        if not identity[0]:
            identity = [str(dataset.get("PatientName") or "")]
        return self.pseudonyms.patient(*identity) if identity[0] else ""

    def _replace_uids(self, element: Any) -> None:
        from pydicom.uid import UID

        kind: Kind = _KINDS.get(element.keyword, "other")

        def new(uid: str) -> str:
            registered = UID(uid).name != uid  # such as a standard's frame of reference
            return uid if registered or not uid else self.pseudonyms.uid(uid, kind)

        several = element.VM > 1
        element.value = [new(str(uid)) for uid in element.value] if several else new(element.value)


class _Rest:
    """Texts that the table keeps, such as the name of a contrast agent."""

    def __init__(self, words: frozenset[str]) -> None:
        self._words = words

    def clean(self, element: Any) -> None:
        """Empty an element that has one of the words."""
        if self._words & _split(str(element.value)):
            element.value = None


def _words(dataset: Dataset) -> frozenset[str]:
    """Return the words of the patient's names and numbers."""
    found = {
        word
        for keyword in (*_PATIENT, "OtherPatientNames", "OtherPatientIDs", "PatientBirthName")
        for word in _split(str(dataset.get(keyword) or ""))
    }
    return frozenset(word for word in found if len(word) >= _SHORTEST)


def _split(text: str) -> set[str]:
    return set(filter(None, re.split(r"[\s^=\\,;:()\[\]'\"]+", text.casefold())))


def _pixels(dataset: Dataset, name: str) -> str:
    """Return a note where an image may have text in its pixels, or "".

    Raises:
        InvalidInput: the image says that it has.
    """
    burned = str(dataset.get("BurnedInAnnotation") or "").upper()
    if burned == "YES":
        raise InvalidInput(
            f"{name} has BurnedInAnnotation YES: names may be in its pixels, which are not "
            "changed; leave the series out, or blacken the text first"
        )
    modality = str(dataset.get("Modality") or "")
    if burned or modality not in _PICTURES:
        return ""
    return f"images of modality {modality} do not say whether text is burned into their pixels"


def _replace(dataset: Dataset, element: Any, *, empty: bool) -> None:
    from dicomanonymizer import simpledicomanonymizer as library

    try:
        if element.VR == "SQ" and empty:
            element.value = []
        else:
            for item in element.value if element.VR == "SQ" else ():
                list(item.iterall())  # parsed by pydicom; the library's way is deprecated
            (library.empty_element if empty else library.replace_element)(element)
    except NotImplementedError:  # a VR that the library has no dummy for
        del dataset[element.tag]


def _is_known(tag: BaseTag) -> bool:
    """Return whether a tag is one of the standard, and neither an overlay nor a curve."""
    from pydicom.datadict import dictionary_has_tag, repeater_has_tag

    if tag.is_private or tag.group >> 8 in (0x50, 0x60):
        return False
    return dictionary_has_tag(tag) or repeater_has_tag(tag) or tag.elem == 0


def _declare(dataset: Dataset) -> None:
    """Say in the dataset, and in a new file header, that it was de-identified."""
    from pydicom.dataset import Dataset, FileMetaDataset

    def code(value: str, meaning: str) -> Dataset:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator = value, "DCM"
        item.CodeMeaning = meaning
        return item

    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = _METHOD
    dataset.DeidentificationMethodCodeSequence = [
        code(*one) for one in ((_PROFILE, _CLEANED) if _CONTENT in dataset else (_PROFILE,))
    ]
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    syntax = _syntax(dataset)
    dataset.preamble = b"\0" * 128  # which may hold anything
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _syntax(dataset: Any) -> Any:
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    stated = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if stated:
        return stated
    implicit, little = dataset.original_encoding
    if implicit is None or (not implicit and little):
        return ExplicitVRLittleEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRBigEndian


def require_table() -> None:
    """Raise `MissingExtra` if dicom-anonymizer is not installed."""
    _actions()


@cache
def _actions() -> dict[tuple[int, int], str]:
    """Return what becomes of attributes, by group and element.

    Where the table has a choice, the action is one that keeps any kind of instance valid: ``X/Z``
    is emptied, ``X/D``, ``Z/D`` and ``X/Z/D`` are replaced.

    Raises:
        MissingExtra: dicom-anonymizer is not installed.
    """
    try:
        from dicomanonymizer import simpledicomanonymizer as library
    except ImportError as error:
        raise MissingExtra("deidentify", error.name or "dicomanonymizer") from error
    names = {
        library.delete: "remove",
        library.empty: "empty",
        library.delete_or_empty: "empty",
        library.replace: "replace",
        library.empty_or_replace: "replace",
        library.delete_or_replace: "replace",
        library.delete_or_empty_or_replace: "replace",
        library.replace_UID: "uid",
        library.delete_or_empty_or_replace_UID: "references",
    }
    table = library.initialize_actions(f"dicomfields_{EDITION}")
    return {tag: names[action] for tag, action in table.items() if len(tag) == 2}
