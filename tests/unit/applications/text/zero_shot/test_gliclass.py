"""GLiClass networks: scores of the gliclass library, in one pass over all labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.applications.text.embedding.tiny import SIZES, WORDS, transformers, write_tokenizer

from naiad.applications.text.embedding.importing import import_encoder
from naiad.applications.text.zero_shot.importing import import_network
from naiad.applications.text.zero_shot.pipeline import ZeroShot
from naiad.applications.text.zero_shot.question import as_request
from naiad.core.pipeline import Request
from naiad.errors import InvalidInput, WeightsError
from naiad.runtime.runner import Runner

TEXTS = ("the moon is bright .", "a heist in space")
LABELS = ("space", "a heist", "the moon is bright")
MARKS = ("<<LABEL>>", "<<SEP>>", "<<EXAMPLE>>")
DEBERTA = {
    **SIZES, "model_type": "deberta-v2", "relative_attention": True, "position_buckets": 8,
    "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "type_vocab_size": 0,
    "share_att_key": True, "norm_rel_ebd": "layer_norm", "max_position_embeddings": 24,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "labels first": {"prompt_first": True},
    "text first, averages": {
        "scorer_type": "weighted-dot", "pooling_strategy": "avg", "class_token_pooling": "average",
        "normalize_features": True,
    },
    "only the text's states": {
        "scorer_type": "mlp", "pooling_strategy": "max",
        "extract_text_features": True, "class_token_pooling": "average",
        "embed_class_token": False, "prompt_first": True,
    },
    "the token behind the mark": {
        "scorer_type": "mlp", "pooling_strategy": "avg",
        "extract_text_features": True, "embed_class_token": False, "prompt_first": True,
    },
    "BERT, the last state": {
        "encoder_config": {**SIZES, "model_type": "bert"}, "pooling_strategy": "last",
        "class_token_pooling": "average", "prompt_first": True,
    },
}  # fmt: skip
# Logits of gliclass 0.1.21 and transformers 5.24 for these networks, a row per text.
EXPECTED: dict[str, list[list[float]]] = {
    "labels first": [[-3.411764, -2.26755, -2.517824], [-1.444561, -0.881296, -0.333055]],
    "text first, averages": [[0.653981, 0.341348, 0.363269], [0.601868, 0.48899, 0.63119]],
    "only the text's states": [[1.925259, 2.223838, 2.389061], [2.212584, 2.955174, 2.370986]],
    "the token behind the mark": [[0.870616, 1.963619, 2.674546], [0.835553, 2.743583, 1.829621]],
    "BERT, the last state": [[1.438887, 1.27108, 1.504614], [0.466027, 0.232309, 0.469281]],
}


def shapes_of_heads(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    width, inner = 12, 256  # which the library does not take from its config
    dense = {
        f"{side}_projector.linear_{n}": (width, width) for side in ("text", "classes") for n in "12"
    }
    if config.get("scorer_type") == "mlp":
        layers = ((inner, 2 * width), (inner // 2, inner), (1, inner // 2))
        dense |= {f"scorer.mlp.{2 * n}": shape for n, shape in enumerate(layers)}
    if config.get("scorer_type") == "weighted-dot":
        dense |= {f"scorer.proj_{side}": (2 * width, width) for side in ("text", "label")}
        dense |= {"scorer.out_mlp.0": (4 * width, 3 * width), "scorer.out_mlp.3": (1, 4 * width)}
    return {
        "logit_scale": (),
        **{f"{name}.weight": shape for name, shape in dense.items()},
        **{f"{name}.bias": shape[:1] for name, shape in dense.items()},
    }


def write_gliclass(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write a tiny network with the same random numbers everywhere; return its config."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer

    library, size = transformers(), len(WORDS) + len(MARKS)
    config = {
        "architectures": ["GLiClassModel"], "model_type": "GLiClass", "encoder_config": DEBERTA,
        "encoder_model": "tiny", "hidden_size": 12, "scorer_type": "simple",
        "pooling_strategy": "first", "class_token_index": len(WORDS),
        "text_token_index": len(WORDS) + 1, **changes, "vocab_size": size,
    }  # fmt: skip
    config["encoder_config"] = {**config["encoder_config"], "vocab_size": size}
    about = library.AutoConfig.for_model(**config["encoder_config"])
    encoder = library.AutoModel.from_config(about).state_dict()
    shapes = {f"encoder_model.{name}": tuple(one.shape) for name, one in encoder.items()}
    shapes |= shapes_of_heads(config)
    rng = np.random.default_rng(11)
    tensors: dict[str, np.ndarray] = {}
    for name in sorted(shapes):  # so that the states, and with them the logits, differ well
        centre = 1.0 if name.endswith("LayerNorm.weight") or not shapes[name] else 0.0
        spread = 1.5 / np.sqrt(shapes[name][-1]) if len(shapes[name]) > 1 else 0.3
        value = rng.normal(centre, spread, shapes[name])
        tensors[f"model.{name}"] = np.asarray(value, np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(list(MARKS))
    tokenizer.save(str(folder / "tokenizer.json"))
    return config


def served(folder: Path, **changes: Any) -> Runner:
    write_gliclass(folder / "source", **changes)
    import_network(str(folder / "source"), folder / "made")
    return Runner(ZeroShot(folder / "made"))


def ask(runner: Runner, *requests: dict[str, np.ndarray]) -> list[Any]:
    return list(runner.run([Request(request) for request in requests]).outcomes)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_the_library(tmp_path: Path, case: str) -> None:
    logits = np.array(EXPECTED[case])
    runner = served(tmp_path, **CASES[case])
    single, several = ask(
        runner, as_request(TEXTS, LABELS), as_request(TEXTS, LABELS, multi_label=True)
    )
    np.testing.assert_allclose(single["scores"], softmax(logits), atol=1e-5)
    np.testing.assert_allclose(several["scores"], 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert runner.pipeline.metadata()["method"] == "gliclass"


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_library_itself_gives_the_expected_logits(tmp_path: Path, case: str) -> None:
    found = by_library(tmp_path, CASES[case])
    np.testing.assert_allclose(found, EXPECTED[case], atol=1e-5)


def by_library(folder: Path, changes: dict[str, Any]) -> np.ndarray:
    """Return the logits of the library, one text at a time: of several, it pools padding too."""
    import torch

    gliclass = pytest.importorskip("gliclass", reason="gliclass is not installed")
    config = write_gliclass(folder, **changes)
    from safetensors.torch import load_file

    model = gliclass.GLiClassModel(gliclass.GLiClassModelConfig(**config)).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    tokenizer = transformers().PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json")
    )
    pipeline = gliclass.pipeline.UniEncoderZeroShotClassificationPipeline(
        model, tokenizer, device="cpu"
    )
    rows: list[np.ndarray] = []
    for text in TEXTS:
        inputs = tokenizer(pipeline.prepare_input(text, LABELS), return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            rows.append(model(**inputs, max_num_classes=len(LABELS)).logits[0].numpy())
    return np.stack(rows)


def test_requests_with_other_labels_are_answered_together_as_alone(tmp_path: Path) -> None:
    runner = served(tmp_path, pooling_strategy="avg", prompt_first=True)
    requests = [
        as_request(TEXTS, LABELS[:1]),
        as_request(TEXTS[:1], LABELS),
        as_request(["moon", *TEXTS], LABELS[1:], multi_label=True),
    ]
    for request, together in zip(requests, ask(runner, *requests), strict=True):
        (alone,) = ask(runner, request)
        np.testing.assert_allclose(together["scores"], alone["scores"], atol=1e-5)


@pytest.mark.parametrize("prompt_first", [True, False])
def test_of_a_long_text_the_end_is_cut_and_no_label(tmp_path: Path, prompt_first: bool) -> None:
    runner = served(tmp_path, prompt_first=prompt_first)
    long, cut = "moon " * 40, "moon " * 16  # of 24 tokens, the labels and marks take 8
    whole, short = ask(
        runner, as_request([long], LABELS[:2]), as_request([cut.strip()], LABELS[:2])
    )
    assert (whole["truncated"].item(), short["truncated"].item()) == (True, False)
    np.testing.assert_allclose(whole["scores"], short["scores"], atol=1e-6)
    (refused,) = ask(runner, as_request(["moon"], [f"the moon {'a ' * n}" for n in range(9)]))
    assert isinstance(refused, InvalidInput)
    assert "tokens; the network reads 24 with the text: give fewer" in str(refused)


def test_marks_of_labels_in_a_text_are_refused(tmp_path: Path) -> None:
    runner = served(tmp_path, max_labels_alloc="fixed", max_num_classes=2)
    marked, labelled, many = ask(
        runner,
        as_request(["moon", "a <<LABEL>> moon"], ["space"]),
        as_request(["moon"], ["space", "<<SEP>>"]),
        as_request(["moon"], LABELS),
    )
    assert str(marked).startswith("text[1] has <<LABEL>>, by which this network tells labels")
    assert str(labelled).startswith("labels[1] has <<SEP>>")
    assert str(many) == "the request has 3 labels; this network takes at most 2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture_type": "bi-encoder"}, "architecture_type is bi-encoder; Naiad runs uni-"),
        ({"scorer_type": "cross-attn"}, "scorer_type is cross-attn; Naiad runs simple or weighted"),
        ({"use_lstm": True}, "use_lstm is True; Naiad runs False"),
        ({"text_token_index": 3}, "<<SEP>> is token 17 of the tokenizer and 3 of config.json"),
        ({"class_token_index": "x"}, "is not that of a GLiClass network"),
    ],
)
def test_networks_that_would_score_otherwise_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    write_gliclass(tmp_path / "source", **change)
    with pytest.raises(WeightsError, match=message):
        import_network(str(tmp_path / "source"), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_what_does_not_fit_a_gliclass_network_is_said(tmp_path: Path) -> None:
    source, made = str(tmp_path / "source"), tmp_path / "made"
    write_gliclass(tmp_path / "source")
    with pytest.raises(WeightsError, match="takes no template"):
        import_network(source, made, template="about {}")
    with pytest.raises(WeightsError, match="int8 is for sentence encoders"):
        import_network(source, made, int8=True)
    with pytest.raises(WeightsError, match="naiad weights import zero_shot"):
        import_encoder(tmp_path / "source", made, name="tiny")
    (tmp_path / "source" / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="no pickle"):
        import_network(source, made)
