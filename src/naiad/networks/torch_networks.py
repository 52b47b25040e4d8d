"""Networks run by torch, and torch modules written for other libraries."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from naiad.core.schema import Array
from naiad.error_text import described
from naiad.errors import MissingExtra, PipelineError, WeightsError
from naiad.networks import threads
from naiad.networks.network import EXTRAS, Network

if TYPE_CHECKING:
    import torch


def load_torchscript(path: Path, device: str | torch.device) -> torch.nn.Module:
    """Load a TorchScript file onto ``device``.

    Raises:
        WeightsError: the file is not TorchScript.
    """
    torch = _torch()
    try:
        with warnings.catch_warnings():
            # torch recommends torch.export instead, but people have these files.
            warnings.simplefilter("ignore", DeprecationWarning)
            module: torch.nn.Module = torch.jit.load(path, map_location=device)
    except (RuntimeError, ValueError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{path} is not TorchScript (written by torch.jit.save): {first}"
        ) from error
    return module.eval()


def torch_network(module: Any, device: str = "cpu") -> Network:
    """Return a module that takes tensors and returns one, or a tuple or list of them.

    Args:
        module: a ``torch.nn.Module``, ready for inference.
        device: ``"cpu"``, ``"cuda:0"``, ...
    """
    torch = _torch()
    module = module.to(device).eval()

    def run(arrays: Sequence[Array]) -> list[Array]:
        with torch.inference_mode():
            found = module(*(_tensor(torch, array).to(device) for array in arrays))
            return [_array(torch, one) for one in _listed(found)]

    return Network("torch", run)


def follow_threads() -> None:
    """Let torch follow the number of threads of each batch.

    More of them than cores spin against each other (10 to 100 times slower).
    """
    threads.follow(_torch().set_num_threads)


def traced(module: Any, arrays: Sequence[Array]) -> Any:
    """Return a module as TorchScript, traced unless it is that, with its parameters as constants.

    Raises:
        WeightsError: the module cannot be traced.
    """
    torch = _torch()
    script: Any = module
    try:
        with quiet(), torch.no_grad():
            if not isinstance(module, torch.jit.ScriptModule):
                given = tuple(_tensor(torch, array) for array in arrays)
                # The conversion is compared at other sizes, which finds more than a second trace.
                script = torch.jit.trace(module, given, check_trace=False).eval()
            return torch.jit.freeze(script)  # also decides its conditions on constants
    except Exception as error:
        raise WeightsError(
            f"{type(module).__name__} cannot be traced by torch: {described(error)}"
        ) from error


def onnx_of(script: Any, examples: Sequence[Sequence[Array]]) -> bytes:
    """Return TorchScript as an ONNX file; axes that vary between the examples have any size.

    Raises:
        WeightsError: torch cannot write it.
        MissingExtra: onnx is not installed.
    """
    torch = _torch()
    if find_spec("onnx") is None:
        raise MissingExtra(EXTRAS["onnxruntime"], "onnx")
    first = examples[0]
    names = [f"INPUT__{number}" for number in range(len(first))]
    varying = {
        name: {
            axis: f"{name}_{axis}"
            for axis in range(first[number].ndim)
            if len({example[number].shape[axis] for example in examples}) > 1
        }
        for number, name in enumerate(names)
    }
    file = io.BytesIO()
    try:
        with quiet(), torch.no_grad():
            given = tuple(_tensor(torch, array) for array in first)
            warnings.simplefilter("ignore", UserWarning)  # TorchScript has no signature
            with _no_graphs(torch):
                # The other exporter takes no TorchScript.
                torch.onnx.export(
                    script, given, file, dynamo=False, input_names=names, dynamic_axes=varying
                )
    except Exception as error:
        why = described(error).partition("\n")[0].partition("  [Caused by")[0]
        raise WeightsError(f"torch cannot write the network as ONNX: {why}") from error
    return file.getvalue()


def as_module(network: Network) -> torch.nn.Module:
    """Return a network as a torch module, for code that calls one."""
    torch = _torch()

    class Run(torch.nn.Module):
        """A network that another library runs."""

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
            arrays = network(*(tensor.numpy(force=True) for tensor in tensors))
            found = [torch.from_numpy(one).to(tensors[0].device) for one in arrays]
            return found[0] if len(found) == 1 else tuple(found)

    return Run()


@contextmanager
def quiet() -> Generator[None]:
    """Silence warnings that torch's tools are outdated and traces may depend on sizes."""
    torch = _torch()
    with warnings.catch_warnings():
        tracer: Any = torch.jit.TracerWarning  # pyright: ignore[reportPrivateImportUsage]
        for category in (DeprecationWarning, FutureWarning, tracer):
            warnings.simplefilter("ignore", category)
        yield


@contextmanager
def _no_graphs(torch: Any) -> Generator[None]:
    """Discard the whole graph that torch prints of a failure, which nothing turns off (2.13)."""
    torch._C._jit_set_onnx_log_output_stream("stderr")  # by default standard output
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(EXTRAS["torch"], error.name or "torch") from error
    return torch


def _tensor(torch: Any, array: Array) -> Any:
    return torch.from_numpy(array if array.flags.writeable else array.copy())  # torch would warn


def _array(torch: Any, value: Any) -> Array:
    if not isinstance(value, torch.Tensor):
        raise PipelineError(
            f"the network returns a {type(value).__name__}; it must return a tensor, or a tuple or "
            "list of tensors"
        )
    return np.ascontiguousarray(value.numpy(force=True))


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]
