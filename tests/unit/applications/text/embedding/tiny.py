"""Tiny networks with random weights, in Hugging Face's folders."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
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
    """Write a tokenizer of whole words, with BERT's tokens around a text and between two."""
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
    """Save a network of class ``kind`` with random weights, and return it."""
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


def write_bert(folder: Path, **config: int) -> None:
    """Write a BERT without torch and transformers, whose import takes long."""
    from safetensors.numpy import save_file

    sizes = {**SIZES, **config}
    width, inner = sizes["hidden_size"], sizes["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings": (sizes["vocab_size"], width),
        "embeddings.position_embeddings": (sizes["max_position_embeddings"], width),
        "embeddings.token_type_embeddings": (2, width),
    }
    dense = {"embeddings.LayerNorm": (width,)}
    for layer in range(sizes["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            dense[f"{name}.attention.{part}"] = (width, width)
        dense[f"{name}.intermediate.dense"] = (inner, width)
        dense[f"{name}.output.dense"] = (width, inner)
        for part in ("attention.output", "output"):
            dense[f"{name}.{part}.LayerNorm"] = (width,)
    rng = np.random.default_rng(7)
    tensors = {
        **{
            f"{name}.weight": rng.normal(0, 0.3, shape)
            for name, shape in {**shapes, **dense}.items()
        },
        **{f"{name}.bias": rng.normal(0, 0.3, shape[:1]) for name, shape in dense.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.astype(np.float32) for name, tensor in tensors.items()},
        folder / "model.safetensors",
    )
    kind = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12}
    (folder / "config.json").write_text(json.dumps({**kind, **sizes}))
    write_tokenizer(folder)


def write_onnx_entailment(folder: Path, labels: dict[str, int]) -> None:
    """Write an ONNX network whose logits are sums of a random table's rows, without torch."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    table = np.random.default_rng(3).normal(size=(len(WORDS), len(labels))).astype(np.float32)
    dims = ["pairs", "tokens"]
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("Cast", ["attention_mask"], ["weights"], to=TensorProto.FLOAT),
            helper.make_node("Einsum", ["rows", "weights"], ["logits"], equation="bte,bt->be"),
        ],
        "entailment",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, dims)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["pairs", len(labels)])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "onnx").mkdir(parents=True)
    onnx.save(model, folder / "onnx" / "model.onnx")
    config = {"architectures": ["SomeForSequenceClassification"], "label2id": labels}
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 32}))
    write_tokenizer(folder)


def write_modules(folder: Path, *, pooling: str = "mean_tokens", normalise: bool = True) -> None:
    """Write the files that make a network a sentence-transformers encoder."""
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
