"""Clients that speak only JSON over HTTP send and get bytes in base64."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import naiad
from naiad import testing
from naiad.applications.image.pipeline import EXAMPLE
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline
from naiad.core.schema import Array, Tensor
from naiad.triton.server import Server

MOST = 1000
BASE64 = {"naiad_bytes": "base64"}


class Reversed(Pipeline):
    """Files, each of them reversed: a pair in each row."""

    name = "reversed"
    inputs = {"files": Tensor("bytes", ("rows", 2), counts="bytes")}
    outputs = {"files": Tensor("bytes", ("rows", 2))}
    limit = Budget(bytes=MOST)
    arrays = "numpy"

    def forward(self, batch: Batch) -> dict[str, Array]:
        turned = [file[::-1] for file in batch["files"].flat]
        return {"files": np.array([*turned, None], object)[:-1].reshape(-1, 2)}

    def example(self) -> dict[str, Array]:
        return {"files": np.array([[b"ab", b""]], object)}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with testing.serve("image", Reversed, instances=1) as server:
        yield server


def coded(*files: bytes) -> list[str]:
    return [base64.b64encode(file).decode() for file in files]


def ask(
    server: Server, model: str, name: str, shape: list[int], data: list[str], **more: Any
) -> dict[str, list[Any]]:
    """Send one BYTES tensor as JSON; return the data of the outputs, which are JSON too.

    Raises:
        ValueError: the server's error.
    """
    tensor = {"name": name, "shape": shape, "datatype": "BYTES", "data": data}
    body = {"parameters": BASE64, "inputs": [tensor], **more}
    url = f"{server.http_url}/v2/models/{model}/infer"
    try:
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=30) as reply:
            answer = json.load(reply)
    except urllib.error.HTTPError as error:
        raise ValueError(f"{error.code}: {json.load(error)['error']}") from None
    return {output["name"]: output["data"] for output in answer["outputs"]}


def test_a_picture_is_classified_as_by_our_client(server: Server):
    found = ask(server, "image", "images", [2], coded(EXAMPLE.read_bytes()) * 2)
    with server.client() as client:
        expected, _ = client.image.infer([EXAMPLE, EXAMPLE])
    assert found["classes"] == list(expected.classes) * 2
    labels = [base64.b64decode(label).decode() for label in found["labels"]]
    assert labels == list(expected.labels) * 2
    np.testing.assert_allclose(found["scores"], list(expected.scores) * 2, rtol=1e-6)


def test_any_bytes_and_lengths_go_and_come(server: Server):
    files = [bytes(range(256)), b"", b"\0", b"\xff\xfe", b"abc", "é\n".encode()]
    found = ask(server, "reversed", "files", [3, 2], coded(*files))
    assert found["files"] == coded(*(file[::-1] for file in files))


def test_requests_in_base64_share_batches_with_others(server: Server):
    plain = np.array([[b"abc", b"d\0"]], object)
    texts = np.array([[text.encode() for text in coded(b"abc", b"d\0")]], object)
    with naiad.Client(server.grpc_url) as client, ThreadPoolExecutor(16) as pool:

        def answer(number: int) -> list[list[bytes]]:
            files, parameters = (texts, BASE64) if number % 2 else (plain, None)
            found = client.infer("reversed", {"files": files}, parameters=parameters)
            return found["files"].tolist()

        answers = list(pool.map(answer, range(32)))
    assert answers[::2] == [[[b"cba", b"\0d"]]] * 16
    assert answers[1::2] == [[[text.encode() for text in coded(b"cba", b"\0d")]]] * 16


def test_limits_are_of_the_decoded_bytes(server: Server):
    full = [b"x" * (MOST - 1), b"y"]
    assert ask(server, "reversed", "files", [1, 2], coded(*full))["files"] == coded(*full)
    with pytest.raises(ValueError, match=r"400: .*the request has 1,001 bytes; .* at most 1,000"):
        ask(server, "reversed", "files", [1, 2], coded(*full[:1], b"yy"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (["QUJD", "QU\nJD"], r'files: element 1 of 2 is not base64: character 2 is "\x0a"'),
        (["QUJD", "QUJ"], "files: element 1 of 2 is not base64: it has 3 characters"),
        (["QR==", ""], "files: element 0 of 2 is not base64: character 1 has bits beyond"),
        (["plain text", ""], 'files: element 0 of 2 is not base64: character 5 is " "'),
    ],
)
def test_what_is_not_base64_is_refused_with_its_position(server: Server, data: list[str], why: str):
    with pytest.raises(ValueError, match="400: ") as caught:
        ask(server, "reversed", "files", [1, 2], data)
    assert why in str(caught.value)


@pytest.mark.parametrize(("value", "said"), [("hex", '"hex"'), (64, "64"), (True, "true")])
def test_another_value_of_the_parameter_is_refused(server: Server, value: Any, said: str):
    with pytest.raises(ValueError, match="400: ") as caught:
        ask(server, "reversed", "files", [1, 2], ["", ""], parameters={"naiad_bytes": value})
    assert f'parameter naiad_bytes is {said}; it must be "base64"' in str(caught.value)
