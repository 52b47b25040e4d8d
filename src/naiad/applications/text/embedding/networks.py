"""Networks for tokens, from ONNX files and the transformers library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.applications.text.embedding.bert import IDS, KINDS, MASK
from naiad.core.settings import Runtime
from naiad.errors import MissingExtra, WeightsError
from naiad.networks.network import Network
from naiad.networks.opening import open_file, open_module

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]

EXTRA: Final = "text-embedding"
TORCH_EXTRA: Final = "huggingface"


class TokenNetwork:
    """A network from rectangles of tokens to numbers of each token or text."""

    def __init__(self, network: Network, inputs: Sequence[str], padding: int | None = None) -> None:
        """Take a network with these inputs, in order.

        ``padding`` is the token that must stand for padding, or None if any may.
        """
        self._network, self._inputs, self._padding = network, tuple(inputs), padding

    def __call__(self, tokens: Mapping[str, Ints]) -> Floats:
        """Run the network.

        Args:
            tokens: int64 ``[texts, tokens]`` each: ``input_ids``, ``attention_mask`` (1: a token,
                0: padding) and ``token_type_ids`` (0, and 1 in the second text of a pair); a
                network uses those that it has as inputs.
        """
        given = {name: tokens[name] for name in self._inputs}
        if self._padding is not None:  # some networks find the end of a text by it
            given[IDS] = np.where(tokens[MASK] > 0, given[IDS], self._padding)
        return self._network(*given.values())[0]


def open_onnx_network(
    path: Path,
    device: str = "cpu",
    *,
    runtime: Runtime | None = None,
) -> TokenNetwork:
    """Load a network in ONNX, written by Naiad or from a Hugging Face repository.

    Args:
        path: the file.
        device: ``"cpu"``, ``"cuda:0"``.
        runtime: ``"onnxruntime"`` or ``"openvino"``; by default ONNX Runtime.

    Raises:
        WeightsError: the file is not ONNX, has other inputs, or cannot run on the device or by the
            runtime.
        MissingExtra: the library that runs it is not installed.
    """
    network = open_file(path, _examples(), device, runtime=runtime, extra=EXTRA)
    names = [port.name for port in network.inputs]
    if not {IDS, MASK} <= {*names} <= {IDS, MASK, KINDS}:
        raise WeightsError(
            f"{path} has the inputs {', '.join(sorted(names))}; it must have {IDS} and {MASK}"
        )
    return TokenNetwork(network, names)


def open_transformers_network(
    folder: Path,
    kind: str,
    device: str = "cpu",
    *,
    runtime: Runtime | None = None,
) -> TokenNetwork:
    """Load a network of the transformers library from ``config.json`` and ``model.safetensors``.

    Args:
        folder: the folder with these files.
        kind: the library's auto class, such as ``AutoModel``.
        device: ``"cpu"``, ``"cuda:0"``.
        runtime: the library that runs it; by default torch.

    Raises:
        WeightsError: the library cannot load the network, or the runtime cannot run it.
        MissingExtra: the transformers library, or one that runs the network, is not installed.
    """
    torch = need("torch", TORCH_EXTRA)
    module = load_transformers(folder, kind).to(device).eval()
    known = signature(module.forward).parameters
    names = [name for name in (IDS, MASK, KINDS) if name in known]

    class First(torch.nn.Module):
        """The first of the network's outputs, for its inputs in order."""

        def __init__(self) -> None:
            super().__init__()
            self.network = module

        def forward(self, *tensors: Any) -> Any:
            given = dict(zip(names, tensors, strict=True))
            return self.network(**given)[0].float()

    examples = ([tokens[name] for name in names] for tokens in _examples())
    network = open_module(First(), examples, device, runtime=runtime, name=str(folder))
    return TokenNetwork(network, names, module.config.pad_token_id)


def _examples() -> Iterator[dict[str, Ints]]:
    """Yield tokens to compare a network's conversions with it: texts of several lengths."""
    for texts, longest in ((2, 6), (3, 20)):
        ids = np.arange(texts * longest).reshape(texts, longest) % 7 + 1
        mask = (np.arange(longest) < np.linspace(longest, 3, texts).astype(int)[:, None]) + 0
        yield {IDS: ids, MASK: mask, KINDS: np.zeros_like(ids)}


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
