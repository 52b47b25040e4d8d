"""Small models as files, as users bring them to a model repository."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

FEATURES = 8
CLASSES = 3


class AddSub(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return a + b, a - b


class Dense(torch.nn.Module):
    """A linear layer: float32 [batch, 8] to [batch, 3]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(FEATURES, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.layer(x), -1)


class Shout(torch.nn.Module):
    def forward(self, words: list[str]) -> list[str]:
        return [word.upper() for word in words]


class ByName(torch.nn.Module):
    def forward(self, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"sum": given["a"] + given["b"], "product": given["a"] * given["b"]}


class Neighbours(torch.nn.Module):
    """A message pass: node scores from a node's own features and its neighbours'."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.own = torch.nn.Linear(FEATURES, CLASSES)
        self.near = torch.nn.Linear(FEATURES, CLASSES)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        messages = self.near(x)[edge_index[0]]
        target = edge_index[1].unsqueeze(1).expand_as(messages)
        gathered = torch.zeros(x.size(0), CLASSES).scatter_add(0, target, messages)
        return self.own(x) + torch.relu(gathered)


def graph(nodes: int, edges: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Make features float32 [nodes, 8] and edges int64 [2, edges]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(nodes, FEATURES)).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(rng.integers(0, nodes, (2, edges)))


@contextmanager
def _outdated() -> Iterator[None]:
    """Silence torch 2.13's deprecation of TorchScript, which repositories still use widely."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def script(model: torch.nn.Module, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _outdated():
        torch.jit.script(model.eval()).save(str(path))
    return path


def load_script(path: Path) -> torch.jit.ScriptModule:
    with _outdated():
        return torch.jit.load(str(path))


def trace(model: torch.nn.Module, example: tuple[torch.Tensor, ...], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _outdated():
        torch.jit.trace(model.eval(), example).save(str(path))
    return path


def exported(
    model: torch.nn.Module, example: tuple[torch.Tensor, ...]
) -> torch.export.ExportedProgram:
    """Export with dynamic rows, and dynamic columns of integers (edges)."""
    rows, edges = torch.export.Dim("rows"), torch.export.Dim("edges")
    shapes = tuple({1: edges} if t.dtype == torch.int64 else {0: rows} for t in example)
    return torch.export.export(model.eval(), example, dynamic_shapes=shapes)


def save_export(model: torch.nn.Module, example: tuple[torch.Tensor, ...], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.export.save(exported(model, example), str(path))
    return path


def _save_onnx(
    path: Path, nodes: list[onnx.NodeProto], inputs: list[object], outputs: list[object], *initial
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = helper.make_graph(nodes, "test", inputs, outputs, initializer=list(initial))
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def dense_onnx(path: Path) -> Path:
    """Export Dense: x float32 [batch, 8] to y [batch, 3]."""
    layer = Dense().layer
    weight = onnx.numpy_helper.from_array(layer.weight.detach().numpy().T.copy(), "weight")
    bias = onnx.numpy_helper.from_array(layer.bias.detach().numpy(), "bias")
    return _save_onnx(
        path,
        [
            helper.make_node("MatMul", ["x", "weight"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["y"], axis=-1),
        ],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CLASSES])],
        weight,
        bias,
    )


def echo_onnx(path: Path) -> Path:
    """Export words: string [n] to echoed: string [n], and numbers: int64 [4] to doubled."""
    return _save_onnx(
        path,
        [
            helper.make_node("Identity", ["words"], ["echoed"]),
            helper.make_node("Add", ["numbers", "numbers"], ["doubled"]),
        ],
        [
            helper.make_tensor_value_info("words", TensorProto.STRING, ["n"]),
            helper.make_tensor_value_info("numbers", TensorProto.INT64, [4]),
        ],
        [
            helper.make_tensor_value_info("echoed", TensorProto.STRING, ["n"]),
            helper.make_tensor_value_info("doubled", TensorProto.INT64, [4]),
        ],
    )


def neighbours_onnx(path: Path) -> Path:
    """Export a pass: x float32 [nodes, 8], edge_index int64 [2, edges] to scores [nodes, 3]."""
    near = Neighbours().near
    weight = onnx.numpy_helper.from_array(near.weight.detach().numpy().T.copy(), "weight")
    zero = onnx.numpy_helper.from_array(np.array(0, np.int64), "zero")
    one = onnx.numpy_helper.from_array(np.array(1, np.int64), "one")
    minus = onnx.numpy_helper.from_array(np.array([1], np.int64), "axis")
    return _save_onnx(
        path,
        [
            helper.make_node("MatMul", ["x", "weight"], ["own"]),
            helper.make_node("Gather", ["edge_index", "zero"], ["source"], axis=0),
            helper.make_node("Gather", ["edge_index", "one"], ["target"], axis=0),
            helper.make_node("Gather", ["own", "source"], ["messages"], axis=0),
            helper.make_node("Unsqueeze", ["target", "axis"], ["column"]),
            helper.make_node("Shape", ["messages"], ["shape"]),
            helper.make_node("Expand", ["column", "shape"], ["where"]),
            helper.make_node(
                "ScatterElements", ["own", "where", "messages"], ["scores"], axis=0, reduction="add"
            ),
        ],
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["nodes", FEATURES]),
            helper.make_tensor_value_info("edge_index", TensorProto.INT64, [2, "edges"]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["nodes", CLASSES])],
        *(weight, zero, one, minus),
    )
