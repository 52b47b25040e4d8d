"""Time and memory of `naiad watch` for one large study, by stage.

    python -m benchmarks.watching [--size 512 512 300] [--runs 3] [--docs]

Orthanc and Triton run here. The study is a chest phantom of one CT series; `covid_ct` answers it
with a report and a picture, and a small MONAI bundle with a segmentation, too. The stages are those
of the audit log. Memory is the most of each process in a stage, in proportional set sizes. Results
must be in the archive, once, and the segmentation on all slices that have a label.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import psutil
from benchmarks.nugraph3.page import write_section
from benchmarks.phantoms import chest
from tests.support.memory import MB, Usage

from naiad import testing
from naiad.dicom.archive import Archive
from naiad.dicom.orthanc import Orthanc
from naiad.dicom.simulate import Patient, series
from naiad.dicom.source import Query
from naiad.triton.memory import proportional_size
from naiad.triton.server import Server

PAGE = Path(__file__).parents[1] / "docs" / "watching.md"
COMMAND = "benchmarks.watching"
STAGES = ("fetch", "ask", "make the results", "send")
POLL = 0.05  # seconds between samples of memory


@dataclass
class Watched:
    """A study that was watched.

    Attributes:
        seconds: by stage.
        memory: MB by stage and process: the watch, the archive, Triton and its workers.
    """

    seconds: dict[str, float]
    memory: dict[str, dict[str, float]]


@dataclass
class Sampler:
    """Samples the memory of processes until it is stopped."""

    server: Server
    archive: psutil.Process
    watch: int
    samples: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stopped.wait(POLL):
            with suppress(psutil.Error, OSError):
                usage = Usage.of(self.server)
                watch = psutil.Process(self.watch)
                ours = [watch, *watch.children(recursive=True)]
                found = {
                    "watch": sum(proportional_size(one.pid) for one in ours) / MB,
                    "archive": proportional_size(self.archive.pid) / MB,
                    "Triton": usage.triton + usage.shm,
                    "worker": usage.workers,
                }
                self.samples.append((time.time(), found))

    def most(self, begin: float, end: float) -> dict[str, float]:
        """Return the most of each process between two times, or the nearest sample."""
        inside = [found for at, found in self.samples if begin <= at <= end]
        near = min(self.samples, key=lambda sample: abs(sample[0] - end))[1]
        return {name: max(one[name] for one in inside or [near]) for name in near}


def watch(archive: Orthanc, server: Server, model: list[str], folder: Path) -> Watched:
    """Watch the archive once; return the stages of its only new study."""
    command = [
        *(sys.executable, "-m", "naiad", "watch", *model, "--url", server.grpc_url),
        *("--from", archive.url, "--to", archive.url, "--journal", str(folder / "watch.db")),
        *("--once", "--settle", "0s", "--days", "0"),
    ]
    (process,) = (one for one in psutil.Process().children() if "Orthanc" in one.name())
    with subprocess.Popen(command, env=os.environ | archive.environment) as running:
        sampler = Sampler(server, process, running.pid)
        thread = threading.Thread(target=sampler.run)
        thread.start()
        status = running.wait()
        sampler.stopped.set()
        thread.join()
    if status:
        raise SystemExit(f"naiad watch ended with status {status}")
    events = list(map(json.loads, (folder / "watch.db.audit.jsonl").read_text().splitlines()))
    at = {one["event"]: one for one in events}
    ends = {name: datetime.fromisoformat(at[name]["time"]).timestamp() for name in at}
    asked, written = at["answered"]["asked_seconds"], at["answered"]["written_seconds"]
    seconds = dict(
        zip(STAGES, (at["fetched"]["seconds"], asked, written, at["sent"]["seconds"]), strict=True)
    )
    made = ends["answered"] - written
    times = (ends["found"], ends["fetched"], made, ends["answered"], ends["sent"])
    spans = zip(STAGES, times, times[1:], strict=False)
    return Watched(seconds, {name: sampler.most(begin, end) for name, begin, end in spans})


def check(store: Archive, wanted: set[str], slices: int) -> None:
    """Check that each result is in the archive once."""
    (study,) = store.studies(Query())
    found = {one.modality: one.images for one in store.series(study)}
    if found != {"CT": slices, **dict.fromkeys(wanted, 1)}:
        raise SystemExit(f"the archive has {found}")


def measure(size: tuple[int, int, int], runs: int) -> Iterator[str]:
    """Yield the lines of the table."""
    from tests.unit.applications.medical.bundle.bundles import segmentation_bundle

    from naiad.applications.medical.bundle.pipeline import bundle_spec

    voxels = chest(size)
    bytes_ = 2 * int(np.prod(size))
    yield f"A CT of {size[0]} x {size[1]} x {size[2]} voxels ({bytes_ / 1e6:.0f} MB), {runs} runs:"
    yield ""
    yield "| | stage | seconds | MB: `naiad watch` | worker | Triton | Orthanc |"
    yield "|---|---|---|---|---|---|---|"
    with TemporaryDirectory() as scratch:
        bundle = segmentation_bundle(Path(scratch) / "phantom_segmentation")
        with testing.serve("covid_ct", bundle_spec(bundle), instances=1) as server:
            for name, wanted in (("covid_ct", {"SR", "OT"}), ("bundle", {"SEG", "SR", "OT"})):
                found: list[Watched] = []
                for run in range(runs):
                    with Orthanc() as archive:
                        store = Archive(archive.url, archive.access())
                        for one in series(voxels, (0.7, 0.7, 1.0), Patient("A^B", "1", "large")):
                            store.send([one])
                        folder = Path(scratch) / f"{name}{run}"
                        folder.mkdir()
                        found.append(watch(archive, server, [name], folder))
                        check(store, wanted, size[2])
                        store.close()
                yield from rows(name, found)


def rows(name: str, found: list[Watched]) -> Iterator[str]:
    """Yield a line for each stage, with medians of the times and the most memory."""
    for number, stage in enumerate(STAGES):
        seconds = [one.seconds[stage] for one in found]
        most: dict[str, Any] = {
            process: max(one.memory[stage][process] for one in found)
            for process in ("watch", "worker", "Triton", "archive")
        }
        cells = " | ".join(f"{value:,.0f}" for value in most.values())
        label = f"`{name}`" if number == 0 else ""
        spread = f"{median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f})"
        yield f"| {label} | {stage} | {spread} | {cells} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 300), help="of the volume")
    parser.add_argument("--runs", type=int, default=3, help="of which the median is taken")
    parser.add_argument("--docs", action="store_true", help="write the table of docs/watching.md")
    options = parser.parse_args()
    table = "\n".join(measure(tuple(options.size), options.runs))
    print(table)
    if options.docs:
        write_section(PAGE, table, COMMAND)


if __name__ == "__main__":
    main()
