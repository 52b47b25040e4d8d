"""Many scans through a served bundle: label maps and pictures to files, a table to the screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from rich.markup import escape

from naiad.applications.medical.bundle.client import Answer, BundleClient, Segmentation
from naiad.applications.medical.bundle.report import columns, print_answer, rows
from naiad.applications.medical.bundle.scans import Scan, find_scans
from naiad.cli.connect import connected
from naiad.cli.many_files import collect
from naiad.client import Client
from naiad.client.ordered_map import ask_many
from naiad.console import csv_file, refuse_existing, say, say_notice
from naiad.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with some scans.

    Attributes:
        paths: files, archives and folders.
        url: of the server; None to start one for this job.
        bundle: for a server that is started.
        directory: for label maps and pictures.
        csv: file for sizes of labels or probabilities.
        picture: draw label maps over their scans.
        compress: gzip label maps.
        model: the bundle's name on the server; None for the only one.
        concurrency: scans with the server at once.
        timeout: seconds per scan.
        force: overwrite what is there.
    """

    paths: Sequence[Path]
    url: str | None = None
    bundle: Path = Path()
    directory: Path | None = None
    csv: Path | None = None
    picture: bool = True
    compress: bool = True
    model: str | None = None
    concurrency: int = 2
    timeout: float = 600.0
    force: bool = False


@dataclass(slots=True)
class _Case:
    """The files of one scan, as many as the bundle takes; the first is kept for the picture."""

    scans: Sequence[Scan]
    name: str
    first: bytes = b""

    def __str__(self) -> str:
        return ", ".join(scan.place for scan in self.scans)


def infer(job: Job) -> int:
    """Run the job; how many scans failed.

    Raises:
        RepositoryError: the bundle of a server that is started is wrong.
        NaiadError: what is to be written exists, or a folder has no scan; or as
            :func:`naiad.cli.connect.connected`.
    """
    for path in (job.directory, job.csv):
        if path is not None:
            refuse_existing(path, job.force)
    if job.directory is not None and job.picture:
        import_module(
            "naiad.applications.medical.bundle.overlay"
        )  # says so, where a library is missing
    scans = list(find_scans(job.paths))
    served = "--bundle DIR"
    if job.url is None:
        from naiad.applications.medical.bundle.pipeline import bundle_spec

        served = bundle_spec(job.bundle)
    with connected(served, job.url, timeout=job.timeout) as client:
        return _run(job, scans, client)


def _run(job: Job, scans: Sequence[Scan], client: Client) -> int:
    bundle = BundleClient.find(client, job.model)
    cases = _cases(scans, bundle.about.files)
    if job.directory is not None:
        job.directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with ExitStack() as stack:
        write = stack.enter_context(csv_file(job.csv, columns(bundle.about)))

        def keep(case: _Case, answer: Answer) -> None:
            if isinstance(answer, Segmentation) and job.directory is not None:
                written.extend(_write(job, job.directory, case, answer))
            for row in rows(answer):
                write((str(case), *row))
            case.first = b""

        answers = ask_many(
            lambda case: _ask(bundle, case, compress=job.compress, keep=job.directory is not None),
            cases,
            label=bundle.model.name,
            concurrency=job.concurrency,
            progress=False,
            on_error="return",
        )
        place = f"{bundle.about.image}[0]"
        found = collect(client, cases, answers, what="scans", place=place, on_answer=keep)
    # Not before: lines on standard output would go through the bar on standard error.
    for case, answer in found:
        print_answer(str(case), answer)
    say_notice(bundle.about.notice)
    if written:
        say(f"wrote {len(written):,} files into [bold]{escape(str(job.directory))}[/]")
    if job.csv is not None:
        say(f"wrote [bold]{escape(str(job.csv))}[/]")
    return len(cases) - len(found)


def _cases(scans: Sequence[Scan], files: Sequence[str]) -> list[_Case]:
    """The scans, so many files at a time as the bundle takes.

    Raises:
        InvalidInput: one would be left with too few.
    """
    size = len(files)
    if len(scans) % size:
        raise InvalidInput(
            f"{len(scans)} files were given; the bundle needs {size} for each scan, in this order: "
            f"{', '.join(files)}"
        )
    seen: Counter[str] = Counter()
    cases: list[_Case] = []
    for start in range(0, len(scans), size):
        name = scans[start].name
        seen[name] += 1
        number = f"_{seen[name]}" if seen[name] > 1 else ""
        cases.append(_Case(scans[start : start + size], f"{name}{number}"))
    return cases


def _ask(bundle: BundleClient, case: _Case, *, compress: bool, keep: bool) -> Answer:
    files = [scan.read() for scan in case.scans]
    answer = bundle.infer(files, compress=compress)
    if keep:
        case.first = files[0]
    return answer


def _write(job: Job, directory: Path, case: _Case, found: Segmentation) -> list[Path]:
    """Write the maps of one scan and their picture."""
    suffix = found.kind.suffix(compress=job.compress)
    files = found.save(directory / f"{case.name}_seg{suffix}")
    if not job.picture:
        return files
    from naiad.applications.medical.bundle.overlay import draw_overlay

    picture = directory / f"{case.name}_overlay.png"
    draw_overlay(case.first, found, picture, title=case.name)
    return [*files, picture]
