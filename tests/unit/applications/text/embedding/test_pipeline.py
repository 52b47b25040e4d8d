"""The models of a sentence encoder, run without a server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.applications.text.embedding.tiny import WORDS, write_bert

from naiad.applications.text.embedding.importing import import_encoder
from naiad.applications.text.embedding.pipeline import SentenceBert, TextEmbedding
from naiad.applications.text.embedding.schema import LENGTH
from naiad.applications.text.embedding.texts import decode, encode
from naiad.core.pipeline import Request
from naiad.errors import InvalidInput
from naiad.runtime.runner import Runner

texts = st.lists(st.lists(st.sampled_from(WORDS[4:]), max_size=40).map(" ".join), max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("encoder")
    write_bert(source / "source", max_position_embeddings=LENGTH)
    import_encoder(source / "source", source / "made", name="tiny")
    return source / "made"


@pytest.fixture(scope="module")
def embedding(folder: Path) -> Runner:
    return Runner(TextEmbedding(folder))


@pytest.fixture(scope="module")
def tokens(folder: Path) -> Runner:
    return Runner(SentenceBert(folder))


def ask(runner: Runner, *requests: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    outcomes = runner.run([Request(request) for request in requests]).outcomes
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return outcomes  # type: ignore[return-value]


@given(st.lists(texts, min_size=1, max_size=4))
def test_texts_have_the_vectors_that_they_have_alone(embedding: Runner, lists: list[list[str]]):
    together = ask(embedding, *({"text": encode(some, "text")} for some in lists))
    for some, answer in zip(lists, together, strict=True):
        assert answer["embedding"].shape == (len(some), 12)
        for text, vector in zip(some, answer["embedding"], strict=True):
            (alone,) = ask(embedding, {"text": encode([text], "text")})
            np.testing.assert_allclose(vector, alone["embedding"][0], atol=2e-6)
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_what_is_not_read_of_a_text_is_said(embedding: Runner):
    (answer,) = ask(embedding, {"text": encode(["moon " * LENGTH, "moon"], "text")})
    assert answer["truncated"].tolist() == [True, False]


@given(st.lists(st.lists(st.booleans(), max_size=30), min_size=1, max_size=5))
def test_tokens_have_vectors_and_padding_has_none(tokens: Runner, masks: list[list[bool]]):
    mask = np.zeros((len(masks), LENGTH), np.int32)
    for row, given_mask in zip(mask, masks, strict=True):
        row[: len(given_mask)] = given_mask
    rng = np.random.default_rng(len(masks))
    ids = rng.integers(0, len(WORDS), mask.shape, np.int32)
    (answer,) = ask(tokens, {"input__0": ids, "input__1": mask})
    states = answer["output__0"]
    assert states.shape == (*mask.shape, 12)
    assert (states[mask == 0] == 0).all()
    network = tokens.pipeline.encoder._network  # type: ignore[attr-defined]
    tokens64 = {"input_ids": ids.astype(np.int64), "attention_mask": mask.astype(np.int64)}
    whole = network(tokens64)
    np.testing.assert_allclose(states[mask == 1], whole[mask == 1], atol=1e-5)


def test_the_mean_over_all_places_has_the_direction_of_the_text_s_vector(
    embedding: Runner, tokens: Runner
):
    """As the workshop's notebooks take it."""
    text = "a heist in space"
    encoded = tokens.pipeline.encoder.tokenize([text])  # type: ignore[attr-defined]
    ids = np.zeros((1, LENGTH), np.int32)
    ids[0, : len(encoded.ids)] = encoded.ids
    (answer,) = ask(tokens, {"input__0": ids, "input__1": (ids > 0).astype(np.int32)})
    mean = answer["output__0"][0].mean(axis=0)
    (wanted,) = ask(embedding, {"text": encode([text], "text")})
    np.testing.assert_allclose(mean / np.linalg.norm(mean), wanted["embedding"][0], atol=2e-6)


def test_an_id_of_another_tokenizer_is_refused(tokens: Runner):
    ids = np.zeros((2, LENGTH), np.int32)
    ids[1, 3] = 30000
    with pytest.raises(InvalidInput, match=r"input__0\[1, 3\] is 30000; it must be at most 15"):
        ask(tokens, {"input__0": ids, "input__1": np.ones_like(ids)})


def test_texts_survive_the_wire():
    some = ["", "Grüße", "日本", "a\0b"]
    assert decode(encode(some, "text"), "text") == some


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"caf\xe9", r"text\[1\] is not UTF-8: byte 3 is 0xe9"),
        (b"x" * (1 << 21), r"text\[1\] has 2,097,152 bytes; it must be at most 1,048,576"),
    ],
)
def test_what_is_no_text_is_refused(raw: bytes, message: str):
    with pytest.raises(InvalidInput, match=message):
        decode(np.array([b"fine", raw], object), "text")


def test_a_text_is_no_list_of_texts():
    with pytest.raises(InvalidInput, match="text is a single text; give a list of texts"):
        encode("moon", "text")
    with pytest.raises(InvalidInput, match=r"text\[0\] cannot be encoded as UTF-8"):
        encode(["\ud800"], "text")
