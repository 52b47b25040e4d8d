"""Many images through a server: their kinds to the screen, a table and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.table import Table
from rich.text import Text

from naiad.applications.medical.mednist.client import Kind, MedNistClient
from naiad.applications.medical.mednist.files import find_images
from naiad.applications.medical.mednist.schema import CLASSES
from naiad.cli.many_files import Job, Work, run
from naiad.client import Client
from naiad.console import bar, output, say
from naiad.errors import NaiadError

COLUMNS: Final = ("file", "label", *CLASSES)

_BAR = 12  # characters of a probability of 1


def infer(job: Job) -> int:
    """Say which kinds images are; how many failed. Errors as `many_files.run`."""

    def ask(client: Client, images: Sequence[Path]) -> tuple[str, Iterable[Kind | NaiadError]]:
        model = MedNistClient(client.model("mednist_class"))
        answers = model.infer_many(images, concurrency=job.concurrency, on_error="return")
        return model.notice(), answers

    work: Work[Kind] = Work(
        application="mednist",
        what="images",
        place="INPUT0[0, 0]",
        find=find_images,
        ask=ask,
        columns=COLUMNS,
        rows=_rows,
        show=_show,
        picture="naiad.applications.medical.mednist.sheet",
    )
    return run(job, work)


def _rows(path: Path, kind: Kind) -> Iterator[Sequence[object]]:
    yield path, kind.label, *kind.scores.values()


def _show(found: Sequence[tuple[Path, Kind]]) -> None:
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
