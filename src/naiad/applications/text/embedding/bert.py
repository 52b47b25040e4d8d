"""BERT's network as an ONNX graph, written from a Hugging Face checkpoint.

The network is Devlin et al., arXiv:1810.04805, and most sentence encoders are one. Writing the
graph needs neither torch nor transformers, and gives a graph that onnxruntime fuses as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.errors import MissingExtra, WeightsError

IDS: Final = "input_ids"
MASK: Final = "attention_mask"
KINDS: Final = "token_type_ids"
STATES: Final = "last_hidden_state"

_OPSET: Final = 20  # the first with Gelu
_IR: Final = 9  # read by every onnxruntime since 1.17
_PREFIXES: Final = ("", "bert.")

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class BertConfig:
    """Sizes of a BERT, from ``config.json``."""

    layers: int
    heads: int
    width: int
    epsilon: float
    positions: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> BertConfig | None:
        """Return the sizes in a ``config.json``, or None for another network."""
        plain = (
            config.get("model_type") == "bert"
            and config.get("hidden_act") == "gelu"
            and config.get("position_embedding_type", "absolute") == "absolute"
            and not config.get("is_decoder")
        )
        if not plain:
            return None
        return cls(
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            width=int(config["hidden_size"]),
            epsilon=float(config["layer_norm_eps"]),
            positions=int(config["max_position_embeddings"]),
        )


def write_bert(config: BertConfig, weights: Weights, path: Path) -> None:
    """Write the network to ``path``.

    It takes token ids and a mask (1: a token, 0: padding), both int64 ``[texts, tokens]``, and
    returns the last hidden states, float32 ``[texts, tokens, width]``.

    Raises:
        WeightsError: a tensor is missing or does not have the config's shape.
        MissingExtra: onnx is not installed.
    """
    try:
        onnx: Any = import_module("onnx")
    except ImportError as error:
        raise MissingExtra("text-embedding", error.name or "onnx") from error
    graph = _Graph(onnx, weights)
    states = graph.embeddings(config)
    for layer in range(config.layers):
        states = graph.layer(f"encoder.layer.{layer}.", states, config)
    graph.op("Identity", [states], STATES)
    onnx.save(graph.model(config), path)


class _Graph:
    """The nodes and constants added so far."""

    def __init__(self, onnx: Any, weights: Weights) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        prefix = next((p for p in _PREFIXES if f"{p}{_WORDS}" in weights), "")
        self._weights = {
            name.removeprefix(prefix).replace("gamma", "weight").replace("beta", "bias"): value
            for name, value in weights.items()
        }

    def op(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output, which has the node's name."""
        node = self._onnx.helper.make_node(kind, list(inputs), [name], name=name, **attributes)
        self._nodes.append(node)
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant, once."""
        if name not in self._constants:
            array = np.ascontiguousarray(value)
            self._constants[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str, shape: tuple[int, ...] | None = None) -> NDArray[np.float32]:
        """Return a tensor of the checkpoint."""
        if name not in self._weights:
            raise WeightsError(f"the checkpoint has no {name}: it is not the BERT of its config")
        value = np.asarray(self._weights[name], np.float32)
        if shape is not None and value.shape != shape:
            raise WeightsError(f"{name} is {list(value.shape)}; the config needs {list(shape)}")
        return value

    def dense(self, name: str, x: str, width: int) -> str:
        """Add a linear layer with ``width`` inputs."""
        weight = self.weight(f"{name}.weight")
        if weight.ndim != 2 or weight.shape[1] != width:
            raise WeightsError(f"{name}.weight is {list(weight.shape)}; it must be [n, {width}]")
        kernel = self.constant(f"{name}.weight", weight.T)
        bias = self.constant(f"{name}.bias", self.weight(f"{name}.bias", weight.shape[:1]))
        return self.op("Add", [self.op("MatMul", [x, kernel], f"{name}.product"), bias], name)

    def norm(self, name: str, x: str, config: BertConfig) -> str:
        """Add a layer normalisation."""
        shape = (config.width,)
        scale = self.constant(f"{name}.weight", self.weight(f"{name}.weight", shape))
        bias = self.constant(f"{name}.bias", self.weight(f"{name}.bias", shape))
        return self.op(
            "LayerNormalization", [x, scale, bias], name, axis=-1, epsilon=config.epsilon
        )

    def embeddings(self, config: BertConfig) -> str:
        """Add the embeddings of tokens and positions; all have the token type of a first text."""
        words = self.constant("words", self.weight(_WORDS))
        kind = self.weight("embeddings.token_type_embeddings.weight")[0]
        shape = (config.positions, config.width)
        table = self.weight("embeddings.position_embeddings.weight", shape) + kind
        length = self.op("Shape", [IDS], "length", start=1, end=2)
        zero = self.constant("zero", np.array([0]))
        places = self.op("Slice", [self.constant("places", table), zero, length], "placed")
        word = self.op("Gather", [words, IDS], "worded")
        return self.norm("embeddings.LayerNorm", self.op("Add", [word, places], "embedded"), config)

    def layer(self, name: str, x: str, config: BertConfig) -> str:
        """Add self-attention and the two linear layers after it."""
        width = config.width
        query, key, value = (
            self.dense(f"{name}attention.self.{part}", x, width)
            for part in ("query", "key", "value")
        )
        mixed = self.op(
            "MultiHeadAttention",
            [query, key, value, "", self._padding()],
            f"{name}attention.mixed",
            num_heads=config.heads,
            domain=_CONTRIB,
        )
        out = self.dense(f"{name}attention.output.dense", mixed, width)
        attended = self.norm(
            f"{name}attention.output.LayerNorm",
            self.op("Add", [out, x], f"{name}attention.sum"),
            config,
        )
        inner = self.dense(f"{name}intermediate.dense", attended, width)
        active = self.op("Gelu", [inner], f"{name}gelu")
        (inner_width,) = self.weight(f"{name}intermediate.dense.bias").shape
        out = self.dense(f"{name}output.dense", active, inner_width)
        return self.norm(
            f"{name}output.LayerNorm", self.op("Add", [out, attended], f"{name}sum"), config
        )

    def _padding(self) -> str:
        """Add the mask in the form that attention takes."""
        if not any(node.name == "padding" for node in self._nodes):
            self.op("Cast", [MASK], "padding", to=self._onnx.TensorProto.INT32)
        return "padding"

    def model(self, config: BertConfig) -> Any:
        """Return the whole model."""
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        dims = ["texts", "tokens"]
        graph = helper.make_graph(
            self._nodes,
            "bert",
            [helper.make_tensor_value_info(name, kinds.INT64, dims) for name in (IDS, MASK)],
            [helper.make_tensor_value_info(STATES, kinds.FLOAT, [*dims, config.width])],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR)


_WORDS: Final = "embeddings.word_embeddings.weight"
_CONTRIB: Final = "com.microsoft"
