"""Export of a network as a file without Python code: TorchScript or AOTInductor.

The written repository is a plain one, for NVIDIA's PyTorch backend as well as for Naiad's::

    DIR/gat_test/config.pbtxt      platform "pytorch_libtorch", or backend "pytorch"; the schema
    DIR/gat_test/1/model.pt        or model.pt2

It has the names of dimensions as parameters, by which Naiad merges requests around the file;
NVIDIA's backend ignores them, and runs one request at a time.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from naiad.application import application, applications
from naiad.core.merging import Batch
from naiad.core.model_names import folder_of
from naiad.core.pipeline import Pipeline, default_weights, load_pipeline, random_arrays
from naiad.core.schema import Arrays, Tensor
from naiad.errors import EngineError, MissingExtra, PipelineError, SchemaError
from naiad.networks.torch_networks import quiet
from naiad.runtime.mixing import tried
from naiad.triton.backends.graphs import BUDGET_PARAMETER, DIMS_PARAMETER, LIMIT_PARAMETER
from naiad.triton.config import model_config, parameters_of, write_config

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

Format: TypeAlias = Literal["torchscript", "pt2"]

FORMAT_PARAMETER: Final = "naiad_format"
"""Parameter that marks a repository written here."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A format's name in a config, and the name of its file."""

    field: Literal["platform", "backend"]
    value: str
    file: str


# NVIDIA's newer backend wants platform "torch_aoti" for AOTInductor, which Triton 2.51 refuses for
# any backend: "unexpected platform type".
_KINDS: Final[Mapping[Format, _Kind]] = {
    "torchscript": _Kind("platform", "pytorch_libtorch", "model.pt"),
    "pt2": _Kind("backend", "pytorch", "model.pt2"),
}

# First size and step of the dimensions in graphs that compare a file with its network.
_SIZES: Final = ((5, 12), (60, 140))
_TOLERANCE: Final = 1e-4


def export_application(
    name: str,
    directory: Path,
    format: Format,
    *,
    weights: Path | None = None,
    device: str = "cpu",
    batching: bool = True,
) -> Path:
    """Write a built-in application's network into the repository ``directory``.

    Raises:
        SchemaError: no such application, or it cannot be written in this format.
        WeightsError: the weights do not exist or are refused.
        PipelineError: see :func:`freeze`.
        EngineError: a folder of that name exists that was not written by this function.
    """
    known = application(name)
    if known is None or known.network is None:
        able = ", ".join(app.name for app in applications() if app.network is not None)
        raise SchemaError(
            f"{name} cannot be written as {format}; of the built-in applications, {able} can. "
            "Write your own networks with naiad.triton.torch_export.export_network"
        )
    kind = load_pipeline(name)
    made = kind(weights)
    folder = weights or default_weights(kind)
    module, _, function = known.network.partition(":")
    network = getattr(import_module(module), function)(folder)
    return export_network(
        network,
        kind,
        directory,
        format,
        device=device,
        example=made.example(),
        parameters=made.metadata(),
        batching=batching,
    )


def export_network(
    network: torch.nn.Module,
    kind: type[Pipeline],
    directory: Path,
    format: Format = "torchscript",
    *,
    device: str = "cpu",
    example: Arrays | None = None,
    parameters: Mapping[str, str] | None = None,
    batching: bool = True,
) -> Path:
    """Write a network into the model repository ``directory``; return the model's folder.

    Args:
        network: takes the tensors of ``kind.inputs`` in order and returns those of
            ``kind.outputs`` in order, as a tensor or a tuple.
        kind: the pipeline with the model's schema, name and budget. Its hooks are not used.
        directory: the model repository; created if missing.
        format: ``"torchscript"`` traces the network, as scripting fails for many graph networks;
            ``"pt2"`` compiles it for this processor or GPU, which takes up to a minute and needs a
            C++ compiler.
        device: ``"cpu"`` or ``"cuda:0"``, ...
        example: a request to trace with; by default random arrays that the schema allows.
        parameters: facts for clients, stored with the config.
        batching: name the dimensions, so that Naiad merges requests.

    With ``batching`` the network also answers its example, and a second request, alone and merged;
    a warning is logged if the answers differ, since Naiad then serves requests one by one.

    Raises:
        SchemaError: the schema has inputs that such a file cannot take.
        PipelineError: see :func:`freeze`.
        EngineError: a folder of that name exists that was not written by this function.
    """
    form = _KINDS[format]
    target = folder_of(directory, kind.name, kind.__name__)
    if target.exists() and FORMAT_PARAMETER not in parameters_of(target):
        raise EngineError(
            f"{target} exists and was not written by this command; choose another folder"
        )
    config = model_config(kind, {**(parameters or {}), FORMAT_PARAMETER: format})
    config.ClearField("backend")
    setattr(config, form.field, form.value)
    if form.field == "backend":
        config.default_model_filename = form.file
    if device.startswith("cuda"):
        (group,) = config.instance_group
        group.kind = type(group).KIND_GPU
        group.gpus.append(int(device.partition(":")[2] or 0))
    if batching:
        config.parameters[DIMS_PARAMETER].string_value = dims_text(kind)
        for parameter, sizes in ((BUDGET_PARAMETER, kind.budget), (LIMIT_PARAMETER, kind.limit)):
            if sizes:
                text = ", ".join(f"{dim}={size}" for dim, size in sizes.items())
                config.parameters[parameter].string_value = text
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{kind.name}-", dir=directory) as draft_name:
        draft = Path(draft_name)
        draft.chmod(0o755)
        (draft / "1").mkdir()
        freeze(network, kind, draft / "1" / form.file, format, device=device, example=example)
        write_config(config, draft / "config.pbtxt")
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(draft, target)
    if batching and (wrong := tried(_pipeline(network, kind, example), device)):
        _log.warning("%s", wrong)
    return target


