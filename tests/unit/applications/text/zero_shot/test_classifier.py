"""What labels score, by an encoder and by a network for entailment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.applications.text.embedding.tiny import SIZES, write_bert, write_network

from naiad.applications.text.embedding.importing import import_encoder
from naiad.applications.text.zero_shot.classifier import VectorCache
from naiad.applications.text.zero_shot.importing import import_entailment
from naiad.applications.text.zero_shot.pipeline import ZeroShot
from naiad.applications.text.zero_shot.question import as_request
from naiad.core.pipeline import Request
from naiad.errors import InvalidInput, WeightsError
from naiad.runtime.runner import Runner

TEXTS = ("a heist in space", "the moon is bright .", "moon " * 40)
LABELS = ("space", "the moon", "a heist")
CLASSES = {"label2id": {"contradiction": 0, "neutral": 1, "entailment": 2},
           "id2label": {0: "contradiction", 1: "neutral", 2: "entailment"}}  # fmt: skip
BART = {
    "vocab_size": 16, "d_model": 12, "max_position_embeddings": 32,
    **{f"{part}_{name}": size for part in ("encoder", "decoder")
       for name, size in (("layers", 1), ("attention_heads", 3), ("ffn_dim", 20))},
    "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    write_bert(folder / "source")
    import_encoder(folder / "source", folder / "made", name="tiny")
    return folder / "made"


def ask(runner: Runner, *requests: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    outcomes = runner.run([Request(request) for request in requests]).outcomes
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return outcomes  # type: ignore[return-value]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


def test_an_encoder_scores_by_cosines(encoder: Path):
    runner = Runner(ZeroShot(encoder))
    vectors = runner.pipeline._classifier._encoder.encode  # type: ignore[attr-defined]
    cosines = vectors(TEXTS) @ vectors(["about space .", "about the moon ."]).T
    single, several = ask(
        runner,
        as_request(TEXTS, ["space", "the moon"], "about {} ."),
        as_request(TEXTS, ["space", "the moon"], "about {} .", multi_label=True),
    )
    np.testing.assert_allclose(single["scores"], softmax(20 * cosines), atol=1e-5)
    np.testing.assert_allclose(several["scores"], np.clip(cosines, 0, 1), atol=1e-5)
    assert single["truncated"].tolist() == [False, False, True]


def test_texts_that_the_encoder_does_not_read_are_told(encoder: Path):
    runner = Runner(ZeroShot(encoder))
    (answer,) = ask(runner, as_request([*TEXTS, "луна ярка"], LABELS))
    assert answer["unread"].tolist() == [0.0, 0.0, 0.0, 1.0]


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4),
            st.lists(st.sampled_from(LABELS), min_size=1, unique=True),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_requests_with_other_labels_are_answered_together_as_alone(
    encoder: Path, asked: list[tuple[list[str], list[str], bool]]
):
    runner = Runner(ZeroShot(encoder))
    requests = [as_request(texts, labels, "", several) for texts, labels, several in asked]
    for request, answer in zip(requests, ask(runner, *requests), strict=True):
        (alone,) = ask(runner, request)
        np.testing.assert_allclose(answer["scores"], alone["scores"], atol=1e-5)


# BART has no kinds of tokens and ends a text by a token; BERT tells the second text by its kind.
@pytest.mark.parametrize(
    ("kind", "config"),
    [("BertForSequenceClassification", SIZES), ("BartForSequenceClassification", BART)],
)
def test_a_network_for_entailment_scores_as_its_library_does(
    tmp_path: Path, kind: str, config: dict[str, Any]
):
    import torch

    module = write_network(tmp_path / "source", kind, **config, num_labels=3, **CLASSES)
    card = import_entailment(tmp_path / "source", tmp_path / "made", name="tiny")
    assert (card.contradiction, card.entailment, card.max_tokens) == (0, 2, 32)
    runner = Runner(ZeroShot(tmp_path / "made"))
    single, several = ask(
        runner, as_request(TEXTS, LABELS), as_request(TEXTS, LABELS, multi_label=True)
    )
    tokenize = runner.pipeline._classifier.tokenize  # type: ignore[attr-defined]
    logits = np.zeros((len(TEXTS), len(LABELS), 3))
    for i, text in enumerate(TEXTS):
        for j, label in enumerate(LABELS):
            tokens = tokenize([(text, f"This example is {label}.")])
            given_tokens = {"input_ids": torch.from_numpy(tokens.ids[None].astype(np.int64))}
            if kind.startswith("Bert"):
                assert set(tokens.kinds) == {0, 1}
                given_tokens["token_type_ids"] = torch.from_numpy(
                    tokens.kinds[None].astype(np.int64)
                )
            with torch.inference_mode():
                logits[i, j] = module(**given_tokens).logits[0]
    np.testing.assert_allclose(single["scores"], softmax(logits[:, :, 2]), atol=1e-5)
    np.testing.assert_allclose(several["scores"], softmax(logits[:, :, [0, 2]])[..., 1], atol=1e-5)
    assert single["truncated"].tolist() == [False, False, True]
    with pytest.raises(InvalidInput, match="1,002 pairs; a network for entailment takes at most"):
        ask(runner, as_request(TEXTS, [f"label {n}" for n in range(334)]))


def test_a_classifier_of_other_classes_is_no_network_for_entailment(tmp_path: Path):
    classes = {"label2id": {"bad": 0, "good": 1}}
    write_bert(tmp_path / "source")
    path = tmp_path / "source" / "config.json"
    kind = {"architectures": ["BertForSequenceClassification"]}
    path.write_text(json.dumps({**json.loads(path.read_text()), **kind, **classes}))
    message = "its classes are bad, good; there must be entailment and contradiction"
    with pytest.raises(WeightsError, match=message):
        import_entailment(tmp_path / "source", tmp_path / "made", name="tiny")
    with pytest.raises(WeightsError, match="is a classifier, not an encoder; if it is"):
        import_encoder(tmp_path / "source", tmp_path / "made", name="tiny")
    assert not (tmp_path / "made").exists()


def test_a_card_that_makes_no_sense_is_refused(tmp_path: Path):
    card = {"format": 1, "task": "entailment", "name": "x", "file": "model.onnx", "sha256": ""}
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({**card, "max_tokens": 9, "entailment": -1, "contradiction": 0}))
    with pytest.raises(WeightsError, match="entailment is -1; it must be 0 or more"):
        ZeroShot(tmp_path).metadata()
    path.write_text(json.dumps(card))
    with pytest.raises(WeightsError, match=r"EntailmentCard: .* missing .* `max_tokens`"):
        ZeroShot(tmp_path).metadata()


class Counting:
    """Encodes a text as its length, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text)] for text in texts], np.float32)


def test_known_labels_are_not_computed_again_and_the_oldest_are_forgotten():
    encode = Counting()
    cache = VectorCache(encode, 3)
    assert cache(["a", "bb", "a"]).tolist() == [[1], [2], [1]]
    assert cache(["ccc", "a"]).tolist() == [[3], [1]]
    assert encode.asked == ["a", "bb", "ccc"]
    assert cache(["dddd", "eeeee"]).tolist() == [[4], [5]]  # only one of the others may stay
    encode.asked.clear()
    cache(["a", "dddd", "eeeee"])
    assert encode.asked == []
    assert cache([str(n) for n in range(9)]).shape == (9, 1)  # more than it keeps
