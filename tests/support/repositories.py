"""The model repositories of four public examples, laid out as their users have them.

Names, tensors, devices, environments and imports are those of the originals; the networks behind
them are small ones. A model.py imports what the original does, and answers with empty tensors.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tests.support import tensorflow

from naiad.triton.backends.tensorflow_file import tensorflow_is_installed

Tensors = Mapping[str, tuple[str, Sequence[int]]]

NUGRAPH: Tensors = {
    **{f"hit_table_{name}": ("INT32", [-1]) for name in ("hit_id", "local_plane", "local_wire")},
    **{f"hit_table_{name}": ("FP32", [-1]) for name in ("local_time", "integral", "rms")},
    **{
        f"spacepoint_table_{name}": ("INT32", [-1])
        for name in ("spacepoint_id", "hit_id_u", "hit_id_v", "hit_id_y")
    },
}
_ENVIRONMENT = """
parameters: { key: "EXECUTION_ENV_PATH", value: {string_value: "$$TRITON_MODEL_DIRECTORY/%s"} }
"""
_GPU = "instance_group [ { kind: KIND_GPU count: %d gpus: [ 0 ] } ]\n"
_BATCHES = "dynamic_batching { preferred_batch_size: [ 2, 4, 6, 8, 10, 12 ] }\n"
_MODEL = """\
import json

import numpy as np
import triton_python_backend_utils as pb_utils
{imports}

class TritonPythonModel:
    def initialize(self, args):
        self.device = args["model_instance_kind"]
        self.outputs = json.loads(args["model_config"])["output"]

    def execute(self, requests):
        return [pb_utils.InferenceResponse([self.empty(one) for one in self.outputs])
                for _ in requests]

    def empty(self, output):
        dtype = pb_utils.triton_string_to_numpy(output["data_type"])
        shape = [max(int(size), 1) for size in output["dims"]]
        if dtype == np.object_:
            return pb_utils.Tensor(output["name"], np.full([1, *shape], self.device, dtype))
        return pb_utils.Tensor(output["name"], np.zeros(shape, dtype))
"""


def config(
    name: str, backend: str, inputs: Tensors, outputs: Tensors, *, batch: int = 0, more: str = ""
) -> str:
    """Return a config.pbtxt; ``backend`` is a platform if it has an underscore."""
    lines = [f'{"platform" if "_" in backend else "backend"}: "{backend}"']
    if name:
        lines.insert(0, f'name: "{name}"')
    if batch:
        lines.append(f"max_batch_size: {batch}")
    for kind, tensors in (("input", inputs), ("output", outputs)):
        entries = ",\n".join(
            f'  {{ name: "{tensor}" data_type: TYPE_{dtype} dims: {[*dims]} }}'
            for tensor, (dtype, dims) in tensors.items()
        )
        lines.append(f"{kind} [\n{entries}\n]")
    return "\n".join([*lines, more])


def nugraph(root: Path) -> list[Path]:
    """Lay out NuGraph on Triton: with pip and with conda; the archive of conda is not with it."""
    planes = [f"x_semantic_{plane}" for plane in "uvy"]
    filters: Tensors = {f"x_filter_{plane}": ("FP32", [-1]) for plane in "uvy"}
    two: Tensors = {**dict.fromkeys(planes, ("FP32", [-1, 5])), **filters}
    three: Tensors = {
        "e_evt": ("FP32", [4]),
        **dict.fromkeys(planes, ("FP32", [-1, 7])),
        **filters,
        "v_evt": ("FP32", [1, 3]),
    }
    made: list[Path] = []
    for kind, more in (("pip", ""), ("conda", _ENVIRONMENT % "numl.tar.gz")):
        repository = root / f"gnn_models_{kind}"
        for name, outputs in (("nugraph2", two), ("nugraph2_cpu", two), ("nugraph3", three)):
            text = config(name, "python", NUGRAPH, outputs, more=more)
            _write(repository, name, text, _code("nugraph as ng"))
        made.append(repository)
    return made


def gat(root: Path) -> list[Path]:
    """Lay out PyTorch Geometric's GAT on Triton."""
    inputs: Tensors = {"x__0": ("FP32", [-1, 1433]), "edgeindex__1": ("INT64", [2, -1])}
    text = config("gat_test", "pytorch_libtorch", inputs, {"logits__0": ("FP32", [-1, 7])})
    _trace(
        _write(root / "gat", "gat_test", text) / "1" / "model.pt",
        _Gat(),
        torch.zeros(4, 1433),
        _edges(),
    )
    return [root / "gat"]


