"""Matching of a config's tensors with a model file's, by the rules of NVIDIA's backends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from naiad.networks.network import Port
from naiad.networks.onnx_networks import DTYPES as ONNX_DTYPES
from naiad.networks.openvino_networks import DTYPES as OPENVINO_DTYPES
from naiad.triton.backends.signature import TENSORFLOW_DTYPES, TORCH_DTYPES, Signature
from naiad.triton.model_config import ModelConfig, TensorConfig

_INDEXED: Final = re.compile(r".*?__(\d+)")  # NAME__INDEX, split at the first "__"
_DTYPES: Final = {
    "onnx": ONNX_DTYPES,
    "openvino": OPENVINO_DTYPES,
    "graphdef": TENSORFLOW_DTYPES,
    "savedmodel": TENSORFLOW_DTYPES,
}
_LISTED = 8  # tensors in a message: every operation of a graph may be an output


@dataclass(frozen=True, slots=True)
class Binding:
    """Match of a config's tensors with a model file's.

    Attributes:
        inputs: the config's names, in the order of the model's inputs.
        outputs: the place of each output of the config: a position, or a key if the model returns
            a dictionary.
    """

    inputs: tuple[str, ...]
    outputs: Mapping[str, int | str]


def bind(config: ModelConfig, signature: Signature) -> Binding:
    """Match a config with the signature of its model file.

    Torch: by the names of forward's arguments, if all inputs have such names; otherwise by index,
    if all end in ``__<index>``; otherwise in the order of the config. Outputs by index or in
    order. ONNX, OpenVINO and TensorFlow: by name; a TensorFlow graph may have more inputs.

    Raises:
        RepositoryError: they do not match; names the file and the field.
    """
    named = signature.kind in _DTYPES
    known = _DTYPES.get(signature.kind, TORCH_DTYPES)
    _check_dtypes(config, tuple(known.values()), strings=not named)
    if named:
        inputs = _by_name(config, config.inputs, signature.inputs or ())
        outputs = _by_name(config, config.outputs, signature.outputs or ())
        if signature.kind != "graphdef":
            _check_complete(config, inputs, signature.inputs or ())
    else:
        inputs = _places(config, config.inputs, signature.inputs, "takes")
        outputs = _places(config, config.outputs, signature.outputs, "returns")
        if signature.inputs is not None:
            _check_complete(config, inputs, signature.inputs)
    for tensors, places, ports in (
        (config.inputs, inputs, signature.inputs),
        (config.outputs, outputs, signature.outputs),
    ):
        for tensor in tensors:
            place = places[tensor.name]
            if isinstance(place, int) and ports is not None:
                _check_agreement(config, tensor, ports[place])
    order = sorted(inputs, key=lambda name: place if isinstance(place := inputs[name], int) else 0)
    return Binding(tuple(order), outputs)


def _places(
    config: ModelConfig,
    tensors: Sequence[TensorConfig],
    ports: tuple[Port, ...] | None,
    verb: str,
) -> dict[str, int | str]:
    """Match inputs or outputs by torch's rules."""
    names = [tensor.name for tensor in tensors]
    if ports is None:
        return {name: name for name in names}
    known = {name: n for n, port in enumerate(ports) for name in (port.name, *port.aliases)}
    if all(name in known for name in names):
        places = {name: known[name] for name in names}
    elif all(_INDEXED.fullmatch(name) for name in names):
        places = {name: int(name.partition("__")[2]) for name in names}
    else:
        places = {name: number for number, name in enumerate(names)}
    taken: dict[int, TensorConfig] = {}
    for tensor in tensors:
        place = places[tensor.name]
        if place >= len(ports):
            raise config.wrong(
                f"{tensor.field}.name is {tensor.name!r}, with index {place}; the model {verb} "
                f"{_listed(ports)}"
            )
        if place in taken:
            raise config.wrong(
                f"{tensor.field}.name is {tensor.name!r}, the same tensor of the model as "
                f"{taken[place].field}, {taken[place].name!r}; the model {verb} {_listed(ports)}"
            )
        taken[place] = tensor
    return dict(places)


