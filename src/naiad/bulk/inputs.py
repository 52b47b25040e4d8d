"""Inputs of a run, the paths of their results, and the chunks they are cut into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from naiad.bulk.settings import Settings
from naiad.errors import InvalidInput, NaiadError

STATE: Final = ".naiad"
"""Folder beside the results, with the state that a later run resumes from."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input and its paths.

    Attributes:
        path: the file or folder, absolute.
        output: where its results go.
        state: folder for its journal.
    """

    path: Path
    output: Path
    state: Path


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive items of an input that are processed together.

    Attributes:
        number: of the chunk within its input, from 0.
        path: the input.
        first: the first item.
        stop: the item after the last.
        folder: for its part of the results.
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
        """The file that marks the chunk as done and lists its failures."""
        return self.folder / f"{self.number:07d}.done"


def find_inputs(settings: Settings) -> list[Input]:
    """Return the inputs in the order they are given, each once.

    Results are named after their inputs: ``a.h5`` for ``a.h5``, and ``run1/a.h5`` for one found
    below ``run1`` in a given folder.

    Raises:
        InvalidInput: a path does not exist or has nothing to process, two inputs would have the
            same output, or an input would be overwritten.
    """
    inputs: dict[Path, Input] = {}
    outputs: dict[Path, Path] = {}
    for path, name in _named(settings):
        if path in inputs:
            continue
        output = settings.results.resolve() / name
        if output in outputs:
            raise InvalidInput(
                f"{outputs[output]} and {path} would both be written to {output}; write them to "
                "different folders, or give the folder above both"
            )
        outputs[output] = path
        inputs[path] = Input(path, output, settings.results / STATE / name)
    for path in inputs:
        if path in outputs:
            raise InvalidInput(f"{path} would be overwritten; write the results elsewhere with -o")
    return list(inputs.values())


def chunks_of(target: Input, items: int, size: int, suffix: str) -> Iterator[Chunk]:
    """Yield the chunks of an input that has ``items`` items."""
    for number, first in enumerate(range(0, items, size)):
        stop = min(items, first + size)
        yield Chunk(number, target.path, first, stop, target.state / "parts", suffix)


def refuse_foreign(targets: Iterable[Input]) -> None:
    """Refuse to overwrite a file that no run of ours has begun.

    Raises:
        NaiadError: names the first such file.
    """
    for target in targets:
        if target.output.exists() and not target.state.exists():
            raise NaiadError(f"{target.output} exists; --force overwrites it")


def _named(settings: Settings) -> Iterator[tuple[Path, Path]]:
    """Yield the absolute path of each input, and its output's name in the folder of results."""
    for given in settings.paths:
        path = _absolute(given)
        if not path.exists():
            raise InvalidInput(f"{given}: no such file or folder")
        for found in settings.bulk.find(path):
            name = found.name if found == path else found.relative_to(path)
            whole = Path(name) if found.is_dir() else Path(name).with_suffix("")
            yield found, whole.with_name(whole.name + settings.suffix)


def _absolute(path: Path) -> Path:
    """Return one path for each file, under the name given, which may be that of a link."""
    return path.parent.resolve() / path.name if path.name.strip(".") else path.resolve()
