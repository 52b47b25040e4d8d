"""The repository of an example: one model of Triton's Python backend, with its own settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.nugraph3.sides import plain_environment

import naiad
from naiad.core.pipeline import load_pipeline
from naiad.triton.config import model_config, write_config
from naiad.triton.paths import plain_temporary_directory
from naiad.triton.server import Server

FREE = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}

_START = 600.0  # seconds; MONAI's import alone takes long on a busy machine
_PROGRAMS = Path(__file__).parent / "models"


@contextmanager
def example_server(
    contract: str, program: str, parameters: Mapping[str, str], *, small: bool
) -> Iterator[tuple[Server, str]]:
    """Serve an example; yield the server and the model's name.

    Args:
        contract: the application of Naiad that has the example's inputs and outputs.
        program: file in ``models/``.
        parameters: of the program.
        small: run it with one thread, since other programs use the cores.
    """
    repository = plain_temporary_directory("naiad-example-")
    config = model_config(load_pipeline(contract), parameters)
    config.backend = "python"
    names = {"inputs": [i.name for i in config.input], "outputs": [o.name for o in config.output]}
    for key, value in names.items():
        config.parameters[key].string_value = json.dumps(value)
    version = repository / config.name / "1"
    version.mkdir(parents=True)
    write_config(config, version.parent / "config.pbtxt")
    shutil.copyfile(_PROGRAMS / program, version / "model.py")
    with plain_environment({"OMP_NUM_THREADS": "1"} if small else {}):
        server = naiad.Server(
            repository, temporary=[repository], start_timeout=_START, **FREE
        ).start()
    with server:
        yield server, config.name
