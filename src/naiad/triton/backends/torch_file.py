"""Torch model files: TorchScript, ``torch.export`` archives and AOTInductor packages.

A model file is code and must be trusted: TorchScript may read files, ``torch.export.load``
unpickles all but plain tensors, and an AOTInductor package contains a shared library.
"""

from __future__ import annotations

import importlib.util
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naiad.errors import MissingExtra, RepositoryError
from naiad.triton.backends.signature import TORCH_DTYPES, Kind, Port, Signature

_AOTINDUCTOR = "/data/aotinductor/"  # in the archive of a package
_EXPORT = ("/models/", "serialized_exported_program")  # in that of torch.export.save, new and old


@dataclass(frozen=True, slots=True)
class TorchFile:
    """A loaded model file.

    Attributes:
        signature: its inputs and outputs.
        call: the model: takes a value per input, by name if ``signature.inputs`` is None; returns
            a value per output, by name if the model returns a dictionary.
    """

    signature: Signature
    call: Callable[[Sequence[Any] | Mapping[str, Any]], list[Any] | dict[str, Any]]


def load_torch(file: Path, device: str | None = "cpu") -> TorchFile:
    """Load a ``.pt`` or ``.pt2`` file, whose kind is recognised by its content.

    Args:
        file: the file.
        device: the target; None keeps the devices that a TorchScript file names.

    Raises:
        RepositoryError: the file cannot be loaded; says why and what it is.
        MissingExtra: torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("torch", "torch")
    kind = torch_kind(file)
    load = {"torchscript": _load_script, "export": _load_export, "aotinductor": _load_package}[kind]
    try:
        return load(file, device)
    except RepositoryError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RepositoryError(f"{file} cannot be loaded as {_NAMES[kind]}: {reason[0]}") from error


_NAMES: Mapping[Kind, str] = {
    "torchscript": "TorchScript",
    "export": "a torch.export archive",
    "aotinductor": "an AOTInductor package",
}


def torch_kind(file: Path) -> Kind:
    """Return the kind of a torch model file, by its content, without loading it.

    Raises:
        RepositoryError: not a torch model; says what it may be.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        raise RepositoryError(
            f"{file} is not a torch model: save it by torch.jit.save, torch.export.save or "
            f"torch._inductor.aoti_compile_and_package"
        ) from None
    if any(_AOTINDUCTOR in f"/{name}" for name in names):
        return "aotinductor"
    if any(name.endswith("/constants.pkl") for name in names):
        return "torchscript"
    if any(part in f"/{name}" for name in names for part in _EXPORT):
        return "export"
    raise RepositoryError(
        f"{file} has no model but pickled objects from torch.save, such as a state_dict: trace or "
        f"script the model and save it with torch.jit.save"
    )


def _load_script(file: Path, device: str | None) -> TorchFile:
    import torch

    with warnings.catch_warnings():
        # torch 2.13 calls TorchScript deprecated, which concerns authors of files.
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(str(file), map_location=device).eval()
    schema = module.forward.schema
    arguments = [a for a in schema.arguments if a.name != "self"]
    by_name = len(arguments) == 1 and arguments[0].type.kind() == "DictType"
    for argument in arguments if not by_name else ():
        if argument.type.kind() not in ("TensorType", "ListType"):
            raise RepositoryError(
                f"{file}: forward's argument {argument.name!r} is {argument.type}; Triton's "
                f"PyTorch backend passes tensors, lists of strings, or one Dict[str, Tensor]"
            )
    inputs = None if by_name else tuple(_script_port(a.name, a.type) for a in arguments)

    def call(values: Sequence[Any] | Mapping[str, Any]) -> list[Any] | dict[str, Any]:
        result = module(dict(values)) if isinstance(values, Mapping) else module(*values)
        return _flat(result)

    outputs = _script_outputs([r.type for r in schema.returns])
    return TorchFile(Signature("torchscript", inputs, outputs), call)


def _flat(result: Any) -> list[Any] | dict[str, Any]:
    """Return a TorchScript model's results, a value per output; a list of strings is one."""
    if isinstance(result, dict):
        return dict(result)
    if isinstance(result, tuple):
        return list(result)
    if isinstance(result, list) and not all(isinstance(value, str) for value in result):
        return result
    return [result]


def _script_port(name: str, kind: Any) -> Port:
    return Port(name, "BYTES" if kind.kind() == "ListType" else None)


