"""Tiny networks of the transformers library with random weights, as folders."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

WORDS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *("a", "heist", "in", "space", "the", "moon", "is", "bright", "this", "example", "about", "."),
)
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 32,
}


def transformers() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("transformers")


def write_tokenizer(folder: Path) -> None:
    """Whole words, with BERT's tokens around a text and between two."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def write_network(folder: Path, kind: str, **config: Any) -> Any:
    """A network of class ``kind`` with random weights, saved; it is returned."""
    import torch

    library = transformers()
    torch.manual_seed(7)
    made = getattr(library, f"{kind.partition('Model')[0].partition('For')[0]}Config")(**config)
    module = getattr(library, kind)(made).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)  # far from the small numbers of a new network
    folder.mkdir(parents=True, exist_ok=True)
    module.save_pretrained(folder)
    write_tokenizer(folder)
    return module


def write_modules(folder: Path, *, pooling: str = "mean_tokens", normalise: bool = True) -> None:
    """The files that make an encoder of sentence-transformers of a network."""
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalise else [])]
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "",
         "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 12, f"pooling_mode_{pooling}": True})
    )
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16}))
