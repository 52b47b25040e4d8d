"""Networks for tokens, run by ONNX Runtime or torch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.applications.text.embedding.bert import IDS, KINDS, MASK
from naiad.errors import MissingExtra, WeightsError
from naiad.onnx_session import open_session

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]

EXTRA: Final = "text-embedding"
TORCH_EXTRA: Final = "huggingface"


class Network(Protocol):
    """Function from rectangles of tokens to numbers of each token or text."""

    def __call__(self, tokens: Mapping[str, Ints]) -> Floats:
        """Run the network.

        Args:
            tokens: int64 ``[texts, tokens]`` each: ``input_ids``, ``attention_mask`` (1: a token,
                0: padding) and ``token_type_ids`` (0, and 1 in the second text of a pair); a
                network uses those that it has as inputs.
        """
        ...


class OnnxNetwork:
    """A network in ONNX, written by Naiad or from a Hugging Face repository."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        """Load the file onto ``device`` (``"cpu"``, ``"cuda:0"``).

        Raises:
            WeightsError: the file is not ONNX, has other inputs, or cannot run on the device.
            MissingExtra: onnxruntime is not installed.
        """
        self._session = open_session(path, device, extra=EXTRA)
        self._inputs = {str(given.name) for given in self._session.get_inputs()}
        if not {IDS, MASK} <= self._inputs <= {IDS, MASK, KINDS}:
            raise WeightsError(
                f"{path} has the inputs {', '.join(sorted(self._inputs))}; it must have {IDS} and "
                f"{MASK}"
            )
        self._output = str(self._session.get_outputs()[0].name)

    def __call__(self, tokens: Mapping[str, Ints]) -> Floats:
        """Run the network."""
        given = {name: tokens[name] for name in self._inputs}
        (numbers,) = self._session.run([self._output], given)
        return numbers


class TransformersNetwork:
    """A network of the transformers library, run by torch."""

    def __init__(self, folder: Path, kind: str, device: str = "cpu") -> None:
        """Load the folder's ``config.json`` and ``model.safetensors`` onto ``device``.

        Args:
            folder: the folder.
            kind: the library's auto class, such as ``AutoModel``.
            device: ``"cpu"``, ``"cuda:0"``.

        Raises:
            WeightsError: the library cannot load the network.
            MissingExtra: the library, or torch, is not installed.
        """
        self._torch = need("torch", TORCH_EXTRA)
        self._module = load_transformers(folder, kind).to(device).eval()
        self._device = device
        self._inputs = {IDS, MASK, KINDS} & signature(self._module.forward).parameters.keys()
        self._padding = self._module.config.pad_token_id

    def __call__(self, tokens: Mapping[str, Ints]) -> Floats:
        """Run the network."""
        torch = self._torch
        given = {name: tokens[name] for name in self._inputs}
        if self._padding is not None:  # some networks find the end of a text by it
            given[IDS] = np.where(tokens[MASK] > 0, given[IDS], self._padding)
        with torch.inference_mode():
            moved = {n: torch.from_numpy(array).to(self._device) for n, array in given.items()}
            return self._module(**moved)[0].float().cpu().numpy()


def load_transformers(folder: Path, kind: str) -> Any:
    """Load the network in a folder by the transformers library's auto class ``kind``.

    This runs no code from the folder and reads no pickle.

    Raises:
        WeightsError: the library cannot load the network.
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
        MissingExtra: the package is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtra(extra, error.name or package) from error
