"""Small classifiers with known answers, as ONNX and TorchScript files of users."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

# Scores are the mean red, green and blue, and twice their mean: a red picture is of class 0.
WEIGHT = np.array([[1, 0, 0, 2 / 3], [0, 1, 0, 2 / 3], [0, 0, 1, 2 / 3]], np.float32)
LABELS = ("red", "green", "blue", "bright")


def write_onnx(
    path: Path,
    shape: list[int | str],
    *,
    probabilities: bool = False,
    inputs: int = 1,
    weight: np.ndarray = WEIGHT,
) -> Path:
    """Write a network with this input shape; a 3 at place 1 or 3 is the colours."""
    axes = [1, 2] if shape[3] == 3 else [2, 3]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["logits"]),
    ]
    if probabilities:
        nodes.append(helper.make_node("Softmax", ["logits"], ["scores"], axis=1))
    last = "scores" if probabilities else "logits"
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("input", "unused")[:inputs]
    ]
    classes = weight.shape[1]
    graph = helper.make_graph(
        nodes,
        "mean",
        given,
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [shape[0], classes])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


class Mean(torch.nn.Module):
    """The same network in torch, for NCHW."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(WEIGHT))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) @ self.weight


class Pair(torch.nn.Module):
    """A network that returns more than scores."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x.mean((2, 3)), x.mean((2, 3))


def write_torchscript(path: Path, module: torch.nn.Module | None = None) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(module or Mean(), torch.zeros(2, 3, 8, 8)), path)
    return path


def write_labels(path: Path, labels: tuple[str, ...] = LABELS) -> Path:
    path.write_text("".join(f"{label}\n" for label in labels), "utf-8")
    return path


def expected(pixels: np.ndarray, mean: float = 0.0, std: float = 255.0) -> np.ndarray:
    """Return these networks' probabilities for pixels of 0 to 255."""
    logits = ((pixels.astype(np.float64) - mean) / std).mean((1, 2)) @ WEIGHT
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
