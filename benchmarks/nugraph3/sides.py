"""The servers that are compared; all run all the time, since idle ones cost nothing."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from benchmarks.reference.repository import AS_RUN, TUNED, write_repository

import naiad
from naiad.runtime.environment import numeric_environment
from naiad.triton.paths import plain_temporary_directory

_START = 600.0  # seconds; importing PyTorch Geometric four times on a busy machine takes long


@dataclass(frozen=True, slots=True)
class Side:
    """A way to serve NuGraph3: its name in reports, its model, its address, and its process."""

    name: str
    model: str
    url: str
    pid: int


NAIAD = "Naiad"
SETTINGS = {AS_RUN: "as people run it", TUNED: "best simple settings"}


@contextmanager
def serving(
    weights: Path,
    network: str = "nugraph3",
    *,
    instances: int | None = None,
    variables: Mapping[str, str] | None = None,
) -> Generator[dict[str, Side]]:
    """Serve the reference in both settings, and Naiad's ``network`` with its defaults.

    ``instances`` applies to the tuned reference and to Naiad, by default one per core;
    ``variables`` are set in the environment of the reference.
    """
    repository = plain_temporary_directory("naiad-reference-")
    names = write_repository(repository, network, weights, instances=instances)
    free = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    with plain_environment(variables or {}):
        reference = naiad.Server(
            repository, temporary=[repository], start_timeout=_START, **free
        ).start()
    with reference, naiad.serve(network, weights=weights, instances=instances, **free) as ours:
        assert reference.pid is not None
        assert ours.pid is not None
        yield {
            **{
                name: Side(name, names[setting], reference.grpc_url, reference.pid)
                for setting, name in SETTINGS.items()
            },
            NAIAD: Side(NAIAD, network, ours.grpc_url, ours.pid),
        }


@contextmanager
def plain_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Start a server without the variables for threads and malloc that Naiad sets for itself."""
    ours = numeric_environment(1).keys() | {"MKL_NUM_THREADS"}
    plain = {name: value for name, value in os.environ.items() if name not in ours}
    with (
        patch.dict("naiad.triton.engine._DEFAULTS", clear=True),
        patch.dict(os.environ, {**plain, **variables}, clear=True),
    ):
        yield
