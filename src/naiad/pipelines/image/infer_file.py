"""Many image files through a server: labels to the screen, a table and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from rich.markup import escape

from naiad.cli.connect import connected
from naiad.cli.console import csv_file, errors, output, progress_bar, refuse_existing
from naiad.client import Client
from naiad.errors import DeadlineExceeded, NaiadError, Unavailable
from naiad.pipelines.image.client import Classification, ImageClient
from naiad.pipelines.image.files import find_images
from naiad.pipelines.image.report import COLUMNS, print_line, print_result, table_rows

MODEL = "image"

# Up to so many images are printed with bars for each class, more with a line each.
_FEW = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with some images.

    Attributes:
        paths: files, and folders of files.
        top: classes of each image.
        csv: file for the results.
        plot: file for a contact sheet.
        concurrency: images with the server at once.
        timeout: seconds per image.
        force: overwrite csv and plot.
    """

    paths: Sequence[Path]
    top: int = 3
    csv: Path | None = None
    plot: Path | None = None
    concurrency: int = 8
    timeout: float = 60.0
    force: bool = False


def infer_images(job: Job, url: str | None, weights: Path | None = None) -> int:
    """Run the job on the server at ``url``, or on one that is started for it with ``weights``.

    Returns:
        how many images failed.

    Raises:
        Unavailable: no server is there; says how to start one.
        EngineError: Triton cannot run here.
        NaiadError: what is to be written exists, or a folder has no image.
    """
    images = _images(job)
    with connected(MODEL, url, timeout=job.timeout, weights=weights) as client:
        return _run(job, images, client)


def _images(job: Job) -> list[Path]:
    """The images; anything that would make the job fail later is found here."""
    for path in (job.csv, job.plot):
        if path is not None:
            refuse_existing(path, job.force)
    if job.plot is not None:
        import_module("naiad.pipelines.image.sheet")  # says so, where Pillow is not installed
    return list(find_images(job.paths))


def _run(job: Job, images: Sequence[Path], client: Client) -> int:
    model = ImageClient(client.model(MODEL))
    notice = model.notice()  # a server without the model is found before anything is written
    counts: Counter[str] = Counter()
    found: list[tuple[Path, Classification]] = []
    with ExitStack() as stack:
        write_row = stack.enter_context(csv_file(job.csv, COLUMNS))
        advance = stack.enter_context(progress_bar("images", len(images), unit="images"))
        answers = model.infer_many(
            images, top=job.top, concurrency=job.concurrency, on_error="return"
        )
        for number, (path, answer) in enumerate(zip(images, answers, strict=True), start=1):
            if isinstance(answer, NaiadError):
                _complain(f"{path}: {_said(answer, path)}")
                _stop_if_gone(client, answer, counts.total())
            else:
                counts[answer.label] += 1
                found.append((path, answer))
                for row in table_rows(path, answer):
                    write_row(row)
            advance(number)
    # Not before: lines on standard output would go through the bar on standard error.
    for path, answer in found:
        (print_result if len(images) <= _FEW else print_line)(path, answer)
    if len(images) > _FEW:
        listed = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
        _say(f"{counts.total():,} images: {escape(listed)}")
    if notice:
        _say(f"[yellow]{escape(notice)}[/]")
    _say_what_was_written(job, found)
    failed = len(images) - counts.total()
    if failed:
        _complain(f"{failed:,} of {len(images):,} images failed")
    return failed


def _say_what_was_written(job: Job, shown: Sequence[tuple[Path, Classification]]) -> None:
    if job.csv is not None:
        _say(f"wrote [bold]{escape(str(job.csv))}[/]")
    if job.plot is None or not shown:
        return
    from naiad.pipelines.image.sheet import MOST, draw_sheet

    draw_sheet(shown[:MOST], job.plot)
    part = f"the first {MOST} images" if len(shown) > MOST else "the images"
    _say(f"drew {part} into [bold]{escape(str(job.plot))}[/]")


def _said(error: NaiadError, path: Path) -> str:
    """The message, without the places that mean nothing to who has named one file."""
    return str(error).removeprefix("images[0] ").removeprefix(f"{path} ")


def _stop_if_gone(client: Client, error: NaiadError, done: int) -> None:
    if isinstance(error, Unavailable | DeadlineExceeded) and not client.ready():
        raise Unavailable(f"the server at {client.url} is gone; {done:,} images got an answer")


def _say(text: str) -> None:
    output.print(text, highlight=False, soft_wrap=True)


def _complain(text: str) -> None:
    errors.print(f"[red]{escape(text)}[/]", highlight=False, soft_wrap=True)
