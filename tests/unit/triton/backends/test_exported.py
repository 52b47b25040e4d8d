"""A model file with Triton's own rules as a pipeline: merged by rows, or run one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.exported import AddSub, Dense, dense_onnx, echo_onnx, script

from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import Array, validate
from naiad.errors import PipelineError, RepositoryError
from naiad.runtime.runner import Report, Runner
from naiad.triton.backends.exported import exported_pipeline
from naiad.triton.backends.rows import by_rows
from naiad.triton.model_config import read_model_config

DENSE = """backend: "onnxruntime" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [8] }
output { name: "y" data_type: TYPE_FP32 dims: [3] }
"""
ADD = """backend: "pytorch"
input [ { name: "a" data_type: TYPE_INT32 dims: [-1] },
        { name: "b" data_type: TYPE_INT32 dims: [-1] } ]
output [ { name: "sum__0" data_type: TYPE_INT32 dims: [-1] },
         { name: "difference__1" data_type: TYPE_INT32 dims: [-1] } ]
"""
ECHO = """backend: "onnxruntime"
input [ { name: "words" data_type: TYPE_STRING dims: [-1] },
        { name: "numbers" data_type: TYPE_INT64 dims: [4] } ]
output [ { name: "echoed" data_type: TYPE_STRING dims: [-1] },
         { name: "doubled" data_type: TYPE_INT64 dims: [4] } ]
"""


def made(config) -> type[Pipeline]:
    return exported_pipeline(read_model_config(config.path), "1")


def run(kind: type[Pipeline], requests: Sequence[Mapping[str, Array]]) -> Report:
    checked = [Request(arrays, validate(kind.inputs, arrays)) for arrays in requests]
    return Runner(kind(None)).run(checked)


@pytest.fixture
def dense(write) -> tuple[type[Pipeline], onnxruntime.InferenceSession]:
    config = write(DENSE, dense_onnx, "model.onnx")
    return made(config), onnxruntime.InferenceSession(config.path / "1" / "model.onnx")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_rows_of_requests_are_run_together_and_split(dense, rows: list[int]):
    kind, session = dense
    rng = np.random.default_rng(len(rows))
    requests = [{"x": rng.random((n, 8), np.float32)} for n in rows]
    report = run(kind, requests)
    for arrays, outcome in zip(requests, report.outcomes, strict=True):
        np.testing.assert_allclose(outcome["y"], session.run(None, arrays)[0], rtol=1e-5)
    assert all(batch["batch"] <= 8 for batch in report.batches)
    assert len(report.batches) <= -(-sum(rows) // 5), "batches are filled"


def test_one_request_gets_the_bits_that_the_file_gives(dense):
    kind, session = dense
    x = np.random.default_rng(0).random((3, 8), np.float32)
    (outcome,) = run(kind, [{"x": x}]).outcomes
    assert np.array_equal(outcome["y"], session.run(None, {"x": x})[0])


def test_rows_of_other_inner_sizes_are_not_merged(write, tmp_path: Path):
    config = write(DENSE.replace("dims: [8]", "dims: [-1]"), lambda path: script(Dense(), path))
    layout = by_rows(read_model_config(config.path))
    assert layout.inputs["x"].dims == ("batch", "x.0")
    assert layout.budget == {"batch": 8}


def test_without_a_batch_dimension_each_runs_by_itself(write):
    kind = made(write(ADD, lambda path: script(AddSub(), path)))
    requests = [{"a": np.arange(n, dtype=np.int32), "b": np.ones(n, np.int32)} for n in (1, 3, 3)]
    report = run(kind, requests)
    for arrays, outcome in zip(requests, report.outcomes, strict=True):
        assert outcome["sum__0"].tolist() == (arrays["a"] + arrays["b"]).tolist()
        assert outcome["difference__1"].tolist() == (arrays["a"] - arrays["b"]).tolist()
    assert [batch["requests"] for batch in report.batches] == [1, 1, 1]


def test_an_error_of_the_model_is_its_request_s_only(write):
    kind = made(write(ADD, lambda path: script(AddSub(), path)))
    good = {"a": np.ones(2, np.int32), "b": np.ones(2, np.int32)}
    bad = {"a": np.ones(2, np.int32), "b": np.ones(3, np.int32)}
    first, second, third = run(kind, [good, bad, good]).outcomes
    assert isinstance(second, PipelineError)
    assert "m failed: " in str(second)
    assert first["sum__0"].tolist() == third["sum__0"].tolist() == [2, 2]


def test_strings_pass_as_bytes(write):
    kind = made(write(ECHO, echo_onnx, "model.onnx"))
    words = np.array([b"a", "zwölf".encode(), b""], dtype=object)
    (outcome,) = run(kind, [{"words": words, "numbers": np.arange(4)}]).outcomes
    assert outcome["echoed"].tolist() == words.tolist()
    assert outcome["doubled"].tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize(("text", "save", "file"), [
    (DENSE, dense_onnx, "model.onnx"),
    (ADD, lambda path: script(AddSub(), path), "model.pt"),
    (ECHO, echo_onnx, "model.onnx"),
])  # fmt: skip
def test_a_model_answers_its_own_example(write, text: str, save, file: str):
    kind = made(write(text, save, file))
    (outcome,) = run(kind, [kind(None).example()]).outcomes
    assert not isinstance(outcome, PipelineError)


def test_an_output_that_is_not_by_row_is_told(write):
    config = write(DENSE.replace("dims: [3]", "dims: [4]"), dense_onnx, "model.onnx")
    with pytest.raises(RepositoryError, match=r"output\[0\].dims is \[4\]"):
        Runner(made(config)(None))


def test_a_dtype_that_nothing_here_has_is_named(write):
    config = write(DENSE.replace("TYPE_FP32 dims: [3]", "TYPE_BF16 dims: [3]"), dense_onnx)
    with pytest.raises(RepositoryError, match=r"output\[0\].data_type is TYPE_BF16; it must be"):
        by_rows(read_model_config(config.path))
