"""MONAI's tutorials of Triton: chest CTs and small pictures, by their transforms, from files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from benchmarks.examples.case import Case, Way, Ways, within
from benchmarks.examples.repository import FREE, example_server
from benchmarks.phantoms import chest
from monai.networks.nets import DenseNet121
from numpy.typing import NDArray
from torch import nn

import naiad
from naiad import torch_model
from naiad.applications.medical.covid_ct.model import ChestNet
from naiad.applications.medical.covid_ct.phantoms import encode as encode_ct
from naiad.applications.medical.covid_ct.pipeline import CovidCt
from naiad.applications.medical.covid_ct.schema import SHAPE
from naiad.applications.medical.covid_ct.schema import as_request as ct_request
from naiad.applications.medical.covid_ct.volumes import prepare
from naiad.applications.medical.mednist.phantoms import draw, encode
from naiad.applications.medical.mednist.pixels import decode
from naiad.applications.medical.mednist.schema import CLASSES
from naiad.applications.medical.mednist.schema import as_request as picture_request
from naiad.core.pipeline import default_weights
from naiad.core.schema import Arrays
from naiad.core.settings import Runtime

Image: TypeAlias = Callable[[], NDArray[np.float32]]

SCAN, SMALL_SCAN = (512, 512, 120), (64, 64, 32)  # voxels
_SCANS = 4
_PICTURES = 32


def densenet(dims: int, classes: int, image: Image) -> Any:
    """Script the tutorials' network with random weights, normalised by an image of its task.

    Without that, its answers would hardly depend on the image.
    """
    torch.manual_seed(1)
    network = DenseNet121(spatial_dims=dims, in_channels=1, out_channels=classes)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            layer.momentum = None  # the mean over all that it sees
    with torch.no_grad():
        network(torch.from_numpy(image()))
    return torch.jit.script(network.eval())


def own_chest_net() -> Any:
    """Trace the small network for CTs that comes with Naiad, with its weights."""
    folder = default_weights(CovidCt)
    assert folder is not None
    return torch.jit.trace(torch_model.load(folder, ChestNet, "cpu"), torch.zeros(1, 1, *SHAPE))


def chests() -> NDArray[np.float32]:
    """Return two prepared CTs: ``[2, 1, 192, 192, 64]``."""
    files = [encode_ct(chest(SMALL_SCAN, seed)) for seed in (10, 11)]
    return np.stack([prepare(file, "phantom")[None] for file in files])


def prints() -> NDArray[np.float32]:
    """Return a prepared picture of each kind: ``[kinds, 1, width, height]``."""
    rng = np.random.default_rng(1)
    return np.stack([decode([encode(draw(kind, rng))], "phantom") for kind in CLASSES])


@contextmanager
def start(
    kind: str,
    network: Callable[[], Any],
    requests_of: Callable[[bool], tuple[list[Arrays], str]],
    scratch: Path,
    small: bool,
    *,
    runtime: Runtime | None = None,
) -> Iterator[Ways]:
    """Serve one TorchScript file in both ways, Naiad's by ``runtime``."""
    file = scratch / f"{kind}.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises against TorchScript, which examples use
        network().save(str(file))
    requests, about = requests_of(small)
    with (
        example_server(kind, "monai_files.py", {"file": str(file), "kind": kind}, small=small) as (
            example,
            model,
        ),
        naiad.serve(kind, weights=file, runtime=runtime, **FREE) as ours,
    ):
        yield Ways(Way.plain(example, model, requests), Way.plain(ours, model, requests), about)


def scans(small: bool) -> tuple[list[Arrays], str]:
    size = SMALL_SCAN if small else SCAN
    files = [encode_ct(chest(size, seed)) for seed in range(2 if small else _SCANS)]
    voxels = " x ".join(map(str, size))
    return [ct_request([file]) for file in files], (
        f"{len(files)} phantoms of {voxels} voxels, {len(files[0]) / 1e6:.1f} MB as .nii.gz"
    )


def pictures(small: bool) -> tuple[list[Arrays], str]:
    rng = np.random.default_rng(0)
    files = [encode(draw(CLASSES[n % len(CLASSES)], rng)) for n in range(6 if small else _PICTURES)]
    return [picture_request([file]) for file in files], (
        f"{len(files)} phantoms of 64 x 64 pixels as JPEG"
    )


_TUTORIAL = "MONAI's transforms from a temporary file, and a TorchScript network, one by one"
_SAME_PICTURE = within(1e-4, ("OUTPUT0", "OUTPUT0"), ("SCORES", "SCORES"))
_SAME_CT = within(1e-4, ("OUTPUT0", "OUTPUT0"), ("PROBABILITY", "PROBABILITY"))

CASES = (
    Case(
        "covid_ct",
        "chest CT, MONAI's DenseNet121",
        _TUTORIAL,
        partial(start, "covid_ct", partial(densenet, 3, 1, chests), scans),
        _SAME_CT,
        2.5,
        (1, 4),
    ),
    Case(
        "covid_ct_openvino",
        "the same, with `--runtime openvino`",
        _TUTORIAL,
        partial(start, "covid_ct", partial(densenet, 3, 1, chests), scans, runtime="openvino"),
        _SAME_CT,
        2.5,
        (1, 4),
        needs="openvino",
    ),
    Case(
        "covid_ct_own",
        "chest CT, the small network that comes with Naiad, so mostly preparation",
        _TUTORIAL,
        partial(start, "covid_ct", own_chest_net, scans),
        _SAME_CT,
        2.5,
        (1, 4),
    ),
    Case(
        "mednist",
        "MedNIST, MONAI's DenseNet121",
        _TUTORIAL,
        partial(start, "mednist", partial(densenet, 2, len(CLASSES), prints), pictures),
        _SAME_PICTURE,
        5.0,
    ),
    Case(
        "mednist_openvino",
        "the same, with `--runtime openvino`",
        _TUTORIAL,
        partial(
            start,
            "mednist",
            partial(densenet, 2, len(CLASSES), prints),
            pictures,
            runtime="openvino",
        ),
        _SAME_PICTURE,
        5.0,
        needs="openvino",
    ),
)
