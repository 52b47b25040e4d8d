"""Sentence vectors and zero-shot classification through the real Triton."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tests.support.triton import FREE

import naiad
from naiad.pipelines.sentence_bert.encoder import Tokenizer
from naiad.pipelines.sentence_bert.importing import served_folder
from naiad.triton.server import Server

WORKSHOP = {
    "Who are you voting for 2021?": "politics",
    "Jupiter's Biggest Moons Started as Tiny Grains of Hail": "space and science",
    "Hi Matt, your payment is one week past due. Please use the link below to make your payment": (
        "business"
    ),
}
LABELS = ["business", "space and science", "politics"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with naiad.serve("text_embedding", "sentence_bert", "deepset", instances=1, **FREE) as server:
        yield server


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(served_folder(None) / "tokenizer.json", 256)


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
def test_texts_get_vectors_that_say_what_they_are_about(server: Server, url: str):
    texts = ["a heist in space", "robbers on a rocket", "a cookery book of the Alps"]
    with naiad.Client(getattr(server, url)) as client:
        vectors = client.text_embedding.embed(texts)
        assert client.text_embedding.embed([]).shape == (0, 384)
    assert (vectors.shape, vectors.dtype) == ((3, 384), np.float32)
    similar = vectors @ vectors.T
    assert similar[0, 1] > similar[0, 2]


def test_many_texts_come_back_in_their_order(server: Server):
    texts = [f"text number {n} " * (n % 7 + 1) for n in range(100)]
    with server.client() as client:
        vectors = client.text_embedding.embed(texts)
        again = client.text_embedding.embed([texts[71]])
    np.testing.assert_allclose(vectors[71], again[0], atol=1e-5)


def test_a_bad_text_is_named(server: Server):
    raw = np.array([b"fine", b"caf\xe9"], object)
    with pytest.raises(naiad.InvalidInput, match=r"text\[1\] is no UTF-8: byte 3 is 0xe9"):
        server.client().infer("text_embedding", text=raw)


# What the workshop's notebooks do: they pad to 256 tokens, send ids and mask, and average over all
# 256 places, without the mask.


def padded(tokenizer: Tokenizer, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    tokens = tokenizer(texts)
    ids, mask = np.zeros((2, len(texts), 256), np.int32)
    inside = np.arange(256) < tokens.lengths[:, None]
    ids[inside] = tokens.ids
    mask[inside] = 1
    return ids, mask


def over_grpc(server: Server, model: str, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        inputs = [triton_grpc.InferInput(f"input__{i}", ids.shape, "INT32") for i in (0, 1)]
        for given, value in zip(inputs, (ids, mask), strict=True):
            given.set_data_from_numpy(value)
        return client.infer(model, inputs).as_numpy("output__0")


def over_http(server: Server, model: str, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with triton_http.InferenceServerClient(server.http_url.removeprefix("http://")) as client:
        inputs = [triton_http.InferInput(f"input__{i}", ids.shape, "INT32") for i in (0, 1)]
        for given, value in zip(inputs, (ids, mask), strict=True):
            given.set_data_from_numpy(value, binary_data=False)
        wanted = [triton_http.InferRequestedOutput("output__0", binary_data=False)]
        return client.infer(model, inputs, outputs=wanted).as_numpy("output__0")


@pytest.mark.parametrize("ask", [over_grpc, over_http])
@pytest.mark.parametrize("model", ["deepset", "sentence_bert"])
def test_the_workshop_s_clients_find_the_right_label(
    server: Server, tokenizer: Tokenizer, model: str, ask
):
    for sentence, right in WORKSHOP.items():
        states = ask(server, model, *padded(tokenizer, [sentence, *LABELS]))
        assert states.shape == (4, 256, 384)
        means = states.mean(axis=1)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        assert LABELS[int((means[1:] @ means[0]).argmax())] == right


def test_the_mean_over_tokens_is_the_vector_of_the_text(server: Server, tokenizer: Tokenizer):
    texts = list(WORKSHOP)
    with server.client() as client:
        ids, mask = padded(tokenizer, texts)
        states = client.infer("deepset", input__0=ids, input__1=mask)["output__0"]
        vectors = client.text_embedding.embed(texts)
    means = states.mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(means, vectors, atol=1e-5)


def test_the_contract_is_the_one_clients_ask_for(server: Server):
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        config = client.get_model_config("deepset").config
    assert config.max_batch_size == 0
    found = [(t.name, list(t.dims)) for t in [*config.input, *config.output]]
    assert found == [
        ("input__0", [-1, 256]),
        ("input__1", [-1, 256]),
        ("output__0", [-1, 256, -1]),
    ]
