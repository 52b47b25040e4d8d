"""Many image files through a server: labels to the screen, a table and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from rich.markup import escape

from naiad.cli.console import refuse_existing
from naiad.cli.many_files import CsvWriter, collect, connected, say
from naiad.client import Client
from naiad.pipelines.image.client import Classification, ImageClient
from naiad.pipelines.image.files import find_images
from naiad.pipelines.image.report import COLUMNS, print_line, print_result, rows

MODEL = "image"

# Up to so many images are printed with bars for each class, more with a line each.
_FEW = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with some images.

    Attributes:
        paths: files, and folders of files.
        url: of the server; None to start one for this job.
        weights: of a server that is started.
        top: classes of each image.
        csv: file for the results.
        plot: file for a contact sheet.
        concurrency: images with the server at once.
        timeout: seconds per image.
        force: overwrite csv and plot.
    """

    paths: Sequence[Path]
    url: str | None = None
    weights: Path | None = None
    top: int = 3
    csv: Path | None = None
    plot: Path | None = None
    concurrency: int = 8
    timeout: float = 60.0
    force: bool = False


def infer(job: Job) -> int:
    """Run the job; how many images failed.

    Raises:
        NaiadError: what is to be written exists, or a folder has no image; or as
            :func:`naiad.cli.many_files.connected`.
    """
    for path in (job.csv, job.plot):
        if path is not None:
            refuse_existing(path, job.force)
    if job.plot is not None:
        import_module("naiad.pipelines.image.sheet")  # says so, where Pillow is not installed
    images = list(find_images(job.paths))
    with connected(MODEL, job.url, timeout=job.timeout, weights=job.weights) as client:
        return _run(job, images, client)


def _run(job: Job, images: Sequence[Path], client: Client) -> int:
    model = ImageClient(client.model(MODEL))
    notice = model.notice()  # a server without the model is found before anything is written
    with ExitStack() as stack:
        table = stack.enter_context(CsvWriter(job.csv, COLUMNS)) if job.csv is not None else None

        def add(path: Path, answer: Classification) -> None:
            if table is not None:
                for row in rows(path, answer):
                    table.add(*row)

        answers = model.infer_many(
            images, top=job.top, concurrency=job.concurrency, on_error="return"
        )
        found = collect(client, images, answers, what="images", place="images[0]", on_answer=add)
    # Not before: lines on standard output would go through the bar on standard error.
    for path, answer in found:
        (print_result if len(images) <= _FEW else print_line)(path, answer)
    if len(images) > _FEW:
        counts = Counter(answer.label for _, answer in found)
        listed = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
        say(f"{len(found):,} images: {escape(listed)}")
    if notice:
        say(f"[yellow]{escape(notice)}[/]")
    _say_what_was_written(job, found)
    return len(images) - len(found)


def _say_what_was_written(job: Job, shown: Sequence[tuple[Path, Classification]]) -> None:
    if job.csv is not None:
        say(f"wrote [bold]{escape(str(job.csv))}[/]")
    if job.plot is None or not shown:
        return
    from naiad.pipelines.image.sheet import MOST, draw_sheet

    draw_sheet(shown[:MOST], job.plot)
    part = f"the first {MOST} images" if len(shown) > MOST else "the images"
    say(f"drew {part} into [bold]{escape(str(job.plot))}[/]")
