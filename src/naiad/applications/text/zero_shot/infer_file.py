"""Many texts through a server: labels to the screen and to a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.markup import escape

from naiad.applications.text.embedding.files import read_lines
from naiad.applications.text.zero_shot.client import Classification, ZeroShotClient
from naiad.applications.text.zero_shot.report import print_line, print_result, table_row
from naiad.cli.connect import connected
from naiad.client import Client
from naiad.console import complain, csv_file, progress_bar, refuse_existing, say, say_notice
from naiad.errors import DeadlineExceeded, InvalidInput, NaiadError, Unavailable

MODEL: Final = "zero_shot"

_FEW = 10  # texts up to which each is printed with bars, more with a line each


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with some texts.

    Attributes:
        texts: given as they are.
        files: with a text per line; ``-`` is standard input.
        labels: what each text may be.
        hypothesis_template: a sentence with ``{}`` for the label, or "" for the network's own.
        multi_label: several labels may fit, or none.
        top: labels of each text that are shown.
        csv: file for the results.
        concurrency: texts with the server at once.
        timeout: seconds per text.
        force: overwrite csv.
    """

    texts: Sequence[str]
    files: Sequence[Path]
    labels: Sequence[str]
    hypothesis_template: str = ""
    multi_label: bool = False
    top: int = 10
    csv: Path | None = None
    concurrency: int = 8
    timeout: float = 60.0
    force: bool = False


def infer_texts(job: Job, url: str | None, weights: Path | None = None) -> int:
    """Run the job on the server at ``url``, or on one that is started for it with ``weights``.

    Returns:
        how many texts failed.

    Raises:
        Unavailable: no server is there; says how to start one.
        NaiadError: there is no text, or what is to be written exists.
    """
    if job.csv is not None:
        refuse_existing(job.csv, job.force)
    texts = [*job.texts, *read_lines(job.files)]
    if not texts:
        raise InvalidInput("there is no text; give one, or a file with one per line")
    with connected(MODEL, url, timeout=job.timeout, weights=weights) as client:
        return _run(job, texts, client)


def _run(job: Job, texts: Sequence[str], client: Client) -> int:
    model = ZeroShotClient(client.model(MODEL))
    notice = model.notice()  # a server without the model is found before anything is written
    found: list[tuple[str, Classification]] = []
    with ExitStack() as stack:
        write_row = stack.enter_context(csv_file(job.csv, ("text", "label", *job.labels)))
        advance = stack.enter_context(progress_bar("texts", len(texts), unit="texts"))
        answers = model.infer_many(
            texts,
            job.labels,
            hypothesis_template=job.hypothesis_template,
            multi_label=job.multi_label,
            concurrency=job.concurrency,
            on_error="return",
        )
        for number, (text, answer) in enumerate(zip(texts, answers, strict=True), start=1):
            if isinstance(answer, NaiadError):
                complain(f"text {number}: {str(answer).removeprefix('text[0] ')}")
                _stop_if_gone(client, answer, len(found))
            else:
                found.append((text, answer))
                write_row(table_row(text, answer, job.labels))
            advance(number)
    # Not before: lines on standard output would go through the bar on standard error.
    _print(job, found, len(texts))
    say_notice(notice)
    if job.csv is not None:
        say(f"wrote [bold]{escape(str(job.csv))}[/]")
    failed = len(texts) - len(found)
    if failed:
        complain(f"{failed:,} of {len(texts):,} texts failed")
    return failed


def _print(job: Job, found: Sequence[tuple[str, Classification]], texts: int) -> None:
    for text, answer in found:
        if texts <= _FEW:
            print_result(text, answer, job.top)
        else:
            print_line(text, answer)
    if texts > _FEW:
        counts = Counter(answer.label for _, answer in found)
        listed = ", ".join(f"{label} {count:,}" for label, count in counts.most_common())
        say(f"{len(found):,} texts: {escape(listed)}")
    truncated = sum(answer.truncated for _, answer in found)
    if truncated:
        say(f"of {truncated:,} long texts only the beginning was read")


def _stop_if_gone(client: Client, error: NaiadError, done: int) -> None:
    if isinstance(error, Unavailable | DeadlineExceeded) and not client.ready():
        raise Unavailable(f"the server at {client.url} is gone; {done:,} texts got an answer")
