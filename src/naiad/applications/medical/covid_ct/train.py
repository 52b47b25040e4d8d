"""Training of the network that comes with Naiad, on generated phantoms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from naiad.applications.medical import nifti
from naiad.applications.medical.covid_ct.model import ChestNet
from naiad.applications.medical.covid_ct.phantoms import affine, draw
from naiad.applications.medical.covid_ct.schema import NOTICE
from naiad.applications.medical.covid_ct.volumes import foreground, resized
from naiad.errors import MissingExtra
from naiad.torch_model import NetworkCard

try:
    import torch
    from torch import Tensor
    from torch.nn import functional as F
except ImportError as error:
    raise MissingExtra("covid-ct", error.name or "torch") from error

from naiad.applications.training import accuracy, seeded, step

_LEARNING_RATE: Final = 1e-2
_WEIGHT_DECAY: Final = 3e-2


def train(
    folder: Path,
    *,
    phantoms: int,
    test_phantoms: int,
    steps: int = 100,
    seed: int = 0,
    command: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NetworkCard:
    """Draw phantoms, train on them and write the network to ``folder``.

    Args:
        folder: the folder to write, created if needed.
        phantoms: number to train on; every other has opacities.
        test_phantoms: number of further ones to test on.
        steps: of training, each on all phantoms.
        seed: of the phantoms and of the initial weights.
        command: the command, for the provenance.
        progress: called with the number of phantoms drawn, which takes most of the time, and the
            total.
    """
    rng = np.random.default_rng(seed)
    with seeded(seed):
        net = ChestNet()
    total = phantoms + test_phantoms
    labels = (torch.arange(total) % 2).float()[:, None]
    rows: list[Tensor] = []
    for number in range(total):
        with torch.inference_mode():
            rows.append(net.histogram(_phantom(rng, opacities=number % 2 == 1)))
        progress(number + 1, total)
    features = torch.cat(rows).clone()
    seen, truth = features[:phantoms], labels[:phantoms]
    net.mean.copy_(seen.mean(0))
    net.scale.copy_(1 / (seen.std(0) + 1e-6))
    optimiser = torch.optim.AdamW(net.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    for _ in range(steps):
        step(F.binary_cross_entropy_with_logits(net.judge(seen), truth), optimiser)
    with torch.inference_mode():
        found = net.judge(features[phantoms:]) > 0
    right = (found == labels[phantoms:].bool()).float().mean()
    card = NetworkCard(
        notice=NOTICE,
        provenance={
            "data": f"{phantoms} generated chest phantoms, seed {seed}",
            "command": command,
        },
        evaluations=accuracy(right.item(), "generated chest phantoms", test_phantoms),
    )
    return card.save_with(net, folder)


def _phantom(rng: np.random.Generator, *, opacities: bool) -> Tensor:
    """Draw a phantom in the network's form, ``[1, 1, 192, 192, 64]``."""
    size = tuple(int(n) for n in rng.integers((56, 56, 20), (88, 88, 36)))
    voxels = draw(rng, opacities=opacities, size=(size[0], size[1], size[2]))
    volume = nifti.Volume(voxels, 1.0, 0.0, affine())
    return torch.from_numpy(resized(volume, foreground(volume, "phantom")))[None, None]
