"""Opening of networks: by the library of their file, or converted for another one and compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from naiad.core.examples import TOLERANCE, difference
from naiad.core.schema import Array, Arrays
from naiad.core.settings import Runtime
from naiad.error_text import described
from naiad.errors import WeightsError
from naiad.files import suffix_of
from naiad.networks import threads
from naiad.networks.network import EXTRAS, Network, Port
from naiad.networks.onnx_networks import open_onnx
from naiad.networks.openvino_networks import of_torchscript, open_openvino
from naiad.networks.torch_networks import (
    follow_threads,
    load_torchscript,
    onnx_of,
    torch_network,
    traced,
)

Examples: TypeAlias = "Iterable[Sequence[Array] | Arrays]"
"""An array per input, in order or by the file's names, at several sizes."""


def open_file(
    path: Path,
    examples: Examples,
    device: str = "cpu",
    *,
    runtime: Runtime | None = None,
    extra: str = EXTRAS["onnxruntime"],
) -> Network:
    """Open an ONNX file (``.onnx``), one of OpenVINO's (``.xml``), or else TorchScript.

    Args:
        path: the file.
        examples: inputs at several sizes, to compare a conversion with the original; read only if
            there is one.
        device: ``"cpu"``, ``"cuda:0"``, ...
        runtime: the library that runs it; by default that of the file.
        extra: the extra of Naiad that has ONNX Runtime, for the message.

    Raises:
        WeightsError: the file cannot be loaded or converted, or the conversion differs from it.
        MissingExtra: the library is not installed.
    """
    if suffix_of(path) == ".xml":
        if runtime not in (None, "openvino"):
            raise WeightsError(f"{path} is OpenVINO's, which {runtime} does not run")
        _refuse_gpu("openvino", device)
        return open_openvino(path)
    if suffix_of(path) != ".onnx":
        return open_module(
            load_torchscript(path, device),
            examples,
            device,
            runtime=runtime,
            name=str(path),
        )
    if runtime == "torch":
        raise WeightsError(f"{path} is ONNX, which torch does not run; onnxruntime or openvino do")
    if runtime != "openvino":
        return open_onnx(path, device, extra=extra)
    _refuse_gpu(runtime, device)
    made, own = open_openvino(path), open_onnx(path, device, number=threads.current(), extra=extra)
    return _compared(made, own, list(_answered(own, examples, str(path))), str(path))


def open_module(
    module: Any,
    examples: Examples,
    device: str = "cpu",
    *,
    runtime: Runtime | None = None,
    name: str = "",
) -> Network:
    """Open a torch module that takes tensors and returns one, or a tuple or list of them.

    Args:
        module: the ``torch.nn.Module``; TorchScript is one, too.
        examples: as for :func:`open_file`. Axes that vary between them may have any size.
        device: ``"cpu"``, ``"cuda:0"``, ...
        runtime: the library that runs it; by default torch.
        name: of the network, for messages; by default its class's.

    Raises:
        WeightsError: the module cannot be converted, or the conversion differs from it.
        MissingExtra: the library is not installed.
    """
    name = name or type(module).__name__
    own = torch_network(module, device)
    if runtime in (None, "torch"):
        follow_threads()
        return own
    _refuse_gpu(runtime, device)
    answered = list(_answered(own, examples, name))
    tried = [arrays for arrays, _ in answered]
    try:
        script = traced(module, tried[0])
        if runtime == "openvino":
            made = of_torchscript(script, tried[0])
        else:
            made = open_onnx(onnx_of(script, tried), device)
    except WeightsError as error:
        raise WeightsError(f"{name} cannot be run by {runtime}: {error}") from error
    return _compared(made, own, answered, name)


def _answered(
    own: Network, examples: Examples, name: str
) -> Iterator[tuple[list[Array], list[Array]]]:
    """Yield inputs for a network, and its outputs for them.

    Examples after the first may be of sizes that it does not take; those are left out.
    """
    for number, example in enumerate(examples):
        arrays = _ordered(example, own, name)
        try:
            yield arrays, own(*arrays)
        except Exception:
            if not number:
                raise


def _compared(
    made: Network, own: Network, answered: Sequence[tuple[list[Array], list[Array]]], name: str
) -> Network:
    """Return a converted network that answers as the original did.

    Raises:
        WeightsError: it does not.
    """
    for arrays, expected in answered:
        shapes = ", ".join(str(list(array.shape)) for array in arrays)
        try:
            found = made(*arrays)
        except Exception as error:
            raise WeightsError(
                f"{name}, converted for {made.runtime}, fails for inputs {shapes}, which "
                f"{own.runtime} takes: {described(error)}; run it by {own.runtime}"
            ) from error
        if [one.shape for one in found] != [one.shape for one in expected]:
            raise WeightsError(
                f"{name}, converted for {made.runtime}, returns "
                f"{[list(one.shape) for one in found]} for inputs {shapes}, where {own.runtime} "
                f"returns {[list(one.shape) for one in expected]}; run it by {own.runtime}"
            )
        apart = max(difference(one, two) for one, two in zip(expected, found, strict=True))
        if apart > TOLERANCE:
            raise WeightsError(
                f"{name}, converted for {made.runtime}, differs from {own.runtime} by {apart:.2g} "
                f"of its largest value for inputs {shapes}; at most {TOLERANCE:g} is allowed; run "
                f"it by {own.runtime}"
            )
    return made


def _ordered(example: Sequence[Array] | Arrays, own: Network, name: str) -> list[Array]:
    """Return an example in the order of a network's inputs, in the sizes that its file fixes."""
    if not own.inputs:
        assert not isinstance(example, Mapping)  # a torch module's inputs have no names
        return list(example)
    if isinstance(example, Mapping):
        missing = [port.name for port in own.inputs if port.name not in example]
        if missing:
            raise WeightsError(f"{name} has an input {missing[0]}; known are {', '.join(example)}")
        example = [example[port.name] for port in own.inputs]
    return [_fitted(array, port) for array, port in zip(example, own.inputs, strict=True)]


def _fitted(array: Array, port: Port) -> Array:
    """Repeat or cut an array to the sizes that a file fixes."""
    fixed = port.shape or (-1,) * array.ndim
    return np.resize(
        array,
        [size if given < 0 else given for size, given in zip(array.shape, fixed, strict=True)],
    )


def _refuse_gpu(runtime: Runtime, device: str) -> None:
    if runtime == "openvino" and device != "cpu":
        raise WeightsError(f"openvino runs on the CPU here, not on {device}; choose torch for it")
