"""A torch network from a path that holds weights: Naiad's own folder, or TorchScript.

A folder with ``weights.json`` has a network of Naiad's, whose code is in the package and whose
parameters are beside it (:mod:`naiad.weights`). Any other file, or folder with just one, is
TorchScript as ``torch.jit.save`` writes it: a program, to be taken only from those one trusts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from naiad.errors import MissingExtra, WeightsError
from naiad.weights import (
    FACTS_FILE,
    facts_from_json,
    facts_to_json,
    pack,
    read_facts,
    read_tensors,
    write_folder,
)

if TYPE_CHECKING:
    import torch

SUFFIXES: Final = (".ts", ".pt", ".pth")
"""How TorchScript files are called in a folder."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of some weights.

    Attributes:
        sha256: of the parameters; empty for TorchScript.
        notice: what every user must know of them.
        provenance: where they come from, in free words.
        metrics: how good they are, by name.
    """

    sha256: str = ""
    notice: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])


def read(path: Path, *, foreign: str) -> Facts:
    """The facts of the weights at ``path``; ``foreign`` is the notice of TorchScript.

    Raises:
        WeightsError: there is neither a folder of Naiad's nor TorchScript, or it is damaged.
    """
    file = path / FACTS_FILE
    if not file.is_file():
        find_torchscript(path)
        return Facts(notice=foreign)
    try:
        return Facts(**facts_from_json(read_facts(file)))
    except (WeightsError, TypeError, ValueError, KeyError) as error:
        raise WeightsError(f"{file}: {error}") from error


def load(path: Path, make: Callable[[], torch.nn.Module], device: str) -> torch.nn.Module:
    """The network at ``path``, on ``device`` and ready for inference.

    Args:
        path: Naiad's folder of weights, a TorchScript file, or a folder that has one.
        make: makes the network that Naiad's weights are for.
        device: ``"cpu"``, ``"cuda:0"``, ...

    Raises:
        WeightsError: the weights are missing, damaged, or of another network.
    """
    if not (path / FACTS_FILE).is_file():
        return load_torchscript(find_torchscript(path), device)
    module = make()
    shapes = {name: tensor.shape for name, tensor in module.state_dict().items()}
    module.load_state_dict(read_tensors(path, shapes, read(path, foreign="").sha256))
    return module.to(device).eval()


def save(module: torch.nn.Module, folder: Path, facts: Facts) -> Facts:
    """Write a network of Naiad's to a folder; return the facts as written."""
    data, sha256 = pack(module)
    facts = Facts(sha256, facts.notice, facts.provenance, facts.metrics)
    write_folder(folder, data, facts_to_json(asdict(facts)))
    return facts


def find_torchscript(path: Path) -> Path:
    """The TorchScript file at ``path``: itself, or the one in it or below.

    Raises:
        WeightsError: there is none, or there are several.
    """
    if path.is_file():
        return path
    found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    if len(found) != 1:
        names = ", ".join(str(file.relative_to(path)) for file in found) or "none"
        raise WeightsError(
            f"{path} must have {FACTS_FILE}, or one TorchScript file ({', '.join(SUFFIXES)}); "
            f"it has {names}"
        )
    return found[0]


def load_torchscript(path: Path, device: str | torch.device) -> torch.nn.Module:
    """Load a TorchScript file onto ``device``.

    Raises:
        WeightsError: it is none.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", error.name or "torch") from error
    try:
        with warnings.catch_warnings():
            # torch would rather have torch.export; people have these files all the same.
            warnings.simplefilter("ignore", DeprecationWarning)
            module: torch.nn.Module = torch.jit.load(path, map_location=device)
    except (RuntimeError, ValueError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{path} is not TorchScript (written by torch.jit.save): {first}"
        ) from error
    return module.eval()
