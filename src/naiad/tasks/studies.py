"""Tasks whose units are scans: from a study in an archive to results that are stored there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from naiad.dicom.findings import Algorithm, Findings
from naiad.dicom.source import Fetched, SeriesFolder
from naiad.errors import NaiadError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from naiad.tasks.client import TaskClient

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class ReadsSeries(ABC, Generic[Unit, Result]):
    """An application whose units are scans, which DICOM series can be read as."""

    @abstractmethod
    def units(self, folder: Path, options: Any) -> Iterator[tuple[str, Unit]]:
        """Yield the scans in a folder with the files of one series: mostly one.

        An enhanced file may have several stacks, phases or echoes; each is a scan.

        Raises:
            InvalidInput: the series cannot be read as a scan; says why.
        """

    @abstractmethod
    def findings(self, unit: Unit, result: Result, card: Any) -> Findings:
        """Return what was found in a scan, for results in DICOM."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for one scan of a series, or the error in its place.

    Attributes:
        name: of the scan, for people: its study and series.
        series: with its files.
        scan: number of the scan in its series, from 0.
        unit: as the task read it, or None.
        result: of the task, or None.
        findings: for results in DICOM, or None after an error.
        error: why there are none.
    """

    name: str
    series: SeriesFolder
    scan: int = 0
    unit: Any = None
    result: Any = None
    findings: Findings | None = None
    error: NaiadError | None = None


class StudyCall:
    """A served model that is asked about studies."""

    def __init__(self, model: TaskClient[Any, Any], options: Any, timeout: float) -> None:
        """Ask ``model`` with the options of its task, which is a `ReadsSeries`."""
        self.model, self.options, self.timeout = model, options, timeout

    @property
    def algorithm(self) -> Algorithm:
        """The model, as results name it."""
        raise NotImplementedError

    def answer(self, fetched: Fetched) -> Iterator[Outcome]:
        """Yield the outcome for each scan of the chosen series; an error stops no other scan.

        Raises:
            Unavailable: the model's server is gone.
        """
        raise NotImplementedError

    def instances(
        self, outcome: Outcome, *, run: str, previous: Sequence[tuple[str, str]] = ()
    ) -> list[Dataset]:
        """Return an outcome's results in DICOM: :func:`naiad.dicom.results.instances`."""
        raise NotImplementedError