def _script_outputs(returns: Sequence[Any]) -> tuple[Port, ...] | None:
    kinds = [k for r in returns for k in (r.elements() if r.kind() == "TupleType" else [r])]
    if any(k.kind() == "DictType" for k in kinds):
        return None
    lists = [k for k in kinds if k.kind() == "ListType"]
    if any(k.getElementType().kind() != "StringType" for k in lists):
        return None
    return tuple(_script_port(f"OUTPUT__{number}", kind) for number, kind in enumerate(kinds))


def _load_export(file: Path, device: str | None) -> TorchFile:
    import torch
    from torch.export.passes import move_to_device_pass

    program = torch.export.load(str(file))
    if device is not None and device != "cpu":
        program = move_to_device_pass(program, device)
    signature = program.graph_signature
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs = [_export_port(name, values.get(name)) for name in signature.user_inputs]
    outputs = [_export_port(name, values.get(name)) for name in signature.user_outputs]
    spec = program.call_spec
    return _packed(
        "export", program.module(), (spec.in_spec, spec.out_spec), tuple(inputs), tuple(outputs)
    )


def _export_port(name: Any, value: Any) -> Port:
    if value is None or not hasattr(value, "dtype"):
        return Port(str(name))
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return Port(str(name), TORCH_DTYPES.get(str(value.dtype).removeprefix("torch.")), shape)


def _load_package(file: Path, device: str | None) -> TorchFile:
    import torch
    from torch.utils import _pytree as pytree

    cuda = device is not None and device.startswith("cuda")
    index = int((device or "").partition(":")[2] or 0) if cuda else -1
    package = torch._inductor.aoti_load_package(str(file), device_index=index)  # pyright: ignore[reportPrivateUsage]
    made_for = package.loader.get_metadata().get("AOTI_DEVICE_KEY", "cpu")
    if device is not None and made_for != device.partition(":")[0]:
        raise RepositoryError(
            f"{file} was compiled for {made_for}, but the instance runs on {device}: set "
            f"instance_group.kind to {'KIND_CPU' if made_for == 'cpu' else 'KIND_GPU'}, or compile "
            f"the model for {device}"
        )
    in_spec, out_spec = map(pytree.treespec_loads, package.loader.get_call_spec())
    return _packed("aotinductor", package, (in_spec, out_spec))


def _packed(
    kind: Kind,
    model: Callable[..., Any],
    specs: tuple[Any, Any],
    inputs: tuple[Port, ...] | None = None,
    outputs: tuple[Port, ...] | None = None,
) -> TorchFile:
    """Wrap a model of ``torch.export``, whose arguments and results may be nested."""
    from torch.utils import _pytree as pytree

    in_spec, out_spec = specs

    def call(values: Sequence[Any] | Mapping[str, Any]) -> list[Any] | dict[str, Any]:
        args, kwargs = pytree.tree_unflatten(list(values), in_spec)
        return pytree.tree_leaves(model(*args, **kwargs))

    roots = {0: "ARGS", 1: "KWARGS"}
    paths_in = [f"{roots[path[0].idx]}{_steps(path[1:])}" for path in _paths(in_spec)]
    paths_out = [f"RESULT{_steps(path)}" for path in _paths(out_spec)]
    signature = Signature(
        kind,
        tuple(_named(paths_in, "INPUT", inputs)),
        tuple(_named(paths_out, "OUTPUT", outputs)),
    )
    return TorchFile(signature, call)


def _paths(spec: Any) -> Iterator[tuple[Any, ...]]:
    from torch.utils import _pytree as pytree

    tree = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    for path, _ in pytree.tree_flatten_with_path(tree)[0]:
        yield tuple(path)


def _steps(path: Sequence[Any]) -> str:
    """Return a place in nested arguments, in the notation of NVIDIA's backend: ``[2][key]``."""
    return "".join(f"[{step.idx if hasattr(step, 'idx') else step.key}]" for step in path)


def _named(paths: Sequence[str], ordinal: str, known: tuple[Port, ...] | None) -> Iterator[Port]:
    for number, path in enumerate(paths):
        port = known[number] if known else Port(path)
        aliases = tuple(n for n in (path, f"{ordinal}__{number}") if n != port.name)
        yield Port(port.name, port.dtype, port.shape, aliases)