def _by_name(
    config: ModelConfig, tensors: Sequence[TensorConfig], ports: Sequence[Port]
) -> dict[str, int | str]:
    known = {name: number for number, port in enumerate(ports) for name in port.names}
    for tensor in tensors:
        if tensor.name not in known:
            verb = "takes" if tensor.field.startswith("input") else "returns"
            if (plain := tensor.name.removesuffix(":0")) in known:
                raise config.wrong(
                    f"{tensor.field}.name is {tensor.name!r}; TensorFlow's names have no ':0': "
                    f"write {plain!r}"
                )
            close = get_close_matches(tensor.name, known, 1, cutoff=0.75)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise config.wrong(
                f"{tensor.field}.name is {tensor.name!r}; the model {verb} {_listed(ports)}{hint}"
            )
    return {tensor.name: known[tensor.name] for tensor in tensors}


def _check_complete(
    config: ModelConfig, places: Mapping[str, int | str], ports: Sequence[Port]
) -> None:
    missing = [port for n, port in enumerate(ports) if n not in places.values()]
    if missing:
        raise config.wrong(
            f"input has {len(places)} entries; the model takes {_listed(ports)}, so "
            f"{', '.join(port.name for port in missing)} is missing"
        )


def _check_dtypes(config: ModelConfig, known: Sequence[str], *, strings: bool) -> None:
    for kind, tensors in (("input", config.inputs), ("output", config.outputs)):
        if not tensors:
            raise config.wrong(f"{kind} is missing; give the name, data_type and dims of each")
    for tensor in (*config.inputs, *config.outputs):
        if strings and tensor.dtype == "BYTES":
            if len(tensor.dims) + (config.max_batch_size > 0) > 1:
                raise config.wrong(
                    f"{tensor.field}.dims is {list(tensor.dims)}: {tensor.name} is TYPE_STRING, a "
                    f"list of strings for torch, which must have exactly one dimension"
                )
        elif tensor.dtype not in known:
            allowed = ", ".join(f"TYPE_{name}" for name in known if name != "BYTES")
            raise config.wrong(
                f"{tensor.field}.data_type is {_spelt(tensor.dtype)}, which the {config.backend} "
                f"backend does not have; it has {allowed} and TYPE_STRING"
            )


def _check_agreement(config: ModelConfig, tensor: TensorConfig, port: Port) -> None:
    if port.dtype is not None and port.dtype != tensor.dtype:
        raise config.wrong(
            f"{tensor.field}.data_type is {_spelt(tensor.dtype)}; the model's {port.name} is "
            f"{_spelt(port.dtype)}"
        )
    if port.shape is None:
        return
    batched = config.max_batch_size > 0
    if batched and port.shape[:1] != (-1,):
        raise config.wrong(
            f"max_batch_size is {config.max_batch_size}, but the model's {port.name} has shape "
            f"{list(port.shape)}, whose first dimension is fixed; set max_batch_size to 0"
        )
    whole = (-1, *tensor.dims) if batched else tensor.dims
    if len(whole) != len(port.shape) or any(
        size not in (-1, given) for given, size in zip(whole, port.shape, strict=True)
    ):
        note = f", {list(whole)} with the batch dimension" if batched else ""
        raise config.wrong(
            f"{tensor.field}.dims is {list(tensor.dims)}{note}; the model's {port.name} has shape "
            f"{list(port.shape)}"
        )


def _listed(ports: Sequence[Port]) -> str:
    named = ", ".join([port.name for port in ports[:_LISTED]] + ["..."] * (len(ports) > _LISTED))
    return f"{len(ports)}: {named}" if ports else "none"


def _spelt(dtype: str) -> str:
    return f"TYPE_{'STRING' if dtype == 'BYTES' else dtype or 'INVALID'}"
