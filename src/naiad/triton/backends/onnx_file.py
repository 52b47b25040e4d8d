"""ONNX model files, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from naiad.core.schema import Array
from naiad.errors import RepositoryError, WeightsError
from naiad.networks.network import Port
from naiad.networks.onnx_networks import DTYPES, OnnxOptions, open_session, ports
from naiad.triton.backends.signature import Signature


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A loaded model file.

    Attributes:
        signature: its inputs and outputs.
        call: the model: takes arrays by input name and the names of the wanted outputs; returns an
            array per output. Strings are bytes.
    """

    signature: Signature
    call: Callable[[Mapping[str, Array], Sequence[str]], list[Array]]


def load_onnx(file: Path, device: str = "cpu", options: OnnxOptions | None = None) -> OnnxFile:
    """Load a ``.onnx`` file onto ``cpu`` or ``cuda:<index>``.

    Raises:
        RepositoryError: the file cannot be loaded, or not on that device; says why.
        MissingExtra: ONNX Runtime is not installed.
    """
    try:
        session = open_session(file, device, options)
    except WeightsError as error:
        raise RepositoryError(str(error)) from error

    def call(arrays: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        given = {name: _as_text(array) for name, array in arrays.items()}
        outputs: Any = session.run(list(wanted), given)
        return [_as_bytes(array) for array in outputs]

    signature = Signature(
        "onnx",
        _ports(file, session.get_inputs()),
        _ports(file, session.get_outputs()),
    )
    return OnnxFile(signature, call)


def _ports(file: Path, entries: Any) -> tuple[Port, ...]:
    found = ports(entries)
    for entry, port in zip(entries, found, strict=True):
        if port.dtype is None:
            raise RepositoryError(
                f"{file}: {entry.name} is {entry.type}, for which Triton has no dtype; it has "
                f"{', '.join(DTYPES)}"
            )
    return found


def _as_text(array: Array) -> Array:
    """Decode strings for ONNX Runtime, which takes ``str`` instead of ``bytes``."""
    if array.dtype != object:
        return array
    text = [bytes(value).decode() for value in array.flat]
    return np.array(text, dtype=object).reshape(array.shape)


def _as_bytes(array: Array) -> Array:
    if array.dtype != object:
        return np.ascontiguousarray(array)
    raw = [value if isinstance(value, bytes) else str(value).encode() for value in array.flat]
    return np.array(raw, dtype=object).reshape(array.shape)
