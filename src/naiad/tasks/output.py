"""Files of results, written under a temporary name and renamed when complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from naiad.console import complain
from naiad.errors import InvalidInput, NaiadError
from naiad.files import partial_path, suffix_of, write_whole
from naiad.tasks.tables import TableWriter, check_suffix
from naiad.tasks.task import Advance, Column, Task, Writer, WritesFiles

FILES: Final = Column(
    "output", doc="files written, relative to the folder of results", fill="files"
)
"""Column of tables beside which files are written."""


class Output:
    """A file of results that appears when complete; after an error it is ``NAME.partial``.

    Use it as a context manager: on an error, results so far are kept under that name.
    """

    def __init__(
        self, task: Task[Any, Any], path: Path, card: Any, options: Any, *, files: bool = False
    ) -> None:
        """Prepare to write ``path``; the file is created with the first result.

        With ``files``, a table has a column of the files written for each result.

        Raises:
            NaiadError: the task has no format with its suffix.
        """
        check_suffix(task, suffix_of(path))
        self.path = path
        self.partial = partial_path(path)
        more = (FILES,) if files else ()
        self._begin: Callable[[], Writer] = lambda: open_writer(
            task, self.partial, card, options, more
        )
        self._writer: Writer | None = None

    def add(self, name: str, unit: Any, result: Any, files: Sequence[str] = ()) -> None:
        """Add a result, for which ``files`` were written.

        Raises:
            NaiadError: the file cannot be written; says what was kept.
        """
        try:
            if self._writer is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = self._begin()
            if isinstance(self._writer, TableWriter):
                self._writer.add(name, unit, result, files=files)
            else:
                self._writer.add(name, unit, result)
        except OSError as error:
            raise self._lost(error) from None

    def __enter__(self) -> Output:
        """Return the output itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Finish and rename the file; on an error, keep the partial one and report it."""
        if self._writer is None:
            return
        if kind is not None:
            complain(self._kept())
            return
        try:
            self._writer.close()
            self.partial.replace(self.path)
        except OSError as problem:
            raise self._lost(problem) from None
        except KeyboardInterrupt:
            complain(self._kept())
            raise

    def _lost(self, error: OSError) -> NaiadError:
        kept = ""
        if self._writer is not None:
            kept = f"; {self._kept()}"
        else:
            with suppress(OSError):
                self.partial.unlink()
        return NaiadError(f"{self.path} cannot be written: {error.strerror or error}{kept}")

    def _kept(self) -> str:
        """Finish the partial file; return what is in it, in words."""
        writer, self._writer = self._writer, None
        assert writer is not None
        try:
            with suppress(OSError):
                writer.close()
            writer.close()
        except Exception:
            return f"{self.partial} cannot be read"
        if writer.written:
            return f"the first {writer.written:,} results are in {self.partial}"
        with suppress(OSError):
            self.partial.unlink()
        return "no result was kept"


class FolderOfFiles:
    """The files of results in a folder, of which none overwrites another or an input."""

    def __init__(
        self, task: WritesFiles[Any, Any], root: Path, inputs: Iterable[Path], *, force: bool
    ) -> None:
        """Write below ``root``; ``force`` overwrites files that were there before."""
        self._task, self._root, self._force = task, root, force
        self._taken = {path.resolve() for path in inputs}

    def write(self, stem: Path, unit: Any, result: Any, options: Any) -> list[str]:
        """Write the files of a result, named ``stem`` and their suffix.

        Returns:
            Their paths relative to the folder.

        Raises:
            InvalidInput: a file would overwrite an input, or a file of another result.
            NaiadError: a file exists, or cannot be written.
        """
        written: list[str] = []
        for suffix, content in self._task.files(unit, result, options):
            name = stem.with_name(f"{stem.name}{suffix}")
            path = self._root / name
            place = path.resolve()
            if place in self._taken:
                raise InvalidInput(f"{path} is an input, or of another one; write elsewhere")
            check_places({path: None}, (), force=self._force)
            self._taken.add(place)
            write_whole(path, content)
            written.append(str(name))
        return written


def open_writer(
    task: Task[Any, Any], path: Path, card: Any, options: Any, more: Sequence[Column] = ()
) -> Writer:
    """Begin a file of results in the format of its suffix; a table has ``more`` columns."""
    if suffix_of(path) in task.formats:
        return writer_class(task, suffix_of(path))(task, path, card)
    columns = (*task.columns_of(card, options), *more)
    return TableWriter(task, path, columns, task.facts(card))


def writer_class(task: Task[Any, Any], suffix: str) -> Any:
    """Return the class that writes a format."""
    named = task.formats.get(suffix)
    if named is None:
        return TableWriter
    module, _, name = named.partition(":")
    return getattr(import_module(module), name)


def check_places(outputs: Mapping[Path, object], inputs: Iterable[Path], *, force: bool) -> None:
    """Raise `NaiadError` for an output that is an input or, unless ``force``, that exists."""
    taken = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in taken:
            raise NaiadError(f"{path} is an input; write the results elsewhere")
        if not force and (any(path.iterdir()) if path.is_dir() else path.exists()):
            raise NaiadError(f"{path} exists; --force overwrites it")


def save_files(units: Iterable[tuple[str, bytes]], path: Path, advance: Advance) -> None:
    """Write named files into a folder, for `Simulates.save`."""
    for number, (name, content) in enumerate(units, start=1):
        write_whole(path / name, content)
        advance(number, None, None)
