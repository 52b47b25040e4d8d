"""Sentence vectors and zero-shot classification through the real Triton."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tests.unit.applications.text.embedding.tiny import write_onnx_entailment
from tests.unit.client.clients import in_a_loop
from typer.testing import CliRunner

import naiad
from naiad import testing
from naiad.applications.text.embedding.encoder import Tokenizer
from naiad.applications.text.embedding.importing import served_folder
from naiad.applications.text.zero_shot.task import Classification
from naiad.cli.main import app
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
    models = ("zero_shot", "text_embedding", "sentence_bert", "deepset")
    with testing.serve(*models, instances=1) as server:
        yield server


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(served_folder(None) / "tokenizer.json", 256)


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
def test_texts_of_one_subject_get_similar_vectors(server: Server, url: str):
    texts = ["a heist in space", "robbers on a rocket", "a cookery book of the Alps"]
    with naiad.Client(getattr(server, url)) as client:
        vectors = client.text_embedding.embed(texts)
        assert client.text_embedding.embed([]).shape == (0, 384)
    assert (vectors.shape, vectors.dtype) == ((3, 384), np.float32)
    similar = vectors @ vectors.T
    assert similar[0, 1] > similar[0, 2]


def test_many_texts_are_answered_in_order(server: Server):
    texts = [f"text number {n} " * (n % 7 + 1) for n in range(100)]
    with server.client() as client:
        vectors = client.text_embedding.embed(texts)
        again = client.text_embedding.embed([texts[71]])
    np.testing.assert_allclose(vectors[71], again[0], atol=1e-5)
    same = in_a_loop(server.grpc_url, lambda client: client.text_embedding.embed(texts))
    np.testing.assert_allclose(same, vectors, atol=1e-5)
    assert in_a_loop(server.grpc_url, lambda c: c.text_embedding.embed([])).shape == (0, 384)


def test_the_command_writes_vectors_and_shows_similar_texts(server: Server, tmp_path: Path):
    (tmp_path / "more.txt").write_text("a cookery book of the Alps\nrobbers on a rocket\n")
    command = ["infer", "text_embedding", "a heist in space", "-f", str(tmp_path / "more.txt")]
    given = [*command, "-o", str(tmp_path / "vectors.npy"), "--url", server.grpc_url]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert result.output.index("robbers on a rocket") < result.output.index("a cookery book")
    vectors = np.load(tmp_path / "vectors.npy")
    with server.client() as client:
        alone = client.text_embedding.embed(["robbers on a rocket"])
    np.testing.assert_allclose(vectors[2], alone[0], atol=1e-5)
    assert isinstance(CliRunner().invoke(app, given).exception, naiad.NaiadError)


def test_a_text_that_is_too_long_is_found_before_anything_is_sent(server: Server):
    with server.client() as client, pytest.raises(naiad.InvalidInput, match=r"text\[40\] has 2,0"):
        client.text_embedding.embed(["fine"] * 40 + ["x" * (1 << 21)])


def test_a_bad_text_is_named(server: Server):
    raw = np.array([b"fine", b"caf\xe9"], object)
    with pytest.raises(naiad.InvalidInput, match=r"text\[1\] is not UTF-8: byte 3 is 0xe9"):
        server.client().infer("text_embedding", text=raw)


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_the_workshop_s_sentences_get_the_right_labels(server: Server, url: str, multi_label: bool):
    with naiad.Client(getattr(server, url)) as client:
        found = client.zero_shot.infer(list(WORKSHOP), LABELS, multi_label=multi_label)
    assert [one.label for one in found] == list(WORKSHOP.values())
    for one in found:
        assert sorted(one.labels) == sorted(LABELS)
        assert list(one.scores) == sorted(one.scores, reverse=True)
        assert multi_label or sum(one.scores) == pytest.approx(1, abs=1e-5)


def test_a_bad_text_among_many_requests_fails_alone(server: Server):
    texts = list(WORKSHOP) * 5
    texts[7] = "  "
    with server.client() as client:
        answers = list(client.zero_shot.try_many(texts, LABELS, concurrency=15))
    assert isinstance(answers[7], naiad.InvalidInput)
    assert str(answers[7]) == "text[0] is empty; it must have text"
    for text, answer in zip(texts, answers, strict=True):
        if text.strip():
            assert isinstance(answer, Classification)
            assert answer.label == WORKSHOP[text]


def test_long_texts_and_many_labels_are_answered(server: Server):
    long = "The parliament votes on the new law. " * 2703
    assert len(long) > 100_000
    with server.client() as client:
        (found,) = client.zero_shot.infer([long], LABELS)
        assert (found.label, found.truncated) == ("politics", True)
        labels = [f"number {n}" for n in range(999)] + ["politics"]
        (found,) = client.zero_shot.infer([long], labels, timeout=120)
        assert (found.label, len(found.labels)) == ("politics", 1000)
        with pytest.raises(naiad.InvalidInput, match="has 1,001 labels; this model takes at most"):
            client.zero_shot.infer([long], [*labels, "one more"])
        with pytest.raises(naiad.InvalidInput, match="has 129 texts; this model takes at most 128"):
            client.infer("zero_shot", text=["text"] * 129, labels=LABELS)
        assert len(client.zero_shot.infer(["text"] * 129, LABELS)) == 129


def test_a_refused_text_of_a_list_is_named(server: Server):
    with server.client() as client:
        with pytest.raises(naiad.InvalidInput, match=r"^texts\[2\] is empty; it must have"):
            client.zero_shot.infer(["fine", "good", " ", "well"], LABELS)
        with pytest.raises(
            naiad.InvalidInput, match=r"^labels is a single text; give a list of texts"
        ):
            client.zero_shot.infer(["fine"], "politics")
        with pytest.raises(naiad.InvalidInput, match=r"^labels\[0\] is empty"):
            client.zero_shot.infer(["fine"], [""])


def test_a_message_that_repeats_long_labels_arrives(server: Server):
    with naiad.Client(server.grpc_url, retries=0) as client:
        for labels in (["a" * 20_000] * 2, ["\u00e9" * 20_000] * 2):
            with pytest.raises(naiad.InvalidInput, match="cut; it has"):
                client.infer("zero_shot", text=["hi"], labels=labels)


def test_the_command_draws_bars_and_reports_bad_texts(server: Server, tmp_path: Path):
    (tmp_path / "more.txt").write_text(f"{list(WORKSHOP)[1]}\n\n{'x' * (1 << 21)}\n", "utf-8")
    table = tmp_path / "labels.csv"
    command = ["infer", "zero_shot", next(iter(WORKSHOP)), "-f", str(tmp_path / "more.txt")]
    options = ["--labels", ", ".join(LABELS), "-o", str(table), "--url", server.grpc_url]
    result = CliRunner().invoke(app, [*command, *options])
    assert result.exit_code == 1
    assert f"{'x' * 99}…: has 2,097,152 bytes; it must be at most 1,048,576" in result.output
    assert "1 of 3 texts failed" in result.output
    assert re.search(r"politics +█+.? +0\.9\d\d", result.output)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["politics", "space and science"]
    assert sum(float(rows[0][label]) for label in LABELS) == pytest.approx(1, abs=1e-4)


def test_many_lines_of_standard_input_are_shown_a_line_each(server: Server):
    lines = "\n".join(list(WORKSHOP) * 4)
    command = ["infer", "zero_shot", "-f", "-", "--labels", ",".join(LABELS)]
    result = CliRunner().invoke(app, [*command, "--url", server.grpc_url], input=lines)
    assert result.exit_code == 0, result.output
    assert "12 texts: " in result.output
    assert all(f"{label} 4" in result.output for label in LABELS)


def test_a_network_for_entailment_is_imported_and_served(tmp_path: Path):
    source, folder = tmp_path / "source", tmp_path / "made"
    write_onnx_entailment(source, {"ENTAILMENT": 0, "NEUTRAL": 1, "CONTRADICTION": 2})
    made = CliRunner().invoke(
        app, ["weights", "import", "zero_shot", str(source), "-o", str(folder), "--notice", "tiny"]
    )
    assert made.exit_code == 0, made.output
    assert "a network for entailment, asked 'This example is {}.'" in made.output
    with testing.serve("zero_shot", weights=folder, instances=1) as server:
        command = ["infer", "zero_shot", "the moon is bright", "--labels", "space,heist"]
        result = CliRunner().invoke(app, [*command, "--url", server.grpc_url])
    assert result.exit_code == 0, result.output
    assert len(re.findall(r"\d\.\d{3}$", result.output, re.MULTILINE)) == 2
    assert "tiny" in result.output


# Like the workshop's notebooks: pad to 256 tokens, send ids and mask, and average over all 256
# places, without the mask.


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


def test_the_contract_is_that_of_existing_clients(server: Server):
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        config = client.get_model_config("deepset").config
    assert config.max_batch_size == 0
    found = [(t.name, list(t.dims)) for t in [*config.input, *config.output]]
    assert found == [
        ("input__0", [-1, 256]),
        ("input__1", [-1, 256]),
        ("output__0", [-1, 256, -1]),
    ]


def test_the_demo_labels_the_workshop_s_sentences(tmp_path: Path):
    result = CliRunner().invoke(app, ["demo", "zero_shot", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    with (tmp_path / "out" / "labels.csv").open(newline="") as file:
        rows = {row["text"]: row for row in csv.DictReader(file)}
    assert rows.keys() == WORKSHOP.keys()
    for text, label in WORKSHOP.items():
        assert max(LABELS, key=lambda name: float(rows[text][name])) == label