def workshop(root: Path) -> list[Path]:
    """Lay out the workshop on pictures, texts and product graphs."""
    repository = root / "model_repository"
    edges: Tensors = {f"input__{n}": ("INT64", [2, -1] if n % 2 else [2]) for n in range(1, 7)}
    inputs: Tensors = {"input__0": ("FP32", [1000, 100]), **edges}
    outputs: Tensors = {
        f"output__{n}": ("FP32", [500, width]) for n, width in enumerate((256, 256, 47))
    }
    sizes = [_edges() if n % 2 else torch.zeros(2).long() for n in range(1, 7)]
    text = config("graph_embeddings", "pytorch_libtorch", inputs, outputs)
    _trace(
        _write(repository, "graph_embeddings", text) / "1" / "model.pt",
        _Sage(),
        torch.zeros(1000, 100),
        *sizes,
    )
    for name, rows in (("deepset", 4), ("sentence_bert", 1)):
        tokens: Tensors = {f"input__{n}": ("INT32", [rows, 256]) for n in range(2)}
        text = config(name, "pytorch_libtorch", tokens, {"output__0": ("FP32", [rows, 256, 768])})
        _trace(
            _write(repository, name, text) / "1" / "model.pt",
            _Bert(),
            *[torch.zeros(rows, 256).int()] * 2,
        )
    softmax = "InceptionV3/Predictions/Softmax"
    text = config(
        "inception_graphdef",
        "tensorflow_graphdef",
        {"input": ("FP32", [299, 299, 3])},
        {softmax: ("FP32", [1001])},
        batch=128,
    )
    model = _write(repository, "inception_graphdef", text)
    _write_graph(model, tensorflow.inception)
    both: Tensors = {f"INPUT{n}": ("INT32", [16]) for n in range(2)}
    results: Tensors = {f"OUTPUT{n}": ("INT32", [16]) for n in range(2)}
    text = config("simple", "tensorflow_graphdef", both, results, batch=8)
    _write_graph(_write(repository, "simple", text), tensorflow.add_sub)
    return [repository]


def _write_graph(model: Path, build: Callable[[Any], object]) -> None:
    """Write a GraphDef: the content does not matter where nothing can read it."""
    file = model / "1" / "model.graphdef"
    if tensorflow_is_installed():
        tensorflow.write_graph(file, build)
    else:
        file.touch()


def monai(root: Path) -> list[Path]:
    """Lay out MONAI's tutorials: two classifiers, and spleen segmentation in two models."""
    text_in: Tensors = {"INPUT0": ("STRING", [1])}
    text_out: Tensors = {"OUTPUT0": ("STRING", [1])}
    for name, count in (("mednist_class", 2), ("monai_covid", 1)):
        more = _GPU % count + _BATCHES
        written = config(name, "python", text_in, text_out, batch=12, more=more)
        _write(root / "models", name, written, _code("monai"))
    size = [224, 224, 224]
    masks: Tensors = dict.fromkeys(("MASK", "CONTOUR"), ("INT64", [1, *size]))
    more = _GPU % 1 + _ENVIRONMENT % "monai.tar.gz"
    scan: Tensors = {"INPUT0": ("FP32", [-1, -1, -1])}
    written = config("spleen_seg", "python", scan, masks, batch=1, more=more)
    _write(root / "triton_models", "spleen_seg", written, _code("monai"))
    volume: Tensors = {"INPUT__0": ("FP32", [1, *size])}
    two: Tensors = {"OUTPUT__0": ("FP32", [2, *size])}
    written = config("", "pytorch_libtorch", volume, two, batch=1, more=_GPU % 1)
    model = _write(root / "triton_models", "segmentation_3d", written)
    _trace(model / "1" / "model.pt", _Segmentation(), torch.zeros(1, 1, 8, 8, 8))
    return [root / "models", root / "triton_models"]


EXAMPLES = {"nugraph": nugraph, "gat": gat, "workshop": workshop, "monai": monai}


def packages(folder: Path, *names: str) -> Path:
    """Write Python packages of these names, with nothing in them."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
    return folder


def environment(folder: Path, *names: str, python: Path) -> Path:
    """Make an environment that can be moved, like those of conda-pack, with these packages.

    Args:
        folder: to write it to.
        names: of packages with nothing in them.
        python: an environment with NumPy, which it shares.
    """
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = folder / "lib" / version / "site-packages"
    packages(site, *names)
    shared = python / "lib" / version / "site-packages"
    (site / "shared.pth").write_text(f"{shared}\n")
    for found in shared.glob("numpy-*.dist-info"):
        shutil.copytree(found, site / found.name)
    (folder / "bin").mkdir()
    base = Path(sys.base_prefix) / "bin" / version
    (folder / "bin" / "python3").symlink_to(base)
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (folder / "bin" / "activate").write_text(
        'export PATH="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd):$PATH"\n'
    )
    library = f"lib{version}.so.1.0"
    (folder / "lib" / library).symlink_to(Path(sys.base_prefix) / "lib" / library)
    return folder


def pack(environment: Path, archive: Path) -> Path:
    """Pack an environment as conda-pack does."""
    with tarfile.open(archive, "w:gz") as packed:
        for part in sorted(environment.iterdir()):
            packed.add(part, arcname=part.name)
    return archive


def _edges() -> torch.Tensor:
    return torch.zeros(2, 5, dtype=torch.int64)


def _code(imports: str) -> str:
    return _MODEL.format(imports=f"import {imports}\n")


def _write(repository: Path, name: str, text: str, code: str = "") -> Path:
    model = repository / name
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(text)
    if code:
        (model / "1" / "model.py").write_text(code)
    return model


def _trace(file: Path, network: torch.nn.Module, *example: torch.Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced: Any = torch.jit.trace(network, example, check_trace=False)
        traced.save(str(file))


class _Gat(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = torch.nn.Linear(1433, 7)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        scores = self.scores(x)
        return scores.index_add(0, edge_index[1], scores.index_select(0, edge_index[0]))


class _Sage(torch.nn.Module):
    def forward(self, x: torch.Tensor, *edges: torch.Tensor) -> tuple[torch.Tensor, ...]:
        used = torch.stack([one.sum() for one in edges]).sum().float()
        return tuple(x[:500, :1].expand(500, width) + used for width in (256, 256, 47))


class _Bert(torch.nn.Module):
    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (tokens * mask).float()[..., None].expand(*tokens.shape, 768) + 0


class _Segmentation(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, -x], dim=1)
