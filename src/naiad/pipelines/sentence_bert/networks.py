"""Networks that give a vector per token, whatever runs them: ONNX Runtime, or torch."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.errors import MissingExtra, WeightsError
from naiad.pipelines.sentence_bert.bert import IDS, MASK

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]

EXTRA: Final = "zero-shot"
TORCH_EXTRA: Final = "huggingface"

_KINDS: Final = "token_type_ids"
_CUDA: Final = "CUDAExecutionProvider"


class Network(Protocol):
    """Token ids and a mask, int64 ``[texts, tokens]``, to float32 ``[texts, tokens, n]``."""

    def __call__(self, ids: Ints, mask: Ints) -> Floats:
        """Run the network."""
        ...


class OnnxNetwork:
    """A network in ONNX, as Naiad writes them and as Hugging Face's repositories have them."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        """Load the file onto ``device`` (``"cpu"``, ``"cuda:0"``).

        Raises:
            WeightsError: it is no ONNX file, takes other inputs, or cannot run there.
            MissingExtra: onnxruntime is not installed.
        """
        runtime = need("onnxruntime", EXTRA)
        options = runtime.SessionOptions()
        # One thread per instance unless told otherwise; threads that spin take the cores from the
        # other instances.
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        providers = _providers(runtime, device)
        try:
            self._session = runtime.InferenceSession(path, options, providers=providers)
        except Exception as error:  # of onnxruntime's own, many kinds
            first = str(error).partition("\n")[0]
            raise WeightsError(f"{path}: onnxruntime cannot load it: {first}") from error
        names = {str(given.name) for given in self._session.get_inputs()}
        if not {IDS, MASK} <= names <= {IDS, MASK, _KINDS}:
            raise WeightsError(
                f"{path} takes {', '.join(sorted(names))}; an encoder takes {IDS} and {MASK}"
            )
        self._kinds = _KINDS in names
        self._output = str(self._session.get_outputs()[0].name)

    def __call__(self, ids: Ints, mask: Ints) -> Floats:
        """Run the network."""
        given = {IDS: ids, MASK: mask}
        if self._kinds:
            given[_KINDS] = np.zeros_like(ids)
        (states,) = self._session.run([self._output], given)
        return states


class TransformersNetwork:
    """A network of the transformers library, run by torch."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load the folder's ``config.json`` and ``model.safetensors`` onto ``device``.

        Raises:
            WeightsError: they are no network that the library knows.
            MissingExtra: the library, or torch, is not installed.
        """
        self._torch = need("torch", TORCH_EXTRA)
        self._module = load_transformers(folder, "AutoModel").to(device).eval()
        self._device = device

    def __call__(self, ids: Ints, mask: Ints) -> Floats:
        """Run the network."""
        torch = self._torch
        with torch.inference_mode():
            given = {
                name: torch.from_numpy(value).to(self._device)
                for name, value in ((IDS, ids), (MASK, mask))
            }
            return self._module(**given).last_hidden_state.float().cpu().numpy()


def load_transformers(folder: Path, kind: str) -> Any:
    """The network in a folder as the transformers library's auto class ``kind`` loads it.

    No code that lies in the folder is run, and no pickle is read.

    Raises:
        WeightsError: it is none that the library knows.
        MissingExtra: the library is not installed.
    """
    library = need("transformers", TORCH_EXTRA)
    library.utils.logging.disable_progress_bar()
    try:
        return getattr(library, kind).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise WeightsError(f"{folder}: transformers cannot load it: {first}") from error


def need(package: str, extra: str) -> Any:
    """Import a package of one of Naiad's extras.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtra(extra, error.name or package) from error


def _providers(runtime: Any, device: str) -> list[Any]:
    if not device.startswith("cuda"):
        return ["CPUExecutionProvider"]
    if _CUDA not in runtime.get_available_providers():
        raise WeightsError(
            f"this onnxruntime cannot use device {device}; install onnxruntime-gpu in its place"
        )
    return [(_CUDA, {"device_id": int(device.partition(":")[2] or 0)}), "CPUExecutionProvider"]
