"""The NuGraph3 demo: from an event file to labels and a picture, on its own Triton."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from naiad.applications.nugraph.report import print_stages
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.console import output, say
from naiad.tasks.inference import Inference, infer
from naiad.triton.repository import export
from naiad.triton.server import Server

EVENTS = Path(__file__).parent / "data" / "example.h5"
"""A few simulated events."""

_PRINTED = 3
_LIVELIEST = 2  # the event whose picture is also saved under a plain name


def run(directory: Path) -> None:
    """Export, serve, infer, print, draw and shut down; files go to ``directory``.

    Raises:
        NaiadError: a step failed; says which and why.
    """
    began = time.perf_counter()
    model = export("nugraph3", directory / "models")
    _step("exported", str(model.path))
    server = Server(
        directory / "models",
        http_port=0,
        grpc_port=0,
        metrics_port=0,
        probes={model.name: model.example()},
    )
    with output.status("starting Triton"):
        server.start()
    with server:
        _step("serving", f"gRPC {server.grpc_url}, HTTP {server.http_url}")
        _step("first answer", f"{server.started_in:.1f} s after the start")
        what = Inference(
            task=NuGraph3Task(),
            options=NuGraph3Task.Options(),
            paths=[EVENTS],
            chosen=slice(0, _PRINTED),
            output=directory / "labels.h5",
            plot=directory,
            drawing=NuGraph3Task.DrawOptions(truth=True),
            concurrency=NuGraph3Task.concurrency,
            timeout=NuGraph3Task.timeout,
            force=True,
        )
        with server.client() as client:
            infer(what, client, what.inputs())
        print_stages(stage_seconds(server))
        _step("shutting down", "requests in flight are finished first")
    (liveliest,) = directory.glob(f"{_LIVELIEST:05d}-*.png")
    picture = shutil.copyfile(liveliest, directory / "event_display.png")
    _step("look at", str(picture))
    _step("done", f"in {time.perf_counter() - began:.1f} s")


def stage_seconds(server: Server) -> dict[str, float]:
    """Return the server's mean seconds per request in each stage."""
    time.sleep(0.5)  # a model reports its counts to Triton four times a second
    requests = max(1.0, server.metric("naiad_requests_total", model="nugraph3"))
    return {
        stage: server.metric("naiad_stage_seconds_sum", model="nugraph3", stage=stage) / requests
        for stage in ("queue", "prepare", "collate", "forward", "split", "finish")
    }


def _step(what: str, text: str) -> None:
    say((what, "bold"), f" {text}")
