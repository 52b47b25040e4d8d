"""Tests of pipelines, in process or on a server at free ports, with any test framework.

Example::

    import numpy as np
    import pytest
    from naiad import testing


    @pytest.fixture(scope="module")
    def server():
        with testing.serve(MyModel) as server:
            yield server


    def test_merged_graphs_are_answered_as_each_alone():
        testing.check_batching(MyModel, {"nodes": 5, "edges": 12}, {"nodes": 1, "edges": 0})


    def test_the_server_answers_as_the_pipeline_does(server):
        graph = testing.random_request(MyModel, nodes=30, edges=100)
        [expected] = testing.run(MyModel, graph)
        answer = server.client().infer("my_model", graph)
        np.testing.assert_allclose(answer["logits"], expected["logits"], atol=1e-5)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import numpy as np

from naiad.client.graphs import Inputs, arrays_of, is_graph, of_model
from naiad.core.pipeline import Pipeline, Request, load_pipeline, random_arrays
from naiad.core.schema import Array, Arrays, Schema, named_dims
from naiad.errors import NaiadError
from naiad.runtime.runner import Runner
from naiad.triton.server import Server
from naiad.triton.serving import serve as serve_at

__all__ = ["FREE_PORTS", "Subject", "check_batching", "load", "random_request", "run", "serve"]

Subject: TypeAlias = "str | type[Pipeline] | Runner"
"""The pipeline to test: its class, a name, ``file.py:Class``, or the result of :func:`load`."""

FREE_PORTS: Final[Mapping[str, Any]] = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
"""Arguments that make :func:`naiad.serve` and :class:`naiad.Server` choose free ports."""


def serve(*pipelines: str | type[Pipeline], **settings: Any) -> Server:
    """Serve as :func:`naiad.serve` does, at free ports, beside any running server."""
    return serve_at(*pipelines, **{**FREE_PORTS, **settings})


def load(pipeline: Subject, device: str = "cpu") -> Runner:
    """Set a pipeline up in this process; give the result to :func:`run` to set it up only once."""
    if isinstance(pipeline, Runner):
        return pipeline
    kind = load_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
    return Runner(kind(), device)


def run(pipeline: Subject, *requests: Inputs) -> list[dict[str, Array]]:
    """Answer requests that arrive together, merged as a server would merge them.

    Args:
        pipeline: to test.
        requests: arrays by name; or a ``Data`` or ``HeteroData`` of PyTorch Geometric each, whose
            answers are arrays as well.

    Raises:
        NaiadError: the error of the first bad request, such as `InvalidInput` for one that the
            schema refuses, or that is larger than the pipeline's ``limit``.
    """
    runner = load(pipeline)
    checked = [_checked(runner, request) for request in requests]
    answers: list[dict[str, Array]] = []
    for outcome in runner.run(checked).outcomes:
        if isinstance(outcome, NaiadError):
            raise outcome
        answers.append(outcome)
    return answers


def random_request(pipeline: Subject, seed: int = 0, **sizes: int) -> dict[str, Array]:
    """Make random arrays that fit the schema, with these ``sizes`` of its named dimensions.

    Raises:
        ValueError: names a dimension that is missing or not in the schema.
    """
    inputs = _inputs(pipeline)
    wanted = named_dims(inputs)
    if wrong := sorted(set(wanted) ^ sizes.keys()):
        raise ValueError(
            f"{', '.join(wrong)}: give the size of each named dimension: "
            f"{', '.join(sorted(wanted))}"
        )
    return random_arrays(inputs, sizes, seed)


def check_batching(
    pipeline: Subject,
    *requests: Inputs | Mapping[str, int],
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> None:
    """Check that merged requests have the answers of each alone.

    Args:
        pipeline: to test.
        requests: arrays by name, a graph of PyTorch Geometric, or sizes by dimension for
            :func:`random_request`; by default the pipeline's ``example()``, twice.
        rtol: relative tolerance of floating-point outputs; others must be equal.
        atol: absolute tolerance of floating-point outputs.

    Raises:
        AssertionError: names the request and the output that differs.
        NaiadError: a request was refused or a hook failed.
    """
    runner = load(pipeline)
    given = [_arrays(runner, seed, request) for seed, request in enumerate(requests)]
    given = given or [runner.pipeline.example()] * 2
    for number, (request, together) in enumerate(zip(given, run(runner, *given), strict=True)):
        [alone] = run(runner, request)
        assert together.keys() == alone.keys()
        for name, expected in alone.items():
            where = f"{name} of request {number} differs when it is merged with others"
            if expected.dtype.kind in "fc":
                np.testing.assert_allclose(together[name], expected, rtol, atol, err_msg=where)
            else:
                np.testing.assert_array_equal(together[name], expected, err_msg=where)


def _inputs(pipeline: Subject) -> Schema:
    if isinstance(pipeline, Runner):
        return pipeline.contract.inputs
    return (load_pipeline(pipeline) if isinstance(pipeline, str) else pipeline).inputs


def _arrays(runner: Runner, seed: int, request: Inputs | Mapping[str, int]) -> Arrays:
    if not is_graph(request):
        given = cast("Mapping[str, Any]", request)
        sizes = {name: size for name, size in given.items() if isinstance(size, int)}
        if sizes:
            return random_request(runner, seed, **sizes)
    return _sent(runner, cast("Inputs", request))


def _sent(runner: Runner, request: Inputs) -> Arrays:
    """Return a request's arrays, as a client would send them."""
    if is_graph(request):
        request = of_model(arrays_of(request), runner.contract.inputs, runner.pipeline.name)
    given = cast("Mapping[str, Any]", request)
    return {name: np.asarray(array) for name, array in given.items()}


def _checked(runner: Runner, request: Inputs) -> Request:
    checked = runner.contract.request(_sent(runner, request), "", {})
    runner.contract.limit.refuse_oversize(checked.sizes)
    return checked
