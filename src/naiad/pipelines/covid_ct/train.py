"""Training of the network that comes with Naiad, on phantoms that are drawn first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from naiad import nifti
from naiad.errors import MissingExtra
from naiad.network import Facts, save
from naiad.pipelines.covid_ct.model import POOL, ChestNet
from naiad.pipelines.covid_ct.phantoms import affine, draw
from naiad.pipelines.covid_ct.schema import NOTICE, SHAPE
from naiad.pipelines.covid_ct.volumes import foreground, resized

try:
    import torch
    from torch import Tensor
    from torch.nn import functional as F
except ImportError as error:
    raise MissingExtra("covid-ct", error.name or "torch") from error

_LEARNING_RATE: Final = 3e-3


def train(
    folder: Path,
    *,
    phantoms: int,
    test_phantoms: int,
    epochs: int = 10,
    batch: int = 16,
    seed: int = 0,
    command: str = "",
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Facts:
    """Draw phantoms, train on them and write the network to ``folder``.

    Args:
        folder: where to write; made if need be.
        phantoms: how many to learn from; every other has opacities.
        test_phantoms: how many to judge it by, which it has not seen.
        epochs: how often each is seen, flipped by chance.
        batch: phantoms per step.
        seed: of the phantoms and of the first weights.
        command: how this was called, for the provenance.
        progress: told what is done, how much of it, and of how much.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    total = phantoms + test_phantoms
    volumes = torch.empty(total, 1, *(n // pool for n, pool in zip(SHAPE, POOL, strict=True)))
    labels = torch.empty(total, 1)
    for number in range(total):
        labels[number] = number % 2
        volumes[number] = _pooled(rng, opacities=number % 2 == 1)
        progress("draw", number + 1, total)
    net = ChestNet()
    steps = epochs * -(-phantoms // batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=_LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps)
    done = 0
    for _ in range(epochs):
        for chosen in torch.randperm(phantoms).split(batch):
            axes = [axis for axis in (2, 3, 4) if torch.rand(()) < 0.5]
            logits = net.from_pooled(volumes[chosen].flip(axes))
            loss = F.binary_cross_entropy_with_logits(logits, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            progress(f"train: loss {loss.item():.3f}", done, steps)
    with torch.inference_mode():
        found = net.eval().from_pooled(volumes[phantoms:]) > 0
    right = (found == labels[phantoms:].bool()).float().mean()
    facts = Facts(
        notice=NOTICE,
        provenance={
            "data": f"{phantoms} generated chest phantoms, seed {seed}",
            "command": command,
        },
        metrics={"phantoms": test_phantoms, "accuracy": round(right.item(), 4)},
    )
    return save(net, folder, facts)


def _pooled(rng: np.random.Generator, *, opacities: bool) -> Tensor:
    """A phantom as the network sees it after its first layer."""
    size = tuple(int(n) for n in rng.integers((56, 56, 20), (88, 88, 36)))
    voxels = draw(rng, opacities=opacities, size=(size[0], size[1], size[2]))
    volume = nifti.Volume(voxels, 1.0, 0.0, affine())
    given = torch.from_numpy(resized(volume, foreground(volume, "phantom")))
    return F.avg_pool3d(given[None], POOL)
