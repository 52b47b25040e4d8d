"""Studies in an archive in the form that :mod:`naiad.bulk` takes, for ``naiad process``.

A study is a small file in the folder of results that names it, so that a run is resumed as any
other: it is fetched when its turn comes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from naiad.core.pipeline import Request
from naiad.core.schema import Arrays
from naiad.dicom.sink import Sink
from naiad.dicom.source import Source as Studies
from naiad.dicom.source import Study
from naiad.errors import InvalidInput, NaiadError, PipelineError
from naiad.files import write_whole
from naiad.tasks.bulk import TaskBulk
from naiad.tasks.requests import answer_of
from naiad.tasks.studies import FetchedScans, Outcome, StudyResults, algorithm_of
from naiad.tasks.study_options import StudyOptions
from naiad.tasks.task import Json, Source, Task

_SUFFIX: Final = ".study"
_STATE: Final = Path(".naiad") / "studies"


class StudyBulk(TaskBulk):
    """The `naiad.bulk.application.Bulk` of the studies that match; each has one scan.

    Attributes:
        model: name of the model, for results in DICOM.
    """

    def __init__(
        self, task: Task[Any, Any], options: Any, chosen: StudyOptions, results: Path
    ) -> None:
        """Work on studies, with state in the folder of results.

        Raises:
            InvalidInput: all series were asked for, of which a run takes one per study.
            NaiadError: as of `StudyOptions.open_source`.
        """
        super().__init__(task, options)
        self.model = task.model
        if not chosen.rules.take_one:
            raise InvalidInput(
                "a run takes one series of each study; leave out --all-series, or run once for "
                "each series"
            )
        if chosen.privacy.deidentify and chosen.privacy.deidentify_key is None:
            raise InvalidInput(
                "a run finds its studies again by their pseudonyms: name a file for their key with "
                "--deidentify-key"
            )
        self.chosen, self.folder = chosen, results / _STATE
        self._source: Studies = chosen.open_source()
        self._sink: Sink | None = chosen.open_sink()

    def search(self) -> Path:
        """Find the studies, and return the folder of files that name them.

        Raises:
            InvalidInput: none matches; and as of `naiad.dicom.source.Source.studies`.
        """
        found = list(self.chosen.find(self._source))
        if not found:
            raise InvalidInput(f"{self.chosen.source} has no study that matches")
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = {f"{study.uid}{_SUFFIX}" for study in found}
        for path in self.folder.glob(f"*{_SUFFIX}"):
            if path.name not in wanted:
                path.unlink()
        for study in found:
            path = self.folder / f"{study.uid}{_SUFFIX}"
            if not path.exists():  # results that were sent have changed the number of instances
                write_whole(path, json.dumps(asdict(study)).encode())
        run = self.folder / "run"
        if not run.exists():
            write_whole(run, str(uuid.uuid4()).encode())
        return self.folder

    def find(self, path: Path) -> Iterator[Path]:
        """Yield the files that name studies."""
        return iter(sorted(path.glob(f"*{_SUFFIX}")))

    def fingerprint(self, path: Path) -> str:
        """Return the study."""
        return path.read_text("utf-8")

    def open(self, path: Path) -> Source[Any]:
        """Open a study; it is fetched when it is read."""
        stated: Json = json.loads(path.read_text("utf-8"))
        modalities = tuple(stated.pop("modalities"))
        study = Study(**stated, modalities=modalities)
        return _OneStudy(self, self._source, study)

    def request(self, item: Any, metadata: Mapping[str, str]) -> Request:
        """Make the request for a scan."""
        return super().request(item.unit, metadata)

    def writer(self, path: Path, metadata: Mapping[str, str]) -> Any:
        """Begin a file of results, and send those in DICOM."""
        return _Writer(self, super().writer(path, metadata), metadata, self._sink)

    def named_options(self) -> Json:
        """Return the options by name, with the rules and the places, without credentials."""
        chosen = {
            one.name: getattr(self.chosen, one.name)
            for one in fields(self.chosen)
            if one.name not in ("access", "rules", "study", "dates", "match", "privacy")
        }
        chosen["deidentify"] = self.chosen.privacy.deidentify
        rules = asdict(self.chosen.rules)
        return json.loads(json.dumps({**super().named_options(), **chosen, "rules": rules}))


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """A scan; the folder of its series lasts as long as it does."""

    unit: Any
    name: str
    scans: FetchedScans
    notes: tuple[str, ...]


class _OneStudy:
    """A `Source` of the only scan of a study."""

    def __init__(self, bulk: StudyBulk, source: Studies, study: Study) -> None:
        self._bulk, self._source, self._study = bulk, source, study

    def __len__(self) -> int:
        return 1

    def read(self, numbers: range) -> Iterator[tuple[str, Any]]:
        """Yield the scan, or the error of fetching or reading it."""
        for _ in numbers:
            bulk: Any = self._bulk
            try:
                scans = FetchedScans(
                    bulk.task, self._source, self._study, bulk.chosen.rules, bulk.options
                )
                if len(scans) != 1:
                    raise InvalidInput(
                        f"the series has {len(scans)} scans, and a run takes series of one; use "
                        "naiad infer"
                    )
                ((name, unit),) = scans.read(range(1))
            except NaiadError as error:
                yield self._study.uid, error
                continue
            if isinstance(unit, Exception):
                yield name, unit
            else:
                yield name, _Item(unit, name, scans, scans.notes[0])

    def close(self) -> None:
        """Do nothing: the scan in hand may still be read."""


class _Writer:
    """Writes the table, and sends results."""

    def __init__(
        self, bulk: StudyBulk, table: Any, metadata: Mapping[str, str], sink: Sink | None
    ) -> None:
        self._bulk, self._table, self._sink = bulk, table, sink
        task: Any = bulk.task
        self._card = task.card(metadata)
        algorithm = algorithm_of(bulk.model, self._card, "", metadata.get("notice", ""))
        self._results = StudyResults(task, self._card, algorithm)
        self._run = (bulk.folder / "run").read_text("utf-8")

    def add(self, name: str, item: Any, outputs: Arrays) -> None:
        """Send the result of a scan, and add it to the table.

        Raises:
            PipelineError: it cannot be sent.
            NaiadError: the place for results cannot be reached, or refuses the credentials.
        """
        if self._sink is not None:
            scan = item.scans.scans[0]
            result = answer_of(self._bulk.task, item.unit, outputs, self._card)
            outcome = Outcome(item.name, scan.series, scan.number, item.unit)
            found = self._results.outcome(outcome, result, item.notes)
            try:
                chosen = self._bulk.chosen
                self._results.send(
                    found,
                    self._sink,
                    run=self._run,
                    kinds=chosen.kinds,
                    images=chosen.privacy.deidentified_images,
                )
            except InvalidInput as error:  # others concern all studies, and end the run
                raise PipelineError(f"answered, but its results were not sent: {error}") from error
        self._table.add(name, item.unit, outputs)

    def close(self) -> None:
        """Finish the table."""
        self._table.close()
