"""Tasks: the use of a model by people, declared once.

A subclass of `Task` says what a unit is (an image, an event, a text), how it becomes a request, and
what the answer means. The typed clients, ``naiad infer | process | simulate | train | weights
import``, tables, pictures, benchmark data and documentation are derived from it. Bases declare what
else an application can do: `Opens`, `Parses`, `Joins`, `Reports`, `Draws`, `WritesFiles`,
`Simulates`, `Trains`, `ImportsWeights`, and `naiad.tasks.truth.HasTruth`::

    class Molecules(Task[Molecule, Solubility]):
        \"\"\"Predict how well molecules dissolve in water.\"\"\"

        name, pipeline = "molecules", "molecules.pipeline:Solubility"
        unit, suffixes = "molecules", (".mol",)
        columns = (
            Column("file", fill="unit"),
            Column("log_s", "float32", "solubility", "log mol/l"),
        )

        def read(self, path):
            return Molecule(path)

        def request(self, unit, options):
            return {"x": unit.atoms, "edge_index": unit.bonds}

        def answer(self, unit, outputs, card):
            return Solubility(float(outputs["log_s"][0]))

        def rows(self, result):
            yield (result.log_s,)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
)

from naiad.application import Application, NoOptions
from naiad.errors import InvalidInput
from naiad.files import find_files, read_file

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from naiad.core.pipeline import Request
    from naiad.core.schema import Arrays

Unit = TypeVar("Unit")
Unit_co = TypeVar("Unit_co", covariant=True)
Result = TypeVar("Result")
Row: TypeAlias = "Sequence[object]"
Rows: TypeAlias = "Iterable[Row] | Mapping[str, ArrayLike]"
Json: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table of results.

    Attributes:
        name: header of the column.
        dtype: a NumPy dtype, ``str``, or ``category`` for strings of a few values.
        doc: one line of documentation.
        unit: physical unit, such as ``cm``.
        fill: ``unit`` for the name of the unit, ``number`` for its index, ``files`` for the files
            written for it: such columns are left out of :meth:`Task.rows`.
        categories: of a ``category`` column, whose values are then indices of these.
    """

    name: str
    dtype: str = "str"
    doc: str = ""
    unit: str = ""
    fill: Literal["", "unit", "number", "files"] = ""
    categories: tuple[str, ...] = ()

    @property
    def about(self) -> dict[str, str]:
        """The documentation and the unit, as in the metadata of files, without an empty one."""
        doc = self.doc or ("name of the input" if self.fill == "unit" else "")
        return {key: text for key, text in (("doc", doc), ("unit", self.unit)) if text}


class Source(Protocol[Unit_co]):
    """An opened input: a sequence of units, such as the events of a file."""

    def __len__(self) -> int: ...

    def read(self, numbers: range) -> Iterator[tuple[str, Unit_co | Exception]]:
        """Yield the name of each unit, and the unit, or the exception that reading it raised.

        Args:
            numbers: indices of the units.
        """
        ...

    def close(self) -> None:
        """Close the file; units that were read stay valid."""
        ...


class Writer(Protocol):
    """A file of results in progress."""

    @property
    def written(self) -> int:
        """Number of units in the file, without buffered ones."""
        ...

    def add(self, name: str, unit: Any, result: Any) -> None:
        """Add the result of a unit.

        Raises:
            PipelineError: the result is of another unit or model.
        """
        ...

    def close(self) -> None:
        """Finish the file; after an error, a second call keeps what was written.

        Raises:
            OSError: the file cannot be written.
        """
        ...


class Found(Protocol):
    """An answered unit, as reports and pictures take it."""

    @property
    def name(self) -> str:
        """Name of the unit: its file, or its name in one."""
        ...

    @property
    def result(self) -> Any:
        """The answer."""
        ...

    @property
    def path(self) -> Path:
        """The unit's input; ``-`` for a unit that was typed."""
        ...

    @property
    def number(self) -> int:
        """Index of the unit in its input."""
        ...

    def unit(self) -> Any:
        """Read the unit again."""
        ...


