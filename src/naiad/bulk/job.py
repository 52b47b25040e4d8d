"""What is to be done: inputs, where their results go, and the chunks they are cut into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from naiad.bulk.application import Bulk
from naiad.errors import InvalidInput, NaiadError

STATE: Final = ".naiad"
"""Folder beside the results that has what a later run needs to continue."""

_LARGEST_CHUNK: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with some files.

    Attributes:
        application: the name of a built-in application.
        bulk: how its files are read and written.
        paths: files and folders of the user's.
        results: folder for the results.
        suffix: of the files of results, one of ``bulk.suffixes``.
        chunk: items that are kept together: what a run that is killed may have to do again.
        force: begin anew, and overwrite results.
    """

    application: str
    bulk: Bulk
    paths: Sequence[Path]
    results: Path
    suffix: str
    chunk: int = 512
    force: bool = False

    def __post_init__(self) -> None:
        if self.suffix not in self.bulk.suffixes:
            known = ", ".join(self.bulk.suffixes)
            raise InvalidInput(f"format {self.suffix!r}: results are written as {known}")
        if not 1 <= self.chunk <= _LARGEST_CHUNK:
            raise InvalidInput(f"chunk is {self.chunk}; it must be 1 to {_LARGEST_CHUNK:,}")


@dataclass(frozen=True, slots=True)
class Input:
    """One input and its places.

    Attributes:
        path: the file or folder, absolute.
        output: where its results go.
        state: folder of what is known of it while and after it is processed.
    """

    path: Path
    output: Path
    state: Path


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive items of an input, which are done together.

    Attributes:
        number: of the chunk within its input, from 0.
        path: the input.
        first: the first item.
        stop: the one behind the last.
        folder: where its part of the results goes.
        suffix: of the file of results.
    """

    number: int
    path: Path
    first: int
    stop: int
    folder: Path
    suffix: str

    @property
    def part(self) -> Path:
        """The file with the chunk's results."""
        return self.folder / f"{self.number:07d}{self.suffix}"

    @property
    def record(self) -> Path:
        """The file that says the chunk is done, and what failed of it."""
        return self.folder / f"{self.number:07d}.done"


def find_inputs(job: Job) -> list[Input]:
    """The inputs, in the order they are given, each once.

    Results are named for their inputs: ``a.h5`` for ``a.h5``, and ``run1/a.h5`` for one that was
    found in a given folder, below ``run1``.

    Raises:
        InvalidInput: a path is not there or has nothing to process, two inputs would have one
            output, or an input would be overwritten.
    """
    inputs: dict[Path, Input] = {}
    outputs: dict[Path, Path] = {}
    for path, name in _named(job):
        if path in inputs:
            continue
        output = job.results.resolve() / name
        if output in outputs:
            raise InvalidInput(
                f"{outputs[output]} and {path} would both be written to {output}; process them "
                "into different folders, or give the folder above both"
            )
        outputs[output] = path
        inputs[path] = Input(path, output, job.results / STATE / name)
    for path in inputs:
        if path in outputs:
            raise InvalidInput(f"{path} would be overwritten; write the results elsewhere with -o")
    return list(inputs.values())


def chunks_of(target: Input, items: int, size: int, suffix: str) -> Iterator[Chunk]:
    """The chunks of an input with so many items."""
    for number, first in enumerate(range(0, items, size)):
        stop = min(items, first + size)
        yield Chunk(number, target.path, first, stop, target.state / "parts", suffix)


def refuse_foreign(targets: Iterable[Input]) -> None:
    """Refuse to write over a file that no run of ours has begun.

    Raises:
        NaiadError: names the first such file.
    """
    for target in targets:
        if target.output.exists() and not target.state.exists():
            raise NaiadError(f"{target.output} exists; --force overwrites it")


def _named(job: Job) -> Iterator[tuple[Path, Path]]:
    """Absolute paths of the inputs, and names of their outputs below the folder of results."""
    for given in job.paths:
        path = _absolute(given)
        if not path.exists():
            raise InvalidInput(f"{given}: no such file or folder")
        for found in job.bulk.find(path):
            name = found.name if found == path else found.relative_to(path)
            whole = Path(name) if found.is_dir() else Path(name).with_suffix("")
            yield found, whole.with_name(whole.name + job.suffix)


def _absolute(path: Path) -> Path:
    """One path for each file, by the name it is given, which may be that of a link."""
    return path.parent.resolve() / path.name if path.name.strip(".") else path.resolve()
