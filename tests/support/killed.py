"""Commands of naiad that kill themselves at a step: kill -9, as a power cut does.

A process imports everything once; each command runs in a fork of it::

    before naiad.watch.journal:Journal.sent 1     the first time, before it is called
    after naiad.dicom.archive:Archive.send 2      the second time, after it returned
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

MODULES = (
    *("naiad.cli.watch", "naiad.dicom.archive", "naiad.dicom.results", "naiad.watch.watching"),
    *("naiad.dicom.capture", "naiad.dicom.seg", "naiad.dicom.sr", "matplotlib.pyplot"),
    *("naiad.applications.medical.covid_ct.slices", "naiad.client.http", "nibabel"),
)


@dataclass
class Commands:
    """The process that forks."""

    process: subprocess.Popen[str]

    def run(self, arguments: Sequence[str | Path], step: str = "") -> tuple[int, str]:
        """Return the status of a command, negative for a signal, and what it printed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = {"arguments": list(map(str, arguments)), "step": step}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        status, output = json.loads(self.process.stdout.readline())
        return status, output


@contextmanager
def forking(stored: Path, **environment: str) -> Iterator[Commands]:
    """Start the process; the UIDs of instances that archives stored are appended to ``stored``."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.killed", str(stored)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    ) as process:
        try:
            yield Commands(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def arm(step: str) -> None:
    """Make this process kill itself at a step."""
    when, name, count = step.split()
    module, _, path = name.partition(":")
    kind, _, attribute = path.rpartition(".")
    owner = resolve_name(f"{module}:{kind}" if kind else module)
    called, calls = getattr(owner, attribute), int(count)

    def killing(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls -= 1
        if calls == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = called(*arguments, **options)
        if calls == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, attribute, killing)


def record(stored: Path) -> None:
    """Append the UID of each instance that an archive was sent."""
    from dicomweb_client.web import DICOMwebClient

    store = DICOMwebClient.store_instances

    def storing(self: Any, datasets: Any, *arguments: Any, **options: Any) -> Any:
        answer = store(self, datasets, *arguments, **options)
        with stored.open("a") as file:
            file.writelines(f"{one.SOPInstanceUID}\n" for one in datasets)
        return answer

    DICOMwebClient.store_instances = storing


def command(arguments: Sequence[str], step: str, output: int) -> None:
    """Run a command in this process, which it ends."""
    from naiad.cli.main import main

    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))  # noqa: SIM115
    sys.argv = ["naiad", *arguments]
    if step:
        arm(step)
    status = 0
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        status = 99
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def serve() -> None:
    for module in MODULES:
        __import__(module)
    record(Path(sys.argv[1]))
    for line in sys.stdin:
        asked = json.loads(line)
        read, write = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(read)
            command(asked["arguments"], asked["step"], write)
        os.close(write)
        with os.fdopen(read) as file:
            text = file.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps([status, text]), flush=True)


if __name__ == "__main__":
    serve()
