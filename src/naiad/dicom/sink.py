"""Where results go: an archive or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


MANUFACTURER: Final = "Naiad"
"""Manufacturer of the software in results, by which they are recognised."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to an instance: the UIDs of its study, series, SOP class and itself."""

    study: str
    series: str
    kind: str
    instance: str

    @classmethod
    def to(cls, instance: Dataset) -> Reference:
        """Return the reference to an instance."""
        return cls(
            str(instance.StudyInstanceUID),
            str(instance.SeriesInstanceUID),
            str(instance.SOPClassUID),
            str(instance.SOPInstanceUID),
        )


def is_report_on(instance: Dataset, series: str) -> bool:
    """Return whether an instance is a report of Naiad's, with a series among its evidence."""
    if instance.get("Modality") != "SR" or instance.get("Manufacturer") != MANUFACTURER:
        return False
    return any(
        str(one.get("SeriesInstanceUID")) == series
        for study in instance.get("CurrentRequestedProcedureEvidenceSequence") or ()
        for one in study.get("ReferencedSeriesSequence") or ()
    )


class Sink(Protocol):
    """Where instances are stored; nothing that is there is replaced."""

    def send(self, instances: Sequence[Dataset]) -> None:
        """Store the instances of one study, all of them or with an error.

        Sending an instance again that arrived before is no error, and stores nothing.

        Raises:
            Unavailable: it cannot be reached, is overloaded or full: some may have been stored.
            NotAllowed: it refuses the credentials.
            InvalidInput: it refuses an instance; says which and why.
        """
        ...

    def has(self, study: str, instance: str) -> bool:
        """Return whether an instance is stored, by its study's UID and its SOPInstanceUID.

        Raises:
            Unavailable: it cannot be reached.
            NotAllowed: it refuses the credentials.
        """
        ...

    def reports(self, study: str, series: str) -> list[Reference]:
        """Return Naiad's own earlier reports on a series, for new ones to refer to.

        Raises:
            Unavailable: it cannot be reached.
            NotAllowed: it refuses the credentials.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...
