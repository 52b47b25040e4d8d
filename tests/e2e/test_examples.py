"""The examples, run as their first lines say, except those that need their own network."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from tests.support import forks
from tests.support.full import full
from tests.support.markdown import ROOT

# Like the example, but on free ports, as others are in use while tests run, and with one worker.
RUN = """
import functools, runpy, sys
import naiad
sys.argv = sys.argv[1:]
naiad.serve = functools.partial(
    naiad.serve, http_port=0, grpc_port=0, metrics_port=0, instances=1
)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
NAIAD = forks.naiad()


@pytest.mark.parametrize(
    ("words", "last"),
    [
        ("own_model.py", "(500, 8) -> (500, 8)"),
        ("graph_classification.py", " "),
        pytest.param("node_classification.py", "torch.Size([4, 3])", marks=full),
        pytest.param("heterogeneous.py", "])", marks=full),
        pytest.param("link_prediction.py", "tensor([", marks=full),
        pytest.param("knn_graph.py", "]]", marks=full),
        pytest.param("point_clouds.py", " ", marks=full),
        pytest.param("edge_features.py", "tensor([", marks=full),
        pytest.param("force_field.py", "torch.Size([20, 3])", marks=full),
        pytest.param("temporal.py", "tensor(", marks=full),
        ("trained_weights.py", "tensor(True)"),
        ("lightning_checkpoint.py", "tensor(True)"),
        ("dgl_weights.py", "torch.Size([5, 4])"),
        ("model_repository.py", "(4, 3)"),
        ("onnx_graph.py", "(4, 3)"),
        ("graph_store.py", "from c: "),
        ("nugraph3.py events.h5", "event 1: "),
        ("nugraph2.py events.h5", "event 1: "),
        ("gat.py graph.npz", "synthetic topic"),
    ],
)
def test_an_example_does_what_it_says(words: str, last: str, tmp_path: Path) -> None:
    name, *arguments = words.split()
    path = ROOT / "examples" / name
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("    naiad simulate "):
            _, *command = shlex.split(line.replace("-n 5", "-n 2"), comments=True)
            subprocess.run([*NAIAD, *command], cwd=tmp_path, check=True)
    done = subprocess.run(
        [forks.python(), "-c", RUN, path, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert last in done.stdout.splitlines()[-1]
