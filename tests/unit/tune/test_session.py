"""Short tunings of pipelines with known costs."""

from __future__ import annotations

import json

import pytest

from naiad.errors import InvalidInput, PipelineError, SchemaError
from naiad.tune.session import Settings, tune
from naiad.tuning import read_tuning

DEGREE = f"{__file__.rpartition('/tune/')[0]}/runtime/degree.py"


@pytest.mark.slow
def test_the_batch_size_where_throughput_stops_growing_is_found(tmp_path):
    told = []
    study = tune(
        Settings(f"{DEGREE}:Kneed", seconds=2.0), lambda text, share: told.append((text, share))
    )
    # 2 ms and 20 us per node: half as fast at 100 nodes as at 400, and far slower beyond.
    assert 150 <= study.tuning.budget["nodes"] <= 500
    cost = study.fit.cost
    # 6 ms, plus the time of other programs on the machine.
    assert 5e-3 < cost.seconds({"requests": 8, "nodes": 200, "edges": 200}) < 20e-3
    many, few = ({"requests": n, "nodes": 12 * n, "edges": 12 * n} for n in (32, 4))
    assert cost.seconds(many) > 1.5 * cost.seconds(few)
    assert study.stages["forward"].cost.fixed > study.stages["prepare"].cost.fixed
    assert all(0 <= share <= 1 for _, share in told)
    (tmp_path / "tuning.json").write_text(study.tuning.to_json())
    assert read_tuning(tmp_path / "tuning.json", "kneed", "cpu") == study.tuning
    facts = json.loads(study.tuning.to_json())["study"]
    assert facts["requests"] == "256 random requests"
    assert [row["batch"] for row in facts["batches"]][:3] == [1, 2, 4]


def test_requests_that_the_pipeline_refuses_are_left_out():
    study = tune(Settings(f"{DEGREE}:Picky", seconds=0.3))
    for candidate in study.candidates:
        for lot in candidate.lots:
            assert all(request.sizes["nodes"] % 2 == 0 for request in lot.requests)


def test_a_pipeline_that_raises_is_reported(tmp_path):
    path = tmp_path / "raises.py"
    path.write_text(
        "import naiad\n"
        "class Raises(naiad.Pipeline):\n"
        "    arrays = 'numpy'\n"
        "    merges = True\n"
        "    inputs = outputs = {'x': naiad.Tensor('float32', ('rows',))}\n"
        "    def forward(self, batch):\n"
        "        raise ValueError('not today')\n"
    )
    with pytest.raises(PipelineError, match=r"Raises\.forward\(\) raised ValueError: not today"):
        tune(Settings(f"{path}:Raises", seconds=0.2))


def test_a_pipeline_that_cannot_be_loaded_or_dies_is_reported(tmp_path):
    with pytest.raises(PipelineError, match="no weights today"):
        tune(Settings(f"{DEGREE}:Broken", seconds=0.2))
    path = tmp_path / "dies.py"
    path.write_text(
        "import os, naiad\n"
        "class Dies(naiad.Pipeline):\n"
        "    merges = True\n"
        "    arrays = 'numpy'\n"
        "    inputs = outputs = {'x': naiad.Tensor('float32', ('rows',))}\n"
        "    def forward(self, batch):\n"
        "        if batch.total('rows') != 8:\n"
        "            os._exit(3)\n"
        "        return dict(batch)\n"
    )
    with pytest.raises(PipelineError, match="while it was measured, the worker process ended"):
        tune(Settings(f"{path}:Dies", seconds=0.2))


def test_a_missing_pipeline_or_file_is_reported(tmp_path):
    with pytest.raises(SchemaError, match="no pipeline 'nonesuch'"):
        tune(Settings("nonesuch"))
    with pytest.raises(InvalidInput, match="no such file"):
        tune(Settings(f"{DEGREE}:Degree", data=tmp_path / "a.npz"))
