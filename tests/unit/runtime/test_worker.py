"""A worker answers its pipeline's example before it reports ready."""

from __future__ import annotations

import logging

import pytest

from naiad.runtime.spec import Spec
from naiad.runtime.worker import load

PIPELINE = """
import numpy as np
from naiad import Pipeline, Tensor

class Model(Pipeline):
    inputs = {
        "x": Tensor("float32", ("rows",)),
        "power": Tensor("float32", (1,), optional=True, default=2.0),
    }
    outputs = {"y": Tensor("float32", ("rows",))}
    arrays = "numpy"

    def example(self):
        return {"x": np.arange(3, dtype=np.float32)}

    def forward(self, batch):
        return {"y": BODY}
"""


@pytest.mark.parametrize(
    ("body", "warnings"),
    [('batch["x"] ** batch["power"][0]', 0), ('batch["x"] / batch["z"]', 1)],
)
def test_what_an_example_leaves_out_has_its_default(tmp_path, caplog, body, warnings):
    (tmp_path / "model.py").write_text(PIPELINE.replace("BODY", body))
    with caplog.at_level(logging.WARNING, "naiad.runtime.worker"):
        load(Spec(f"{tmp_path}/model.py:Model", None, "cpu", 1, None))
    found = [record for record in caplog.records if record.name == "naiad.runtime.worker"]
    assert len(found) == warnings
    assert all("does not answer its own example" in record.message for record in found)
