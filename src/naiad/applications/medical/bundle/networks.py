"""A bundle's networks, with their parameters, on a device.

Most bundles have one: ``models/model.ts``, or ``network_def`` with ``models/model.pt``. One with an
``EnsembleEvaluator`` has several, which see the same image; an inferer may hold others. Those have
the parameters that ``CheckpointLoader`` entries of the config name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch

from naiad.applications.medical.bundle.config import Config, causes
from naiad.applications.medical.bundle.files import BundleFiles
from naiad.core.settings import Runtime
from naiad.errors import RepositoryError, WeightsError
from naiad.networks.opening import open_module
from naiad.networks.torch_networks import as_module, load_torchscript
from naiad.weights import read_checkpoint

ONLY: Final = ""
"""Key of a bundle's only network."""

_USUAL: Final = ("network_def", "network")  # ids of the only network
_REFERENCE: Final = re.compile(r"@(\w+)")


class Recorder(torch.nn.Module):
    """A network, with the tensors that it was last called with."""

    def __init__(self, network: torch.nn.Module) -> None:
        """Record the calls of ``network``."""
        super().__init__()
        self._network = network
        self._last: tuple[torch.Tensor, ...] = ()

    def forward(self, *tensors: torch.Tensor) -> Any:
        """Run the network."""
        self._last = tensors
        return self._network(*tensors)

    def run_by(self, runtime: Runtime, device: str) -> torch.nn.Module:
        """Return the network run by another library, which answers the recorded call alike.

        Compared are also two images in the place of one, and smaller ones if the network takes
        them.

        Raises:
            WeightsError: the library cannot run the network, or its answers differ.
            MissingExtra: it is not installed.
        """
        given = [tensor.numpy(force=True) for tensor in self._last]
        twice = [np.concatenate([array, array]) for array in given]
        half = (slice((size + 1) // 2) for size in given[0].shape[2:])
        window = (slice(None), slice(None), *half)
        examples = [given, twice, [array[window] for array in given]]
        name = getattr(self._network, "original_name", type(self._network).__name__)
        return as_module(open_module(self._network, examples, device, runtime=runtime, name=name))


def load_networks(
    config: Config, files: BundleFiles, device: torch.device
) -> dict[str, torch.nn.Module]:
    """Load the networks of a bundle, by the keys of their predictions.

    Raises:
        RepositoryError: one cannot be created, or its parameters are missing or another network's.
    """
    ids = ("evaluator::networks", "evaluator::pred_keys")
    several = config.made(ids[0], needed=False)
    if several is None:
        networks = {ONLY: _only(config, files, device)}
    else:
        keys = config.made(ids[1], needed=False) or [f"pred_{n}" for n in range(len(several))]
        if len(keys) != len(several):
            raise files.wrong_config(
                f"{ids[1]} has {len(keys)} keys for {len(several)} networks; each needs its own"
            )
        networks = dict(zip(map(str, keys), several, strict=True))
    usual = several is None and files.network is not None
    loaded = _load_checkpoints(config, files, device, usual=usual)
    for key, network in networks.items():
        if not isinstance(network, torch.nn.Module):
            raise files.wrong_config(
                f"{_said(key)} creates a {type(network).__name__}; it must create a torch module"
            )
        complete = usual or isinstance(network, torch.jit.ScriptModule) or network in loaded
        if not complete:
            raise files.wrong_config(
                f"{_said(key)} has no parameters; name their file in a CheckpointLoader, whose "
                "load_dict refers to the network"
            )
        network.to(device).eval()
    return networks


def _said(key: str) -> str:
    return f"the network of {key!r}" if key else "network_def"


def _only(config: Config, files: BundleFiles, device: torch.device) -> Any:
    if not files.torchscript:
        network = config.made(*_USUAL)
        if files.network is not None and isinstance(network, torch.nn.Module):
            _load(network, _read(files.network, files), "model", files.network, files)
        return network
    assert files.network is not None
    try:
        return load_torchscript(files.network, device)
    except WeightsError as error:
        raise RepositoryError(str(error)) from error


def _load_checkpoints(
    config: Config, files: BundleFiles, device: torch.device, *, usual: bool
) -> set[torch.nn.Module]:
    """Load the parameters of all networks in checkpoint loaders; return the networks.

    Args:
        config: the bundle's config.
        files: its files.
        device: of the networks.
        usual: leave the only network out, whose parameters are in the usual file.
    """
    loaded: set[torch.nn.Module] = set()
    for id, entry in config.components("CheckpointLoader"):
        if usual and set(_REFERENCE.findall(str(entry.get("load_dict")))) <= {*_USUAL}:
            continue
        path = files.root / str(config.made(f"{id}::load_path"))
        checkpoint = _read(path, files)
        for name, network in dict(config.made(f"{id}::load_dict")).items():
            if isinstance(network, torch.nn.Module):
                _load(network, checkpoint, name, path, files)
                loaded.add(network.to(device).eval())
    return loaded


def _read(path: Path, files: BundleFiles) -> Any:
    try:
        return read_checkpoint(path, largest=sys.maxsize)
    except WeightsError as error:
        raise _wrong(path, files, error) from error


def _load(
    network: torch.nn.Module, checkpoint: Any, name: str, path: Path, files: BundleFiles
) -> None:
    """Load a network's parameters: those under its name, or all."""
    state = checkpoint.get(name, checkpoint) if isinstance(checkpoint, Mapping) else checkpoint
    try:
        network.load_state_dict(cast("Any", state))
    except Exception as error:
        raise _wrong(path, files, error) from error


def _wrong(path: Path, files: BundleFiles, error: Exception) -> RepositoryError:
    name = path.relative_to(files.root) if path.is_relative_to(files.root) else path
    if not path.is_file():
        return RepositoryError(
            f"{name} is missing, which {files.config_file} loads parameters from"
        )
    return RepositoryError(
        f"{name}: not the parameters of network_def in {files.config_file}: {causes(error)}"
    )
