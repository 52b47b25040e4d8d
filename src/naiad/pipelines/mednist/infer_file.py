"""Many images through a server: their kinds to the screen, a table and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from naiad.cli.console import bar, output, refuse_existing
from naiad.cli.many_files import CsvWriter, collect, connected, say
from naiad.client import Client
from naiad.pipelines.mednist.client import Kind, MedNistClient
from naiad.pipelines.mednist.files import find_images
from naiad.pipelines.mednist.schema import CLASSES

MODEL: Final = "mednist_class"
COLUMNS: Final = ("file", "label", *CLASSES)

_BAR = 12  # characters of a probability of 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with some images.

    Attributes:
        paths: files, and folders of files.
        url: of the server; None to start one for this job.
        weights: of a server that is started.
        csv: file for the results.
        plot: file for a contact sheet.
        concurrency: images with the server at once.
        timeout: seconds per image.
        force: overwrite csv and plot.
    """

    paths: Sequence[Path]
    url: str | None = None
    weights: Path | None = None
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
        import_module("naiad.pipelines.mednist.sheet")  # says so, where Pillow is not installed
    images = list(find_images(job.paths))
    with connected("mednist", job.url, timeout=job.timeout, weights=job.weights) as client:
        return _run(job, images, client)


def _run(job: Job, images: Sequence[Path], client: Client) -> int:
    model = MedNistClient(client.model(MODEL))
    notice = model.notice()  # a server without the model is found before anything is written
    with ExitStack() as stack:
        table = stack.enter_context(CsvWriter(job.csv, COLUMNS)) if job.csv is not None else None

        def add(path: Path, kind: Kind) -> None:
            if table is not None:
                table.add(path, kind.label, *kind.scores.values())

        answers = model.infer_many(images, concurrency=job.concurrency, on_error="return")
        found = collect(client, images, answers, what="images", place="INPUT0[0, 0]", on_answer=add)
    if found:
        _print(found)
    if notice:
        say(f"[yellow]{escape(notice)}[/]")
    if job.csv is not None:
        say(f"wrote [bold]{escape(str(job.csv))}[/]")
    if job.plot is not None and found:
        from naiad.pipelines.mednist.sheet import MOST, draw

        draw(found[:MOST], job.plot, notice)
        part = f"the first {MOST} images" if len(found) > MOST else "the images"
        say(f"drew {part} into [bold]{escape(str(job.plot))}[/]")
    return len(images) - len(found)


def _print(found: Sequence[tuple[Path, Kind]]) -> None:
    table = Table.grid(padding=(0, 2))
    for path, kind in found:
        table.add_row(
            Text(kind.label, "bold"),
            f"{kind.score:.3f}",
            Text(f"{bar(kind.score, _BAR):{_BAR}}", "green"),
            Text(str(path), "dim"),
        )
    output.print(table, highlight=False, soft_wrap=True)
    counts = Counter(kind.label for _, kind in found)
    listed = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
    say(f"{len(found):,} images: {listed}")
