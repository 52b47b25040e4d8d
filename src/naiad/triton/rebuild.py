"""A model folder written anew from its edited source, in a process of its own.

Run as ``launcher.py SOCKET -m naiad.triton.rebuild``, or by any Python, with an `Order` in JSON on
standard input; an `Answer` is written to standard output. The folder is replaced only if the model
loads and answers its example.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from naiad.core.fields import settings_of
from naiad.core.pipeline import make_pipeline
from naiad.core.settings import ModelSettings
from naiad.errors import SchemaError
from naiad.runtime.runner import Runner
from naiad.runtime.trial import attempt
from naiad.runtime.worker import begin
from naiad.tracebacks import told, traceback_of, users_part
from naiad.triton.atomic_replace import put
from naiad.triton.repository import class_of, export
from naiad.triton.sources import source_of, watched

_LOOK: Final = 0.1  # seconds between checks that an order is not outdated


@dataclass(frozen=True, slots=True)
class Order:
    """The model to write, as `naiad.triton.repository.export` takes it.

    Attributes:
        pipeline: its spec.
        name: the name that it had.
        directory: the model repository.
        settings: the changed fields of `ModelSettings`.
    """

    pipeline: str
    name: str
    directory: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of an order.

    Attributes:
        error: why the folder was not replaced, in one line, or "".
        traceback: the user's part of the error's traceback, and what was printed before it.
        watched: files on which the model depends.
    """

    error: str = ""
    traceback: str = ""
    watched: tuple[str, ...] = ()


def rebuild(
    python: Path, order: Order, outdated: Callable[[], bool], directory: str | None = None
) -> Answer | None:
    """Have a ``python``, which may be preloaded, carry out an order; None once it is outdated.

    Paths of the order are relative to ``directory``, by default this process's.
    """
    given: str | None = json.dumps(asdict(order), default=str)
    process = subprocess.Popen(
        [python, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        cwd=directory,
    )
    with process:
        while True:
            try:
                written, printed = process.communicate(given, _LOOK)
                break
            except subprocess.TimeoutExpired:
                given = None
                if outdated():
                    process.kill()
                    return None
    printed = users_part(printed).rstrip()
    if process.returncode or not written:
        return Answer(f"{_file(order)}: {_end_of(process.returncode)}", printed)
    answer = Answer(**json.loads(written))
    shown = "\n".join(filter(None, (printed, answer.traceback.rstrip())))
    return Answer(answer.error, shown, tuple(answer.watched))


def _end_of(status: int) -> str:
    if status < 0:
        return f"the process that loads it was ended by {signal.Signals(-status).name}"
    return f"the process that loads it ended with status {status}"


def main() -> None:
    """Carry out the order on standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=int, default=os.getppid())
    begin(parser.parse_args().parent)
    faulthandler.enable()
    order = Order(**json.load(sys.stdin))
    with contextlib.redirect_stdout(sys.stderr):
        try:
            answer = Answer(watched=tuple(map(str, _replace(order))))
        except BaseException as error:
            answer = Answer(told(error, _file(order)), traceback_of(error))
    print(json.dumps(asdict(answer)), flush=True)
    os._exit(0)  # to free everything would take half a second with torch


def _file(order: Order) -> str:
    return order.pipeline.partition(":")[0]


def _replace(order: Order) -> set[Path]:
    """Replace the folder; return the files on which the model depends."""
    given = settings_of(ModelSettings, order.settings)
    kind = class_of(order.pipeline, given)
    if kind.name != order.name:
        raise SchemaError(
            f"{order.pipeline} is now called {kind.name}, and was {order.name}: start the server "
            "again to rename it"
        )
    own = None if given.example else given.settings
    runner = Runner(make_pipeline(kind, given.weights, own, given.runtime), given.device)
    attempt(runner, runner.pipeline.example())
    directory = Path(order.directory)
    with tempfile.TemporaryDirectory(dir=directory.parent) as draft:
        written = export(kind, Path(draft), portable=False, **order.settings)
        put(written.path, directory / order.name)
    source = source_of(kind)
    return set() if source is None else watched(kind, source)


if __name__ == "__main__":
    main()
