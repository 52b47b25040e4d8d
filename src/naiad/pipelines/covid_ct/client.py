"""COVID-19 on chest CT for people: files in, a verdict out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

from naiad.client import ModelClient
from naiad.client.many import ask_many
from naiad.errors import InvalidInput, NaiadError
from naiad.pipelines.covid_ct.files import as_request, read_scan
from naiad.pipelines.covid_ct.schema import POSITIVE

ScanFile: TypeAlias = "Path | str | bytes"
"""A NIfTI file, gzipped or not: its path, or what is in it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the network says of one scan.

    Attributes:
        label: "COVID Positive" or "COVID Negative".
        probability: of being positive.
    """

    label: str
    probability: float

    @property
    def positive(self) -> bool:
        """Whether the label is the positive one."""
        return self.label == POSITIVE


class CovidCtClient:
    """Asks a served ``monai_covid``; from ``client.covid_ct``, ``client`` being a `naiad.Client`.

    Example::

        with naiad.Client("localhost:8001") as client:
            (verdict,) = client.covid_ct.infer(["scan.nii.gz"])
            print(verdict.label, verdict.probability, client.covid_ct.notice())
    """

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model

    def __repr__(self) -> str:
        """The class and the server."""
        return f"CovidCtClient({self.model!r})"

    def notice(self) -> str:
        """What every user must know of the served weights."""
        parameters = self.model.config().get("parameters", {})
        return str(parameters.get("notice", {}).get("string_value", ""))

    def infer(self, scans: Sequence[ScanFile], *, timeout: float | None = None) -> list[Verdict]:
        """Classify up to 12 scans in one request; one that is refused fails them all.

        Args:
            scans: files by path, or the bytes of files.
            timeout: seconds, instead of the client's.

        Raises:
            InvalidInput: a scan is none, or is too large; says which and why.
            NaiadError: as of `naiad.Client`.
        """
        if isinstance(scans, (str, bytes, Path)):
            raise InvalidInput("scans is one file; give a list of files")
        files = [scan if isinstance(scan, bytes) else read_scan(Path(scan)) for scan in scans]
        outputs = self.model.infer(as_request(files), timeout=timeout)
        found = zip(outputs["OUTPUT0"], outputs["PROBABILITY"].tolist(), strict=True)
        return [Verdict(label.decode(), probability) for label, probability in found]

    @overload
    def infer_many(
        self,
        scans: Iterable[ScanFile],
        *,
        concurrency: int = 4,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Verdict]: ...

    @overload
    def infer_many(
        self,
        scans: Iterable[ScanFile],
        *,
        concurrency: int = 4,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["return"],
    ) -> Iterator[Verdict | NaiadError]: ...

    def infer_many(
        self,
        scans: Iterable[ScanFile],
        *,
        concurrency: int = 4,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Any]:
        """Classify many scans, one per request; yields the verdicts in order, as they come.

        Args:
            scans: taken as they are needed, so there may be any number of them.
            concurrency: how many are with the server at once, which batches them.
            progress: show a progress bar on standard error.
            timeout: seconds per scan, instead of the client's.
            on_error: "raise" ends at the first scan that fails; "return" yields its error in its
                place and goes on.
        """
        return ask_many(
            lambda scan: self.infer([scan], timeout=timeout)[0],
            scans,
            label=self.model.name,
            concurrency=concurrency,
            progress=progress,
            on_error=on_error,
        )
