"""Any exported graph model as a pipeline: the config says what its dimensions are."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.exported import Neighbours, graph, neighbours_onnx, save_export, trace

from naiad.core.budget import Budget
from naiad.core.pipeline import Request
from naiad.core.schema import validate
from naiad.errors import InvalidInput, PipelineError, RepositoryError
from naiad.runtime.runner import Runner
from naiad.triton.backends.exported import exported_pipeline, service_parameters
from naiad.triton.model_config import read_model_config

CONFIG = """backend: "BACKEND"
input [ { name: "x" data_type: TYPE_FP32 dims: [-1, 8] },
        { name: "edge_index" data_type: TYPE_INT64 dims: [2, -1] } ]
output { name: "scores" data_type: TYPE_FP32 dims: [-1, 3] }
"""
DIMS = "x: nodes, 8; edge_index: 2, edges -> nodes; scores: nodes, 3"
SAVERS = {
    "model.pt": lambda path: trace(Neighbours(), graph(5, 9), path),
    "model.pt2": lambda path: save_export(Neighbours(), graph(5, 9), path),
    "model.onnx": neighbours_onnx,
}


def parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'


@pytest.fixture
def pipeline(write):
    """``pipeline(filename, *parameters, dims=...)``: the class of a model folder."""

    def make(filename="model.pt", *parameters, dims=DIMS):
        backend = "onnxruntime" if filename.endswith("onnx") else "pytorch"
        text = CONFIG.replace("BACKEND", backend) + parameter("naiad_dims", dims)
        config = write(text + "".join(parameters), SAVERS[filename], filename)
        return exported_pipeline(read_model_config(config.path), "1")

    return make


def requests(kind, sizes):
    made = []
    for seed, (nodes, edges) in enumerate(sizes):
        x, edge_index = graph(nodes, edges, seed)
        arrays = {"x": x.numpy(), "edge_index": edge_index.numpy()}
        made.append(Request(arrays, validate(kind.inputs, arrays)))
    return made


def test_the_schema_is_that_of_the_config(pipeline):
    kind = pipeline()
    assert kind.name == "m"
    assert kind.inputs["x"].dims == ("nodes", 8)
    assert kind.inputs["edge_index"].dims == (2, "edges")
    assert kind.inputs["edge_index"].index_into == "nodes"
    assert kind.outputs["scores"].dims == ("nodes", 3)
    assert (kind.budget["nodes"], kind.budget["edges"]) == (1024, 8192)
    assert dict(kind.limit) == {}


@pytest.mark.parametrize("filename", SAVERS)
def test_merged_graphs_give_what_each_gives_alone(pipeline, filename):
    runner = Runner(pipeline(filename)(None))

    @settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 90)), min_size=1, max_size=6))
    def check(sizes):
        given = requests(runner.pipeline, sizes)
        together = runner.run(given)
        assert len(together.batches) == 1
        for request, outcome in zip(given, together.outcomes, strict=True):
            (alone,) = runner.run([request]).outcomes
            np.testing.assert_allclose(outcome["scores"], alone["scores"], rtol=1e-5, atol=1e-6)

    check()


def test_alone_it_gives_the_same_bits_as_the_file(pipeline):
    kind = pipeline()
    (outcome,) = Runner(kind(None)).run(requests(kind, [(30, 80)])).outcomes
    x, edges = graph(30, 80)
    with torch.no_grad():
        assert np.array_equal(outcome["scores"], Neighbours()(x, edges).numpy())


def test_one_bad_index_is_only_its_own_request_s(pipeline):
    kind = pipeline()
    x, edges = graph(5, 4)
    edges[1, 2] = 5
    with pytest.raises(InvalidInput, match=r"edge_index\[1, 2\] is 5; it must be 0 to 4"):
        validate(kind.inputs, {"x": x.numpy(), "edge_index": edges.numpy()})


def test_large_graphs_run_by_themselves(pipeline):
    kind = pipeline()
    report = Runner(kind(None)).run(requests(kind, [(600, 10), (600, 10), (40, 10)]))
    assert sorted(batch["nodes"] for batch in report.batches) in ([600, 640], [40, 600, 600])


def test_budget_and_limit_are_parameters(pipeline):
    budget = parameter("naiad_budget", "nodes=2000, requests=4")
    kind = pipeline("model.pt", budget, parameter("naiad_limit", "edges=9"))
    assert kind.budget == Budget(nodes=2000, requests=4)
    with pytest.raises(InvalidInput, match="10 edges; this model takes at most 9"):
        kind.limit.refuse_oversize({"edges": 10})


def test_a_graph_may_have_one_answer(write):
    class Pooled(torch.nn.Module):
        def forward(self, x, graph_of):
            return torch.zeros(int(graph_of.max()) + 1, 8).index_add(0, graph_of, x)

    text = """backend: "pytorch"
    input [ { name: "x" data_type: TYPE_FP32 dims: [-1, 8] },
            { name: "graph_of" data_type: TYPE_INT64 dims: [-1] } ]
    output { name: "pooled" data_type: TYPE_FP32 dims: [1, 8] }
    """ + parameter("naiad_dims", "x: nodes, 8; graph_of: nodes -> requests; pooled: requests, 8")

    def save(path):
        from tests.support.exported import script

        script(Pooled(), path)

    config = write(text, save)
    kind = exported_pipeline(read_model_config(config.path), "1")
    given = []
    for value in (1.0, 2.0):
        arrays = {"x": np.full((3, 8), value, np.float32), "graph_of": np.zeros(3, np.int64)}
        given.append(Request(arrays, validate(kind.inputs, arrays)))
    report = Runner(kind(None)).run(given)
    assert [o["pooled"].tolist() for o in report.outcomes] == [[[3.0] * 8], [[6.0] * 8]]
    assert report.batches[0]["requests"] == 2


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ("x: nodes, 8; edge_index: 2, edges -> nodes", "'scores' is missing"),
        (DIMS + "; y: nodes", "'y' is not a tensor; those are x, edge_index, scores"),
        (
            DIMS.replace("x: nodes, 8", "x: nodes"),
            r"x has 'nodes', but input\[0\].dims is \[-1, 8\]",
        ),
        (DIMS.replace("x: nodes, 8", "x: nodes, 9"), r"but input\[0\].dims is \[-1, 8\]"),
        (DIMS.replace("-> nodes", "-> hits"), "index_into='hits' is not a dimension"),
        (DIMS.replace("x: nodes, 8", "x: -1, 8"), "'-1' is neither a size nor a name"),
        (DIMS.replace("x: ", "x "), "'x nodes, 8' is not NAME: DIM"),
        (DIMS.replace("x: nodes", "x: nodes -> nodes"), "x has 'nodes'"),
    ],
)
def test_wrong_dims_are_named_by_file_and_field(pipeline, dims, message):
    with pytest.raises(
        RepositoryError, match=r'm/config.pbtxt: parameters\["naiad_dims"\]: .*' + message
    ):
        pipeline(dims=dims)


@pytest.mark.parametrize(("value", "wrong"), [("nodes", "'nodes'"), ("hits=3", "'hits=3'")])
def test_a_wrong_budget_is_named(pipeline, value, wrong):
    with pytest.raises(RepositoryError, match=rf'"naiad_budget"\]: {wrong} is not DIMENSION=SIZE'):
        pipeline("model.pt", parameter("naiad_budget", value))


def test_a_batch_dimension_is_refused(pipeline):
    with pytest.raises(RepositoryError, match=r"max_batch_size is 8; with naiad_dims it must be 0"):
        pipeline("model.pt", "max_batch_size: 8")


def test_a_model_that_fails_says_so(pipeline, write):
    config = write(
        CONFIG.replace("BACKEND", "pytorch").replace("[-1, 8]", "[-1, 9]")
        + parameter("naiad_dims", DIMS.replace("nodes, 8", "nodes, 9")),
        SAVERS["model.pt"],
    )
    kind = exported_pipeline(read_model_config(config.path), "1")
    arrays = {"x": np.ones((2, 9), np.float32), "edge_index": np.zeros((2, 1), np.int64)}
    (outcome,) = Runner(kind(None)).run([Request(arrays, validate(kind.inputs, arrays))]).outcomes
    assert isinstance(outcome, PipelineError)
    assert "m failed: " in str(outcome)


def test_settings_of_the_workers_are_parameters_too(write):
    text = CONFIG.replace("BACKEND", "pytorch")
    for key in ("naiad_watchdog", "INTRA_OP_THREAD_COUNT", "naiad_other"):
        text += parameter(key, "3")
    config = write(text, SAVERS["model.pt"])
    found = service_parameters(config, "cuda:1")
    assert found == {"watchdog": "3", "device": "cuda:1", "threads": "3"}
