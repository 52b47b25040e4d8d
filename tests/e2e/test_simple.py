"""Triton's example ``simple``, with its example clients' requests: an engine's smoke test."""

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

from naiad import testing
from naiad.errors import InvalidInput
from naiad.triton.server import Server

A = np.arange(16, dtype=np.int32)[None]
B = np.ones((1, 16), np.int32)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with testing.serve("simple") as running:
        yield running


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_tritons_own_client_gets_sum_and_difference(server, protocol):
    module = getattr(tritonclient, protocol)
    url = getattr(server, f"{protocol}_url").removeprefix("http://")
    with module.InferenceServerClient(url) as client:
        inputs = [module.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
        inputs[0].set_data_from_numpy(A)
        inputs[1].set_data_from_numpy(B)
        wanted = [module.InferRequestedOutput(name) for name in ("OUTPUT0", "OUTPUT1")]
        answer = client.infer("simple", inputs, outputs=wanted)
        assert np.array_equal(answer.as_numpy("OUTPUT0"), A + B)
        assert np.array_equal(answer.as_numpy("OUTPUT1"), A - B)


def test_more_than_eight_rows_are_refused(server):
    rows = np.repeat(A, 8, axis=0)
    answer = server.client().infer("simple", INPUT0=rows, INPUT1=rows)
    assert np.array_equal(answer["OUTPUT0"], 2 * rows)
    rows = np.repeat(A, 9, axis=0)
    with pytest.raises(InvalidInput, match="batch of 9"):
        server.client().infer("simple", INPUT0=rows, INPUT1=rows)