class Report(Protocol):
    """Printed results for people."""

    def add(self, found: Found) -> None:
        """Take one more result."""
        ...

    def print(self, seconds: float) -> None:
        """Print all results, which took ``seconds``."""
        ...


class Task(Application, ABC, Generic[Unit, Result]):
    """An application with units, results and their tables, from which its verbs are derived.

    The docstring of a subclass is the help of ``naiad infer NAME``. ``request``, ``answer`` and
    ``rows`` are required. By default each file with one of ``suffixes`` is one unit: its bytes.

    Attributes:
        unit: name of the units, in the plural.
        suffixes: endings of input files, in lower case.
        example: files or typed units in the examples of ``--help``.
        max_bytes: largest input file.
        columns: of the table of results; see also :meth:`columns_of`.
        formats: further formats of results: ``module:Class`` of a `Writer` by suffix.
        listed: the client's ``infer`` takes a list of units and returns a list.
        group: most small units in one request; beyond 1, every output has a row per unit.
        grouped: inputs with a row per unit; a request has the others once, as all units of a call
            share their options.
        concurrency: requests at once, by default.
        timeout: seconds per request, by default.
        clients: ``module:Class`` of the typed client, blocking and asyncio.
        Options: a frozen dataclass of the options of a request; its fields have
            ``metadata={"help": ...}`` and become options of the command line and keywords of the
            client; ``metadata["flag"]`` is the option's name if it is not the field's, and
            ``metadata["display"]`` marks options of reports only.
    """

    unit: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    example: ClassVar[str] = "FILE"
    max_bytes: ClassVar[int] = 1 << 30
    columns: ClassVar[tuple[Column, ...]] = ()
    formats: ClassVar[Mapping[str, str]] = {}
    listed: ClassVar[bool] = False
    group: ClassVar[int] = 1
    grouped: ClassVar[tuple[str, ...]] = ()
    concurrency: ClassVar[int] = 8
    timeout: ClassVar[float] = 60.0
    clients: ClassVar[tuple[str, str]] = (
        "naiad.tasks.client:TaskClient",
        "naiad.tasks.aio:AsyncTaskClient",
    )

    Options: ClassVar[type[Any]] = NoOptions

    @abstractmethod
    def request(self, unit: Unit, options: Any) -> Arrays | Request:
        """Return the arrays to send for a unit, by input name; or a `Request` with parameters.

        Raises:
            InvalidInput: the unit is refused; says why.
        """

    @abstractmethod
    def answer(self, unit: Unit, outputs: Arrays, card: Any) -> Result:
        """Return the result for ``unit`` from the model's ``outputs``.

        Args:
            unit: of the request.
            outputs: arrays by output name.
            card: from :meth:`card`.

        Raises:
            PipelineError: the outputs do not fit the unit.
        """

    @abstractmethod
    def rows(self, result: Result) -> Rows:
        """Return the rows of a result, without filled columns: tuples, or arrays by column.

        A single value stands for all rows. The table has no value where a masked array is masked.
        """

    @classmethod
    def client_of(cls, model: Any) -> Any:
        """Return the typed client of the task for a `ModelClient` or an `AsyncModelClient`."""
        from naiad.client import AsyncModelClient

        return resolve_name(cls.clients[isinstance(model, AsyncModelClient)])(model, cls())

    @classmethod
    def requests_in(cls, path: Path) -> Iterator[Arrays] | None:
        """Yield the requests in a file or folder, with the options of :meth:`sample_options`."""
        from naiad.tasks.sources import read_units

        if not cls.suffixes and not issubclass(cls, Parses):
            return None
        task = cls()
        return task.sample_requests(read_units(task, Path(path)))

    @classmethod
    def simulated_requests(cls, number: int, seed: int) -> Iterator[Arrays] | None:
        """Yield the requests of simulated units."""
        if not issubclass(cls, Simulates):
            return None
        task = cast("Any", cls())
        units = task.simulate(number, seed, cls.SimulateOptions())
        return task.sample_requests(unit for _, unit in units)

    def sample_requests(self, units: Iterable[Any]) -> Iterator[Arrays]:
        """Yield the requests for some units, with the options of :meth:`sample_options`."""
        from naiad.core.pipeline import Request

        options, card = self.sample_options(), self.card({})
        for unit in units:
            request = self.request_for(self.coerce(unit, options), options, card)
            yield request.arrays if isinstance(request, Request) else request

    def sample_options(self) -> Any:
        """Return the options of benchmark requests."""
        return self.Options()

    def request_for(self, unit: Unit, options: Any, card: Any) -> Arrays | Request:
        """Return :meth:`request`; override where tensors depend on the model, which has ``card``.

        Raises:
            InvalidInput: this model refuses the unit; says why.
        """
        return self.request(unit, options)

    def card(self, metadata: Mapping[str, str]) -> Any:
        """Return the model card, made from the parameters in the model's configuration."""
        return metadata

    def columns_of(self, card: Any, options: Any) -> tuple[Column, ...]:
        """Return the columns of results; override if they depend on classes or options."""
        return self.columns

    def facts(self, card: Any) -> Json:
        """Return the model's metadata for tables, by default its notice."""
        if isinstance(card, Mapping):
            return {"notice": str(cast("Mapping[str, object]", card).get("notice", ""))}
        return {"notice": str(getattr(card, "notice", ""))}

    def find(self, path: Path) -> Iterator[Path]:
        """Yield the inputs at a user's path: the file, or those in a folder.

        Raises:
            InvalidInput: the folder has none.
        """
        return find_files([path], self.suffixes, self.unit)

    def read(self, path: Path) -> Unit:
        """Return the unit in a file, by default its bytes.

        Raises:
            InvalidInput: it cannot be read, or is too large.
        """
        return cast("Unit", read_file(path, self.max_bytes))

    def coerce(self, unit: Any, options: Any) -> Unit:
        """Convert a user's unit for `request` and `answer`; a path is read if units are files.

        Override it if `answer` needs some of the options.
        """
        if isinstance(self, Opens) and isinstance(unit, str | Path):
            raise InvalidInput(f"{unit} is a file of {self.unit}; open it and give one of them")
        if self.suffixes and isinstance(unit, str | Path):
            return self.read(Path(unit))
        return cast("Unit", unit)


