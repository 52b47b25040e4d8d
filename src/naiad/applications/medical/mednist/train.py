"""Training of the network that comes with Naiad, on phantoms drawn as needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from naiad.applications.medical.mednist.model import ModalityNet
from naiad.applications.medical.mednist.phantoms import draw, encode
from naiad.applications.medical.mednist.pixels import decode
from naiad.applications.medical.mednist.schema import CLASSES, NOTICE
from naiad.errors import MissingExtra
from naiad.torch_model import NetworkCard

try:
    import torch
    from torch import Tensor
    from torch.nn import functional as F
except ImportError as error:
    raise MissingExtra("mednist", error.name or "torch") from error

from naiad.applications.training import accuracy, seeded, step

_LEARNING_RATE: Final = 3e-3


def train(
    folder: Path,
    *,
    images: int,
    test_images: int,
    batch: int = 64,
    seed: int = 0,
    command: str = "",
    progress: Callable[[int, float], None] = lambda done, loss: None,
) -> NetworkCard:
    """Train on phantoms, each used once, and write the network to ``folder``.

    Args:
        folder: the folder to write, created if needed.
        images: number of phantoms to train on.
        test_images: number of further ones to test on.
        batch: images per step.
        seed: of the phantoms and of the initial weights.
        command: the command, for the provenance.
        progress: called with the number of images used, and the loss.
    """
    rng = np.random.default_rng(seed)
    with seeded(seed):
        net = ModalityNet(len(CLASSES))
    steps = -(-images // batch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=_LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=steps)
    for number in range(1, steps + 1):
        given, labels = _phantoms(rng, batch)
        loss = step(F.cross_entropy(net(given), labels), optimiser, schedule)
        progress(min(images, number * batch), loss)
    given, labels = _phantoms(rng, test_images)
    with torch.inference_mode():
        right = (net.eval()(given).argmax(1) == labels).float().mean()
    card = NetworkCard(
        notice=NOTICE,
        provenance={
            "data": f"{images} phantoms of {len(CLASSES)} kinds, seed {seed}",
            "command": command,
        },
        evaluations=accuracy(right.item(), "generated phantoms", test_images),
    )
    return card.save_with(net, folder)


def _phantoms(rng: np.random.Generator, n: int) -> tuple[Tensor, Tensor]:
    """Draw phantoms as the server decodes them, float32 ``[n, 1, 64, 64]``, and their classes."""
    labels = rng.integers(len(CLASSES), size=n)
    files = [encode(draw(CLASSES[label], rng)) for label in labels]
    return torch.from_numpy(np.stack(decode(files, "phantoms"))[:, None]), torch.from_numpy(labels)
