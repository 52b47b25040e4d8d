"""Libraries that can run a network, tried with the same requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.exported import dense_onnx

from naiad.core.pipeline import load_pipeline
from naiad.runtime.spec import Spec
from naiad.tune.runtimes import Trial, best_runtime, measure_runtimes
from naiad.tune.workload import find_workload

DENSE = """\
from pathlib import Path
import naiad
from naiad import Tensor
from naiad.core.settings import RUNTIMES
from naiad.networks.opening import open_file
import numpy as np

class OnnxDense(naiad.Pipeline):
    inputs = {"x": Tensor("float32", ("rows", 8))}
    outputs = {"y": Tensor("float32", ("rows", 3))}
    arrays = "numpy"
    merges = True
    runtimes = RUNTIMES

    def setup(self, device):
        tried = [[np.ones((rows, 8), np.float32)] for rows in (2, 3)]
        file = Path(__file__).with_name("net.onnx")
        self.net = open_file(
            file, tried, device, runtime=self.runtime
        )

    def forward(self, batch):
        return {"y": self.net(batch["x"])[0]}
"""


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({"torch": 1.0, "openvino": 0.5}, "openvino"),
        ({"torch": 0.97, "openvino": 0.96}, None),
        ({}, None),
        ({"torch": 0.7, "onnxruntime": 0.6}, "onnxruntime"),
    ],
)
def test_another_library_must_be_clearly_faster_than_the_files_own(seconds, best):
    others = [Trial(runtime, [9.0, one, one]) for runtime, one in seconds.items()]
    refused = Trial("onnxruntime", refused="cannot")
    assert best_runtime([Trial(None, [1.0]), refused, *others]) == best


def test_libraries_take_turns_and_those_that_cannot_say_why(tmp_path: Path) -> None:
    dense_onnx(tmp_path / "net.onnx")
    path = tmp_path / "dense.py"
    path.write_text(DENSE)
    pipeline = load_pipeline(f"{path}:OnnxDense")()
    requests = find_workload(pipeline, None, seed=0).requests[:4]
    spec = Spec(f"{path}:OnnxDense", budget={})
    own, torch, openvino = measure_runtimes(spec, ("torch", "openvino"), requests, 0.1)
    assert [trial.runtime for trial in (own, torch, openvino)] == [None, "torch", "openvino"]
    assert "net.onnx is ONNX, which torch does not run" in torch.refused
    assert not torch.seconds
    for trial in (own, openvino):
        assert len(trial.seconds) == 5
        assert not trial.refused