class Opens(ABC, Generic[Unit]):
    """An application whose files hold many units each."""

    @abstractmethod
    def open(self, path: Path) -> Source[Unit]:
        """Open a file.

        Raises:
            InvalidInput: it cannot be read.
        """


class Parses(ABC, Generic[Unit]):
    """An application whose units are typed on the command line: texts, numbers, titles."""

    argument: ClassVar[str] = "TEXT"
    """Name of a unit in ``--help``."""

    @abstractmethod
    def parse(self, text: str) -> Unit:
        """Return the unit that a user typed.

        Raises:
            InvalidInput: it is not a unit.
        """

    def open_table(self, path: Path) -> Source[Unit] | None:
        """Open a file whose units are not its lines, or return None for a file of lines.

        Raises:
            InvalidInput: it cannot be read.
        """
        return None


class Joins(ABC, Generic[Unit]):
    """An application where several files may make one unit, such as the channels of a scan."""

    @abstractmethod
    def parts(self, card: Any) -> Sequence[str]:
        """Return the names of the parts of one unit, in order; most models take one."""

    @abstractmethod
    def join(self, parts: Sequence[Unit]) -> Unit:
        """Return the unit joined from its parts, as they were read."""


class Reports(ABC):
    """An application with its own report of results."""

    @abstractmethod
    def report(self, count: int, card: Any, options: Any) -> Report:
        """Return an empty report for ``count`` units."""


