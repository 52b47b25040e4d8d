"""The demo of any task that simulates: synthetic data through a temporary server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from naiad.client import Client
from naiad.console import errors, say
from naiad.tasks.inference import Inference, infer
from naiad.tasks.task import Draws, Simulates, Task

_UNITS: Final = 12


def run(kind: type[Task[Any, Any]], directory: Path) -> None:
    """Simulate units, serve the model, ask it, print and draw; files go to ``directory``.

    Raises:
        EngineError: Triton cannot run here.
    """
    assert issubclass(kind, Simulates)
    from naiad.triton.serving import serve

    task: Any = kind()
    data = directory / kind.simulated_output
    number = min(_UNITS, kind.simulated_number)
    units = task.simulate(number, 0, kind.SimulateOptions())
    directory.mkdir(parents=True, exist_ok=True)
    task.save(units, data, lambda *_: None)
    say(f"made {number:,} {kind.simulated} in ", (str(data), "bold"))
    with errors.status("starting Triton"):
        server = serve(kind.name, http_port=0, grpc_port=0, metrics_port=0)
    what = Inference(
        task=task,
        options=task.sample_options(),
        paths=[data],
        output=directory / "results.csv",
        plot=directory / "results.png" if issubclass(kind, Draws) else None,
        drawing=kind.DrawOptions() if issubclass(kind, Draws) else None,
        concurrency=kind.concurrency,
        timeout=kind.timeout,
        force=True,
    )
    with server, Client(server.grpc_url, timeout=kind.timeout) as client:
        infer(what, client, what.inputs())
