"""``graph_embeddings`` answers like the public example's traced file."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.applications.products.shops import save

from naiad import Request
from naiad.applications.products.contract import NODES, ROWS, GraphEmbeddings
from naiad.applications.products.weights import import_checkpoint
from naiad.core.schema import validate
from naiad.errors import InvalidInput, WeightsError
from naiad.runtime.runner import Runner

INPUTS = GraphEmbeddings.inputs


def random_request(seed: int, used: tuple[int, int, int]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    request = {"input__0": rng.normal(size=(NODES, 100)).astype(np.float32)}
    for layer, size in enumerate(used):
        rows, edges = (NODES if layer == 0 else ROWS), int(rng.integers(0, 900))
        ends = rng.integers(0, rows, edges), rng.integers(0, ROWS, edges)
        request[f"input__{2 * layer + 1}"] = np.stack(ends)
        request[f"input__{2 * layer + 2}"] = np.array([rows, size])
    return request


def run(runner: Runner, requests: list[dict[str, np.ndarray]]) -> list:
    return runner.run([Request(r, validate(INPUTS, r)) for r in requests]).outcomes


def test_the_wire_contract_is_the_public_examples() -> None:
    described = {
        name: (tensor.triton, tensor.config_dims)
        for name, tensor in {**INPUTS, **GraphEmbeddings.outputs}.items()
    }
    assert described == {
        "input__0": ("FP32", (1000, 100)),
        **{f"input__{n}": ("INT64", (2, -1)) for n in (1, 3, 5)},
        **{f"input__{n}": ("INT64", (2,)) for n in (2, 4, 6)},
        "output__0": ("FP32", (500, 256)),
        "output__1": ("FP32", (500, 256)),
        "output__2": ("FP32", (500, 47)),
    }
    assert GraphEmbeddings.name == "graph_embeddings"


def test_merged_requests_are_answered_as_the_traced_file_answers_each(
    shared_data: Path, tmp_path: Path
) -> None:
    """All 500 rows of each layer are equal, even if a size is 0 or exceeds the rows."""
    data = shared_data / "products"
    import_checkpoint(data / "graphsage_ogbn_products_cpu.pth.tar", tmp_path / "w")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.load(str(data / "graph_embeddings_traced.pt"))
    sizes = [(166, 16, 1), (500, 500, 500), (0, 0, 0), (731, 20, 3), (1, 1, 1)]
    requests = [random_request(seed, used) for seed, used in enumerate(sizes)]
    for request, answer in zip(
        requests, run(Runner(GraphEmbeddings(tmp_path / "w")), requests), strict=True
    ):
        inputs = [torch.from_numpy(request[f"input__{number}"]) for number in range(7)]
        for number, expected in enumerate(traced(*inputs)):
            found = torch.from_numpy(answer[f"output__{number}"])
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner(GraphEmbeddings())


@pytest.mark.parametrize(
    ("name", "at", "value", "message"),
    [
        ("input__1", (0, 3), 1_000, "input__1[0, 3] is 1000; it must be 0 to 999"),
        ("input__1", (1, 3), 500, "input__1[1, 3] is 500; it must be 0 to 499"),
        ("input__3", (0, 0), 500, "input__3[0, 0] is 500; it must be 0 to 499"),
        ("input__5", (1, 2), 500, "input__5[1, 2] is 500; it must be 0 to 499"),
    ],
)
def test_edges_that_lead_nowhere_fail_only_their_own_request(
    runner: Runner, name: str, at: tuple[int, int], value: int, message: str
) -> None:
    good, bad = random_request(0, (9, 5, 1)), random_request(1, (9, 5, 1))
    bad[name][at] = value
    answered, refused = run(runner, [good, bad])
    assert isinstance(answered, dict)
    assert str(refused) == message
    bad[name][at] = -1
    with pytest.raises(InvalidInput, match="at least 0"):
        validate(INPUTS, bad)


def test_the_example_is_answered(runner: Runner) -> None:
    (answer,) = run(runner, [dict(GraphEmbeddings().example())])
    assert {name: array.shape for name, array in answer.items()} == {
        "output__0": (500, 256),
        "output__1": (500, 256),
        "output__2": (500, 47),
    }


def test_weights_of_other_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="serve it as products"):
        GraphEmbeddings(save(tmp_path / "w")).metadata()