class Draws(ABC):
    """An application that draws results."""

    most: ClassVar[int] = 1
    """Units in one picture."""

    DrawOptions: ClassVar[type[Any]] = NoOptions

    @abstractmethod
    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        """Draw up to ``most`` results into one file, whose suffix is .png, .jpg, .svg or .pdf.

        Args:
            found: the results.
            path: of the picture.
            card: from :meth:`Task.card`.
            options: of ``DrawOptions``.

        Raises:
            MissingExtra: a package for pictures is missing; raised without results, too.
        """

    def picture_name(self, found: Found) -> str:
        """Return the name of a unit's picture, without its number and ending."""
        return Path(found.name).name.partition(".")[0]


class WritesFiles(ABC, Generic[Unit, Result]):
    """An application whose results include files, such as a label map for each scan."""

    @abstractmethod
    def files(self, unit: Unit, result: Result, options: Any) -> Iterable[tuple[str, bytes]]:
        """Yield the files of a result: a suffix, such as ``_seg.nii.gz``, and the content.

        In a folder of results they are written beside the table of each input, which gets a column
        with their paths.
        """

    def writes_files(self, card: Any) -> bool:
        """Return whether results of the model with this card have files."""
        return True


Advance: TypeAlias = "Callable[[int, int | None, str | None], None]"


class Simulates(ABC, Generic[Unit]):
    """An application that makes synthetic data.

    The docstring of ``simulate`` is the help of ``naiad simulate NAME``.
    """

    simulated: ClassVar[str]
    """Name of the data, in the plural."""
    simulated_output: ClassVar[str]
    """Default output: a file or a folder."""
    simulated_number: ClassVar[int] = 100
    """Default number of units."""

    SimulateOptions: ClassVar[type[Any]] = NoOptions

    @abstractmethod
    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, Unit]]:
        """Yield units, with their names."""

    @abstractmethod
    def save(self, units: Iterator[tuple[str, Unit]], path: Path, advance: Advance) -> None:
        """Write units to a file, or a folder."""


class Trains(ABC):
    """An application that can be trained.

    The docstring of ``train`` is the help of ``naiad train NAME``.
    """

    TrainOptions: ClassVar[type[Any]] = NoOptions

    @abstractmethod
    def train(self, output: Path, options: Any, command: str, advance: Advance) -> Iterable[str]:
        """Train and write weights to a folder; return lines that summarise the training.

        Args:
            output: folder for the weights.
            options: of ``TrainOptions``.
            command: command line, to be recorded.
            advance: called with the progress.
        """


class ImportsWeights(ABC):
    """An application that imports weights trained elsewhere.

    The docstring of ``import_weights`` is the help of ``naiad weights import NAME``.
    """

    imported_as: ClassVar[tuple[str, ...]] = ()
    """Other names for ``naiad weights import``, such as that of a family of models."""

    ImportOptions: ClassVar[type[Any]] = NoOptions

    @abstractmethod
    def import_weights(self, source: Path, output: Path, options: Any) -> Iterable[str]:
        """Convert ``source`` to a folder of weights; return lines to print."""

    def served_as(self, weights: Path, options: Any) -> str:
        """Return the name under which ``naiad serve`` takes weights imported with ``options``."""
        return cast("Task[Any, Any]", self).name


def options_of(options: type, given: Mapping[str, Any]) -> Any:
    """Return an instance of a dataclass of options.

    Raises:
        InvalidInput: an option is unknown; names the known ones.
    """
    declared = cast("dict[str, Any]", getattr(options, "__dataclass_fields__", {}))
    known = [name for name, field in declared.items() if not field.metadata.get("display")]
    for name in given:
        if name not in known:
            raise InvalidInput(f"unknown option {name!r}; options: {', '.join(known) or 'none'}")
    return options(**given)
