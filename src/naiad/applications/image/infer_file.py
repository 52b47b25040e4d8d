"""Many image files through a server: labels to the screen, a table and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.markup import escape

from naiad.applications.image.client import Classification, ImageClient
from naiad.applications.image.files import find_images
from naiad.applications.image.report import COLUMNS, print_line, print_result, rows
from naiad.cli.many_files import Job, Work, run
from naiad.client import Client
from naiad.console import say
from naiad.errors import NaiadError

# Up to so many images are printed with bars for each class, more with a line each.
_FEW = 9


def infer(job: Job, *, top: int) -> int:
    """Say the ``top`` classes of images; how many images failed. Errors as `many_files.run`."""

    def ask(
        client: Client, images: Sequence[Path]
    ) -> tuple[str, Iterable[Classification | NaiadError]]:
        model = ImageClient(client.model("image"))
        answers = model.infer_many(images, top=top, concurrency=job.concurrency, on_error="return")
        return model.notice(), answers

    work: Work[Classification] = Work(
        application="image",
        what="images",
        place="images[0]",
        find=find_images,
        ask=ask,
        columns=COLUMNS,
        rows=rows,
        show=_show,
        picture="naiad.applications.image.sheet",
    )
    return run(job, work)


def _show(found: Sequence[tuple[Path, Classification]]) -> None:
    for path, answer in found:
        (print_result if len(found) <= _FEW else print_line)(path, answer)
    if len(found) > _FEW:
        counts = Counter(answer.label for _, answer in found)
        listed = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
        say(f"{len(found):,} images: {escape(listed)}")
