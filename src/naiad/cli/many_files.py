"""Many files of a user's through a server: answers as they come, and what failed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from rich.markup import escape

from naiad.cli.console import errors, output, progress_bar
from naiad.client import Client
from naiad.errors import DeadlineExceeded, InvalidInput, NaiadError, Unavailable

Answer = TypeVar("Answer")


@contextmanager
def connected(
    model: str, url: str | None, *, timeout: float, weights: Path | None = None
) -> Generator[Client, None, None]:
    """A client of the server at ``url``, or, with None, of one that is started for it alone.

    Args:
        model: as one types it after ``naiad serve``.
        url: of a running server.
        timeout: seconds per request.
        weights: for a server that is started.

    Raises:
        Unavailable: no server is there; says how to start one.
        EngineError: Triton cannot run here.
    """
    if url is not None:
        with Client(url, timeout=timeout) as client:
            if not client.ready():
                raise Unavailable(
                    f"no server is ready at {url}; start one in another terminal with "
                    f"`naiad serve {model}`, or add --local to start one for this command alone"
                )
            yield client
        return
    from naiad.triton.serving import serve

    with errors.status("starting Triton"):
        server = serve(model, weights=weights, http_port=0, grpc_port=0, metrics_port=0)
    with server, Client(server.grpc_url, timeout=timeout) as client:
        yield client


def collect(
    client: Client,
    files: Sequence[Path],
    answers: Iterable[Answer | NaiadError],
    *,
    what: str,
    place: str,
    on_answer: Callable[[Path, Answer], None] = lambda path, answer: None,
) -> list[tuple[Path, Answer]]:
    """The files that got an answer, with it; the others are reported, and the rest go on.

    Args:
        client: whose server is asked.
        files: what was sent.
        answers: one for each file, in order.
        what: what the files are called, in the plural.
        place: how the server calls the one file of a request, which means nothing to its sender.
        on_answer: told each answer as it comes.

    Raises:
        Unavailable: the server is gone.
    """
    found: list[tuple[Path, Answer]] = []
    with progress_bar(what, len(files), unit=what) as advance:
        for number, (path, answer) in enumerate(zip(files, answers, strict=True), start=1):
            if isinstance(answer, NaiadError):
                said = str(answer).removeprefix(f"{place} ").removeprefix(f"{path} ")
                complain(f"{path}: {said}")
                gone = isinstance(answer, Unavailable | DeadlineExceeded)
                if gone and not client.ready():
                    raise Unavailable(
                        f"the server at {client.url} is gone; {len(found):,} {what} got an answer"
                    )
            else:
                found.append((path, answer))
                on_answer(path, answer)
            advance(number)
    if failed := len(files) - len(found):
        complain(f"{failed:,} of {len(files):,} {what} failed")
    return found


class CsvWriter:
    """A table that is written row by row, as results come."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Open the file and write the names of the columns.

        Raises:
            InvalidInput: it cannot be written.
        """
        try:
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error
        self._rows = csv.writer(self._file)
        self._rows.writerow(columns)

    def __enter__(self) -> CsvWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, *values: Any) -> None:
        """Write a row; floats with six digits."""
        self._rows.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in values)


def say(text: str) -> None:
    """Print a line of markup on standard output, not wrapped."""
    output.print(text, highlight=False, soft_wrap=True)


def complain(text: str) -> None:
    """Print a line on standard error, in red."""
    errors.print(f"[red]{escape(text)}[/]", highlight=False, soft_wrap=True)
