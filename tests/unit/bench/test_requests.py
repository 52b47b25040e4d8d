from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naiad.applications.nugraph.demo import EVENTS
from naiad.applications.nugraph.schema import INPUTS
from naiad.bench.requests import find_requests, generate, model_name
from naiad.bench.target import payload
from naiad.client.checks import checked_inputs
from naiad.client.spec import ModelSpec, TensorSpec
from naiad.errors import InvalidInput

DEGREE = f"{Path(__file__).parents[1] / 'runtime' / 'degree.py'}:Degree"


def spec(name="any", batch=0, **inputs):
    tensors = {n: TensorSpec(n, kind, dims) for n, (kind, dims) in inputs.items()}
    return ModelSpec(name, tensors, {}, batch)


@pytest.mark.parametrize("batch", [0, 8])
def test_any_model_is_asked_something_that_it_takes(batch):
    model = spec(
        batch=batch,
        x=("FP32", (-1, 3)),
        edges=("INT64", (2, -1)),
        texts=("BYTES", (-1,)),
        flag=("BOOL", (1,)),
    )
    arrays = generate(model)
    assert set(checked_inputs(model, arrays)) == {"x", "edges", "texts", "flag"}
    assert not arrays["edges"].any()


def test_optional_tensors_are_left_out():
    model = ModelSpec("any", {"x": TensorSpec("x", "FP32", (-1,), optional=True)}, {})
    assert generate(model) == {}


def test_a_pipeline_is_asked_its_example_by_its_name():
    assert model_name(DEGREE) == "degree"
    assert model_name("anything") == "anything"
    found = find_requests(DEGREE, spec("degree"), None)
    assert found.source == "the model's example"
    assert set(found.arrays[0]) == {"x", "edge_index"}


def test_events_of_a_file_are_requests_of_nugraph3():
    found = find_requests("nugraph3", spec("nugraph3"), EVENTS)
    assert len(found.arrays) > 1
    assert all(set(arrays) == set(INPUTS) for arrays in found.arrays)
    assert str(EVENTS) in found.source


def test_a_file_for_a_model_without_files_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="cannot read files of requests for model degree"):
        find_requests(DEGREE, spec("degree"), tmp_path)


def test_a_payload_is_what_travels():
    arrays = {
        "x": np.zeros((3, 2), np.float32),
        "texts": np.array([b"ab", b""], dtype=object),
    }
    assert payload(arrays) == 24 + (4 + 2) + 4
