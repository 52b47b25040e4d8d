"""Many files of a user's through a server: answers as they come, what failed, tables, pictures.

What ``naiad infer APPLICATION FILE...`` is for applications that answer file by file: the options
they share, and :func:`run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Generic, TypeAlias, TypeVar

import typer
from rich.markup import escape

from naiad.cli.connect import connected
from naiad.cli.options import time_option
from naiad.console import complain, csv_file, progress_bar, refuse_existing, say, say_notice
from naiad.errors import DeadlineExceeded, NaiadError, Unavailable

if TYPE_CHECKING:
    from naiad.client import Client

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Csv: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the results as a table.")
]
Plot: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw the files with their results, as PNG.")
]
Concurrency: TypeAlias = Annotated[int, typer.Option(min=1, help="Files with the server at once.")]
Timeout: TypeAlias = Annotated[float, time_option("Time per file.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a user wants done with some files.

    Attributes:
        paths: files, and folders of files.
        url: of the server; None to start one for this job.
        weights: of a server that is started.
        csv: file for a table of the results.
        plot: file for a picture.
        concurrency: files with the server at once.
        timeout: seconds per file.
        force: overwrite csv and plot.
    """

    paths: Sequence[Path]
    url: str | None
    weights: Path | None
    csv: Path | None
    plot: Path | None
    concurrency: int
    timeout: float
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Generic[Answer]):
    """What an application does with files.

    Attributes:
        application: as one types it after ``naiad serve``.
        what: what the files are called, in the plural.
        place: how the server calls the one file of a request, which means nothing to its sender.
        find: the files among the paths of a user.
        ask: the notice of the served weights, and an answer or error for each file, in order.
        columns: of the table.
        rows: of one file, in the table.
        show: prints all that was found.
        picture: module with ``draw(results, path, notice)`` and ``MOST``, the files it draws.
    """

    application: str
    what: str
    place: str
    find: Callable[[Iterable[Path]], Iterator[Path]]
    ask: Callable[[Client, Sequence[Path]], tuple[str, Iterable[Answer | NaiadError]]]
    columns: Sequence[str]
    rows: Callable[[Path, Answer], Iterable[Sequence[object]]]
    show: Callable[[Sequence[tuple[Path, Answer]]], None]
    picture: str


def run(job: Job, work: Work[Answer]) -> int:
    """Do it; how many files failed.

    Raises:
        NaiadError: what is to be written exists, or a folder has no such file; or as
            :func:`naiad.cli.connect.connected`.
    """
    for path in (job.csv, job.plot):
        if path is not None:
            refuse_existing(path, job.force)
    if job.plot is not None:
        import_module(work.picture)  # says so, where a library is missing
    files = list(work.find(job.paths))
    with ExitStack() as stack:
        client = stack.enter_context(
            connected(work.application, job.url, timeout=job.timeout, weights=job.weights)
        )
        # Asks for the notice: a server without the model is found before anything is written.
        notice, answers = work.ask(client, files)
        write = stack.enter_context(csv_file(job.csv, work.columns))

        def add(path: Path, answer: Answer) -> None:
            for row in work.rows(path, answer):
                write(row)

        found = collect(client, files, answers, what=work.what, place=work.place, on_answer=add)
    # Not before: lines on standard output would go through the bar on standard error.
    if found:
        work.show(found)
    say_notice(notice)
    if job.csv is not None:
        say(f"wrote [bold]{escape(str(job.csv))}[/]")
    if job.plot is not None and found:
        picture = import_module(work.picture)
        picture.draw(found[: picture.MOST], job.plot, notice)
        part = f"the first {picture.MOST}" if len(found) > picture.MOST else "the"
        say(f"drew {part} {work.what} into [bold]{escape(str(job.plot))}[/]")
    return len(files) - len(found)


def collect(
    client: Client,
    files: Sequence[Item],
    answers: Iterable[Answer | NaiadError],
    *,
    what: str,
    place: str,
    on_answer: Callable[[Item, Answer], None] = lambda file, answer: None,
) -> list[tuple[Item, Answer]]:
    """The files that got an answer, with it; the others are reported, and the rest go on.

    Args:
        client: whose server is asked.
        files: what was sent: paths, or whatever ``str`` makes a place of.
        answers: one for each file, in order.
        what: what the files are called, in the plural.
        place: how the server calls the one file of a request, which means nothing to its sender.
        on_answer: told each answer as it comes.

    Raises:
        Unavailable: the server is gone.
    """
    found: list[tuple[Item, Answer]] = []
    with progress_bar(what, len(files), unit=what) as advance:
        for number, (file, answer) in enumerate(zip(files, answers, strict=True), start=1):
            if isinstance(answer, NaiadError):
                said = str(answer).removeprefix(f"{place} ").removeprefix(f"{file} ")
                complain(f"{file}: {said}")
                gone = isinstance(answer, Unavailable | DeadlineExceeded)
                if gone and not client.ready():
                    raise Unavailable(
                        f"the server at {client.url} is gone; {len(found):,} {what} got an answer"
                    )
            else:
                found.append((file, answer))
                on_answer(file, answer)
            advance(number)
    if failed := len(files) - len(found):
        complain(f"{failed:,} of {len(files):,} {what} failed")
    return found
