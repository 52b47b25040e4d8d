"""The NuGraph3 pipeline: its hooks from request to reply."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.unit.applications.nugraph.graphs import assert_close, event, golden, golden_event

from naiad.applications.nugraph import native_library
from naiad.applications.nugraph.card import Architecture, NuGraph3Card
from naiad.applications.nugraph.model import NuGraph3Net
from naiad.applications.nugraph.pipeline import NuGraph3
from naiad.applications.nugraph.schema import INPUTS, OUTPUTS, SAMPLE
from naiad.applications.nugraph.weights import import_checkpoint, save_weights
from naiad.core.merging import collate, split
from naiad.core.pipeline import Request
from naiad.core.schema import measure, validate
from naiad.errors import InvalidInput, WeightsError


def save(folder, architecture=None, **changes):
    architecture = architecture or Architecture()
    values = {
        "architecture": architecture,
        "semantic_classes": tuple(f"s{i}" for i in range(architecture.semantic_classes)),
        "event_classes": tuple(f"e{i}" for i in range(architecture.event_classes)),
        "mean": dict.fromkeys("uvy", (400.0, 170.0, 150.0, 4.5)),
        "std": dict.fromkeys("uvy", (200.0, 80.0, 200.0, 2.0)),
        "notice": "for tests",
    }
    torch.manual_seed(0)
    save_weights(NuGraph3Net(architecture), NuGraph3Card(**{**values, **changes}), folder)
    return folder


@pytest.fixture
def pipeline(tmp_path) -> NuGraph3:
    made = NuGraph3(save(tmp_path / "weights"))
    made.setup("cpu")
    return made


def run(pipeline, *events, **parameters):
    """Call all hooks as the runtime does."""
    requests = [Request(e, validate(INPUTS, e), parameters=parameters) for e in events]
    samples = [pipeline.prepare(request) for request in requests]
    batch = collate(SAMPLE, samples, [measure(SAMPLE, sample) for sample in samples])
    result = {k: np.asarray(v) for k, v in pipeline.forward(batch).items()}
    sizes = {dim: batch.sizes(dim) for tensor in SAMPLE.values() for dim in tensor.names}
    shares = split(OUTPUTS, result, sizes, batch.requests)
    return [pipeline.finish(share) for share in shares]


def test_a_real_event_is_answered_as_by_the_original(shared_data, tmp_path):
    reference = golden(shared_data)
    import_checkpoint(shared_data / "nugraph3" / "hierarchical.ckpt", tmp_path / "w")
    pipeline = NuGraph3(tmp_path / "w")
    pipeline.setup("cpu")
    other = pipeline.example()
    _, answer, _ = run(pipeline, other, golden_event(reference), event((3, 0, 1), 2))
    assert answer.pop("unknown_hits").tolist() == [0]
    assert_close(answer, {name: reference[name] for name in answer})


def test_answers_have_the_shapes_of_the_contract(pipeline):
    arrays = event((5, 0, 2), 4, missing=0)
    arrays["spacepoint_table_hit_id_u"][1] = 12345
    (answer,) = run(pipeline, arrays)
    shapes = {"e_evt": (1, 4), "v_evt": (1, 3), "unknown_hits": (1,)}
    for plane, hits in (("u", 5), ("v", 0), ("y", 2)):
        shapes |= {f"x_semantic_{plane}": (hits, 7), f"x_filter_{plane}": (hits,)}
    assert {name: array.shape for name, array in answer.items()} == shapes
    assert answer["unknown_hits"].dtype == np.int32
    assert answer["unknown_hits"].tolist() == [1]


def test_the_example_is_a_request_that_is_answered(pipeline):
    example = pipeline.example()
    assert validate(INPUTS, example)["hits"] == 144
    (answer,) = run(pipeline, example, strict=True)
    assert all(np.isfinite(array).all() for array in answer.values())


@pytest.mark.parametrize(("value", "strict"), [(True, True), ("true", True), ("False", False)])
def test_strict_is_a_request_parameter(pipeline, value, strict):
    arrays = event()
    arrays["spacepoint_table_hit_id_v"][4] = 12345
    if strict:
        with pytest.raises(InvalidInput, match=r"spacepoint_table_hit_id_v\[4\] is 12345"):
            run(pipeline, arrays, strict=value)
    else:
        assert run(pipeline, arrays, strict=value)[0]["unknown_hits"].tolist() == [1]


def test_a_strange_value_of_strict_is_refused(pipeline):
    with pytest.raises(InvalidInput, match="parameter strict is 'perhaps'"):
        run(pipeline, event(), strict="perhaps")


def test_clients_learn_the_classes_and_the_notice(pipeline):
    metadata = pipeline.metadata()
    assert metadata["semantic_classes"] == "s0,s1,s2,s3,s4,s5,s6"
    assert metadata["event_classes"] == "e0,e1,e2,e3"
    assert metadata["notice"] == "for tests"
    assert len(metadata["weights_sha256"]) == 64


def test_weights_set_the_largest_charge(tmp_path):
    pipeline = NuGraph3(save(tmp_path / "weights", max_integral=10.0))
    with pytest.raises(InvalidInput, match="at most 10 ADC"):
        pipeline.prepare(Request(event()))


def test_weights_that_cannot_answer_the_contract_are_refused(tmp_path):
    pipeline = NuGraph3(save(tmp_path / "weights", Architecture(semantic_classes=5)))
    for hook in (pipeline.metadata, lambda: pipeline.setup("cpu")):
        with pytest.raises(WeightsError, match="semantic_classes 5; the service needs 7"):
            hook()


def test_a_worker_on_a_cpu_needs_no_torch(tmp_path):
    save(tmp_path / "weights")
    code = (
        "import sys; from pathlib import Path; from naiad.runtime.runner import Runner\n"
        "from naiad.applications.nugraph.pipeline import NuGraph3\n"
        "runner = Runner(NuGraph3(Path(sys.argv[1])))\n"
        "request = runner.contract.request(runner.pipeline.example(), '', {})\n"
        "(outputs,) = runner.run([request]).outcomes\n"
        "assert outputs['x_semantic_y'].shape == (48, 7), outputs\n"
        "assert not {'torch', 'pandas', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "weights")], check=True)


def test_without_the_library_torch_answers(pipeline, monkeypatch, tmp_path, caplog):
    (expected,) = run(pipeline, event())
    monkeypatch.setattr(native_library, "LIBRARY", tmp_path / "none.so")
    native_library.library.cache_clear()
    pipeline.setup("cpu")
    assert "none.so" in caplog.text
    (answer,) = run(pipeline, event())
    assert answer.pop("unknown_hits") == expected.pop("unknown_hits")
    assert_close(answer, expected)


def test_the_front_of_a_server_needs_neither_torch_nor_scipy():
    code = (
        "import sys; from naiad.applications.nugraph.pipeline import NuGraph3; "
        "assert not {'torch', 'scipy', 'pandas', 'h5py', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
