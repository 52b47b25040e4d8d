"""``naiad simulate MODEL --perf-analyzer``: its files are requests that the server answers."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from naiad import testing
from naiad.cli.main import app
from naiad.client.dtypes import numpy_dtype
from naiad.client.spec import ModelSpec
from naiad.client.wire import unpack
from naiad.core.schema import Array
from naiad.triton.server import Server

DEGREE = f"{Path(__file__).parents[1] / 'unit' / 'runtime' / 'degree.py'}:Degree"
BATCHED = "inception_graphdef"
MODELS = [
    pytest.param("image", "image", id="bytes"),
    pytest.param(DEGREE, "degree", id="file"),
    pytest.param("degree", "degree", id="server"),
    pytest.param(BATCHED, BATCHED, id="batched"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with testing.serve("image", BATCHED, DEGREE, instances=1) as server:
        yield server


def simulated(server: Server, model: str, path: Path) -> Path:
    command = ["simulate", model, "--perf-analyzer", str(path), "-n", "3"]
    done = CliRunner().invoke(
        app, [*command, "--url", server.grpc_url] if model == "degree" else command
    )
    assert done.exit_code == 0, done.output
    return path


def read(tensor: dict[str, Any], datatype: str) -> Array:
    """Return a tensor as perf_analyzer sends it."""
    shape = tuple(tensor["shape"])
    if "b64" in tensor:
        return unpack(base64.b64decode(tensor["b64"], validate=True), datatype, shape)
    return np.array(tensor["content"], numpy_dtype(datatype)).reshape(shape)


@pytest.mark.parametrize(("model", "served"), MODELS)
def test_every_request_is_answered(server: Server, model: str, served: str, tmp_path: Path):
    steps = json.loads(simulated(server, model, tmp_path / "data.json").read_text())["data"]
    assert len(steps) >= 3
    with server.client() as client:
        spec = ModelSpec.from_config(client.config(served))
        for step in steps:
            arrays = {
                name: read(step[name], tensor.datatype) for name, tensor in spec.inputs.items()
            }
            if spec.max_batch_size:
                arrays = {name: array[None] for name, array in arrays.items()}
            assert set(client.infer(served, arrays)) == set(spec.outputs)


@pytest.mark.parametrize(("model", "served"), MODELS)
def test_perf_analyzer_measures_with_them(server: Server, model: str, served: str, tmp_path: Path):
    program = shutil.which("perf_analyzer")
    if program is None:
        pytest.skip("there is no perf_analyzer: it is in old wheels of tritonclient")
    data, table = simulated(server, model, tmp_path / "data.json"), tmp_path / "table.csv"
    asked = ["-m", served, "-i", "grpc", "-u", server.grpc_url, "--input-data", data]
    brief = ["--measurement-mode", "count_windows", "--measurement-request-count", "10"]
    command = [program, *asked, *brief, "--max-trials", "3", "-s", "999", "-f", table]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert table.exists(), done.stdout + done.stderr
    assert table.read_text().startswith("Concurrency,Inferences/Second")
