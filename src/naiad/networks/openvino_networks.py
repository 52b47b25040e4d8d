"""Networks run by OpenVINO, on the CPU and in float32."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from naiad.core.schema import Array
from naiad.error_text import message_of
from naiad.errors import MissingExtra, WeightsError
from naiad.networks.network import EXTRAS, Network, Port
from naiad.networks.versions import Versions

DTYPES: Final[Mapping[str, str]] = {
    "boolean": "BOOL",
    "u8": "UINT8",
    "u16": "UINT16",
    "u32": "UINT32",
    "u64": "UINT64",
    "i8": "INT8",
    "i16": "INT16",
    "i32": "INT32",
    "i64": "INT64",
    "f16": "FP16",
    "f32": "FP32",
    "f64": "FP64",
}
"""The protocol's dtype for each of OpenVINO's."""


def open_openvino(path: Path, number: int | None = None) -> Network:
    """Load OpenVINO's own format (``.xml`` with its ``.bin``), or an ONNX file.

    Args:
        path: the file.
        number: of threads of all batches; by default each batch's own.

    Raises:
        WeightsError: the file cannot be loaded.
        MissingExtra: OpenVINO is not installed.
    """
    openvino = library()
    try:
        return _compiled(openvino.Core().read_model(path), number)
    except RuntimeError as error:
        raise WeightsError(f"{path} cannot be loaded by OpenVINO: {_reason(error)}") from error


def of_torchscript(script: Any, example: Sequence[Array]) -> Network:
    """Convert TorchScript to a network whose inputs may have any size.

    Args:
        script: the TorchScript module.
        example: an array per input, for dtypes and numbers of dimensions.

    Raises:
        WeightsError: it has operations that OpenVINO cannot convert; says which.
        MissingExtra: OpenVINO is not installed.
    """
    openvino = library()
    # convert_model of the same package would send usage data before it does this.
    from openvino.frontend import FrontEndManager  # pyright: ignore[reportMissingImports]
    from openvino.frontend.pytorch import ts_decoder  # pyright: ignore[reportMissingImports]

    frontend: Any = FrontEndManager().load_by_framework("pytorch")
    try:
        decoder: Any = ts_decoder.TorchScriptPythonDecoder(script)  # must outlive the conversion
        model = frontend.convert(frontend.load(decoder))
        for given, array in zip(model.inputs, example, strict=True):
            given.get_node().set_element_type(openvino.Type(array.dtype))
            given.get_node().set_partial_shape(openvino.PartialShape([-1] * array.ndim))
        model.validate_nodes_and_infer_types()
        return _compiled(model)
    except Exception as error:
        raise WeightsError(f"OpenVINO cannot convert the network: {_reason(error)}") from error


def library() -> Any:
    """Return the package, imported so that it does not report its use.

    Raises:
        MissingExtra: it is not installed.
    """
    # The package openvino_telemetry, which openvino imports where it is found, reports each import
    # to Google Analytics (seen in 2026.4). Without it openvino takes a stub of its own.
    hidden: dict[str, Any] = sys.modules  # pyright: ignore[reportAssignmentType]
    hidden.setdefault("openvino_telemetry", None)
    try:
        import openvino  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtra(EXTRAS["openvino"], error.name or "openvino") from error
    return openvino


def _compiled(model: Any, number: int | None = None) -> Network:
    versions = Versions(lambda threads: _Compiled(model, threads), number)
    return Network(
        "openvino",
        lambda arrays: versions.current.run(arrays),
        tuple(_port(one, f"INPUT__{place}") for place, one in enumerate(model.inputs)),
        tuple(_port(one, f"OUTPUT__{place}") for place, one in enumerate(model.outputs)),
    )


class _Compiled:
    """A network compiled for a number of threads."""

    def __init__(self, model: Any, number: int) -> None:
        properties = {
            # By default f32 runs as bf16 or f16 where the CPU has instructions for it.
            "INFERENCE_PRECISION_HINT": "f32",
            "EXECUTION_MODE_HINT": "ACCURACY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": number,
            # Several workers would pin their threads to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled: Any = library().Core().compile_model(model, "CPU", properties)
        self._outputs = len(self._compiled.outputs)
        self._own = threading.local()  # a request of OpenVINO runs once at a time

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Run it on an array per input; return one per output."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        given = dict(enumerate(map(np.ascontiguousarray, arrays)))
        found = self._own.request.infer(given, share_inputs=True, share_outputs=False)
        return [np.asarray(found[place]) for place in range(self._outputs)]


def _port(one: Any, otherwise: str) -> Port:
    """Return an input or output; those of a converted torch module may have no name."""
    names = sorted(one.names)
    shape = tuple(-1 if size.is_dynamic else size.get_length() for size in one.partial_shape)
    kind = one.element_type.get_type_name()
    if kind not in DTYPES:
        raise WeightsError(
            f"{names[0] if names else otherwise} is {kind}, which is not supported; OpenVINO's "
            f"other types are: {', '.join(DTYPES)}"
        )
    return Port(names[0] if names else otherwise, DTYPES[kind], shape, tuple(names[1:]))


def _reason(error: Exception) -> str:
    """Return one line of an error; OpenVINO's messages begin with the place in its source."""
    lines = [line.strip() for line in message_of(error).splitlines() if line.strip()]
    missing = [line for line in lines if "No conversion rule found" in line]
    return (missing or lines or [type(error).__name__])[-1].removeprefix("-- ")