def freeze(
    network: torch.nn.Module,
    kind: type[Pipeline],
    file: Path,
    format: Format,
    *,
    device: str = "cpu",
    example: Arrays | None = None,
) -> None:
    """Write a network to a file, and check that it gives the same answers at other sizes.

    Every named dimension of ``kind.inputs`` may then have any size.

    Raises:
        SchemaError: an input is text or optional.
        PipelineError: the network cannot be traced or exported, or the file's answers differ.
        MissingExtra: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    for name, tensor in kind.inputs.items():
        if tensor.dtype == "bytes" or tensor.optional:
            raise SchemaError(f"{name} is text or optional; a {format} file takes neither")
    network = network.to(device).eval()
    if example is None:
        example = _arrays(kind, *_SIZES[0])
    arguments = _tensors(kind, example, device)
    write = {"torchscript": _trace, "pt2": _compile}[format]
    try:
        with quiet(), torch.no_grad():
            call = write(network, kind, arguments, file)
    except PipelineError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise PipelineError(
            f"{type(network).__name__} cannot be written as {format}: {lines[0]}"
        ) from error
    for sizes in _SIZES:
        _compare(network, call, kind, _tensors(kind, _arrays(kind, *sizes), device))


def _pipeline(network: torch.nn.Module, kind: type[Pipeline], example: Arrays | None) -> Pipeline:
    """Return the network as a pipeline with the tensors of ``kind``."""

    class Network(Pipeline):
        """A network without hooks."""

        name = kind.name
        inputs = kind.inputs
        outputs = kind.outputs
        budget = kind.budget
        limit = kind.limit
        merges = kind.merges

        def forward(self, batch: Batch) -> Mapping[str, Any]:
            found = _listed(network(*(batch[name] for name in kind.inputs)))
            return dict(zip(kind.outputs, found, strict=True))

        def example(self) -> Arrays:
            return super().example() if example is None else example

    return Network()


def dims_text(kind: type[Pipeline]) -> str:
    """Return the dimensions of a pipeline's tensors, in the form of a config's parameter."""
    return "; ".join(
        f"{name}: {', '.join(map(str, tensor.dims))}{_targets(tensor)}"
        for name, tensor in {**kind.inputs, **kind.outputs}.items()
    )


def _targets(tensor: Tensor) -> str:
    return f" -> {', '.join(tensor.index_targets())}" if tensor.index_into else ""


def _trace(
    network: torch.nn.Module,
    kind: type[Pipeline],
    arguments: Sequence[torch.Tensor],
    file: Path,
) -> Any:
    import torch

    # _compare checks other sizes, which finds more than a second trace at the same size.
    traced = torch.jit.trace(network, tuple(arguments), check_trace=False)
    torch.jit.save(traced, str(file))
    return torch.jit.load(str(file))


def _compile(
    network: torch.nn.Module,
    kind: type[Pipeline],
    arguments: Sequence[torch.Tensor],
    file: Path,
) -> Any:
    import torch

    compilers = ("g++", "clang++")
    if not any(map(shutil.which, compilers)):
        raise PipelineError(
            f"format pt2 needs a C++ compiler, but {' or '.join(compilers)} was not found; "
            "install one, or choose torchscript"
        )
    sizes = {name: torch.export.Dim(name) for t in kind.inputs.values() for name in t.names}
    shapes = tuple(
        {axis: sizes[dim] for axis, dim in enumerate(tensor.dims) if isinstance(dim, str)}
        for tensor in kind.inputs.values()
    )
    program = torch.export.export(network, tuple(arguments), dynamic_shapes=shapes)
    torch._inductor.aoti_compile_and_package(program, package_path=str(file))  # pyright: ignore[reportPrivateUsage]
    return torch._inductor.aoti_load_package(str(file))  # pyright: ignore[reportPrivateUsage]


def _compare(
    network: torch.nn.Module, call: Any, kind: type[Pipeline], arguments: Sequence[torch.Tensor]
) -> None:
    import torch

    shapes = ", ".join(str(list(argument.shape)) for argument in arguments)
    with torch.no_grad():
        try:
            found, expected = _listed(call(*arguments)), _listed(network(*arguments))
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise PipelineError(
                f"the file fails for inputs of other sizes ({shapes}): {lines[-1]}"
            ) from error
    if len(expected) != len(kind.outputs):
        raise PipelineError(
            f"the network returns {len(expected)} tensors; {kind.name} has {len(kind.outputs)}"
        )
    for name, one, other in zip(kind.outputs, found, expected, strict=True):
        same = one.shape == other.shape and torch.allclose(
            one, other, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True
        )
        if not same:
            raise PipelineError(
                f"the file's {name} differs from the network's for inputs {shapes}: something in "
                "its forward depends on the traced size, such as len(x) or range()"
            )


def _listed(result: Any) -> list[torch.Tensor]:
    return list(result) if isinstance(result, tuple | list) else [result]


def _arrays(kind: type[Pipeline], first: int, step: int) -> Arrays:
    names = dict.fromkeys(name for t in kind.inputs.values() for name in t.names)
    sizes = {name: first + number * step for number, name in enumerate(names)}
    return random_arrays(kind.inputs, sizes, seed=first)


def _tensors(kind: type[Pipeline], arrays: Arrays, device: str) -> list[torch.Tensor]:
    import torch

    return [torch.from_numpy(arrays[name].copy()).to(device) for name in kind.inputs]
