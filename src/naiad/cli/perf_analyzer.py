"""``naiad simulate MODEL --perf-analyzer FILE``: requests for NVIDIA's load generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from naiad.application import Application, application
from naiad.cli.connect import open_client
from naiad.cli.options import Force, Url
from naiad.console import refuse_existing, say

if TYPE_CHECKING:
    from naiad.core.schema import Arrays

NUMBER: Final = 16
OPTION: Final = typer.Option(
    "--perf-analyzer",
    metavar="FILE",
    help="Write requests for NVIDIA's perf_analyzer, as its --input-data takes them.",
    show_default=False,
)


def requests_command(model: str | type[Application]) -> Callable[..., None]:
    """Make ``naiad simulate MODEL`` for a model without simulated data."""

    def simulate(
        perf_analyzer: Annotated[Path, OPTION],
        number: Annotated[int, typer.Option("-n", min=1, help="Number of requests.")] = NUMBER,
        seed: Annotated[
            int, typer.Option(min=0, help="Random seed; the same seed gives the same requests.")
        ] = 0,
        url: Url = "localhost:8001",
        force: Force = False,
    ) -> None:
        """Make requests for any model: like its example, or random ones.

        No server is needed for an application and my_model.py:MyModel. Requests for another model
        are made by its configuration on the server.

        [bold]Examples[/]

          naiad simulate my_model.py:MyModel --perf-analyzer data.json
          perf_analyzer -m my_model -i grpc -u localhost:8001 --input-data data.json
        """
        write(model, perf_analyzer, number=number, seed=seed, url=url, force=force)

    return simulate


def write(
    model: str | type[Application],
    path: Path,
    *,
    number: int,
    seed: int,
    force: bool,
    url: str = "localhost:8001",
) -> None:
    """Write requests for an application, a pipeline FILE.py:CLASS, or a model on the server.

    Raises:
        NaiadError: there is no such model, or the file cannot be written.
    """
    from naiad.bench.perf_analyzer import write_requests

    refuse_existing(path, force)
    requests, source, batched = _found(model, number, seed, url)
    count = write_requests(path, requests, batched=batched)
    say(f"wrote {count:,} requests to ", (str(path), "bold"), f": {source}")


def _found(
    model: str | type[Application], number: int, seed: int, url: str
) -> tuple[Sequence[Arrays], str, bool]:
    """Return requests, their origin, and whether they have Triton's batch dimension."""
    known = application(model) if isinstance(model, str) else model
    if known is None and isinstance(model, str) and ":" not in model:
        from naiad.bench.requests import generate
        from naiad.client.spec import ModelSpec

        with open_client(url) as client:
            spec = ModelSpec.from_config(client.config(model))
        made = [generate(spec, seed + one) for one in range(number)]
        return made, "random values", spec.max_batch_size > 0
    from naiad.core.pipeline import load_pipeline
    from naiad.tune.workload import find_workload

    pipeline = load_pipeline(str(model) if known is None else known.pipeline)()
    workload = find_workload(pipeline, None, seed, most=number)
    arrays = [dict(request.arrays) for request in workload.requests]
    return arrays, workload.source, pipeline.max_batch_size > 0
