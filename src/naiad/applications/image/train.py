"""Training of the network that comes with Naiad, on pictures drawn as needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from naiad.applications.image.card import LABELS_FILE, SCALINGS, ImageCard, Preprocessing
from naiad.applications.image.schema import SHAPES
from naiad.applications.image.shapes import SIZE, draw
from naiad.errors import MissingExtra
from naiad.weights import TENSORS_FILE

try:
    import torch
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, Dataset
except ImportError as error:
    raise MissingExtra("image", error.name or "torch") from error

from naiad.applications.image.network import ShapeNet, fused
from naiad.applications.training import accuracy, seeded, step

NOTICE: Final = "trained on generated shapes, not on photographs"

_LEARNING_RATE: Final = 4e-3


def train(
    folder: Path,
    *,
    images: int,
    test_images: int,
    batch: int = 32,
    seed: int = 0,
    workers: int = 0,
    command: str = "",
    progress: Callable[[int, float], None] = lambda done, loss: None,
) -> ImageCard:
    """Train on pictures, each used once, and write the network to ``folder``.

    Args:
        folder: the folder to write, created if needed.
        images: number of pictures to train on.
        test_images: number of pictures to test on, drawn with another seed.
        batch: pictures per step.
        seed: of the pictures and of the initial weights.
        workers: processes that draw; 0 for this one. It does not change the pictures.
        command: the command, to repeat the training.
        progress: called with the number of pictures used and the loss of the last step.
    """
    with seeded(seed):
        net = ShapeNet(len(SHAPES), normalised=True).train()
        optimiser = torch.optim.AdamW(net.parameters(), lr=_LEARNING_RATE, weight_decay=1e-3)
        batches = _batches(images, batch, (seed, 0), workers)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, _LEARNING_RATE, total_steps=len(batches)
        )
        for number, (x, y) in enumerate(batches, start=1):
            loss = step(F.cross_entropy(net(x), y, label_smoothing=0.02), optimiser, schedule)
            progress(min(number * batch, images), loss)
    net = fused(net)
    right = _recall(net, _batches(test_images, batch, (seed, 1), workers))
    card = ImageCard(
        file=TENSORS_FILE,
        preprocessing=Preprocessing(SIZE, SIZE, "NCHW", SCALINGS["inception"]),
        notice=NOTICE,
        provenance={"trained on": f"{images:,} generated pictures", "command": command},
        evaluations=accuracy(right.pop("accuracy"), "generated pictures", test_images),
        metrics=right,
    )
    card = card.save_with(net, folder)
    (folder / LABELS_FILE).write_text("".join(f"{shape}\n" for shape in SHAPES), "utf-8")
    return card


class _Pictures(Dataset[tuple[torch.Tensor, int]]):
    """Pictures in the network's form, with the numbers of their shapes."""

    def __init__(self, images: int, seed: tuple[int, ...]) -> None:
        self._images = images
        self._seed = seed

    def __len__(self) -> int:
        return self._images

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        rng = np.random.default_rng([*self._seed, number])
        kind = int(rng.integers(len(SHAPES)))
        pixels = torch.from_numpy(np.array(draw(SHAPES[kind], rng)))
        return pixels.permute(2, 0, 1).float() / 127.5 - 1, kind


def _batches(images: int, batch: int, seed: tuple[int, ...], workers: int) -> DataLoader[Any]:
    return DataLoader(_Pictures(images, seed), batch_size=batch, num_workers=workers)


def _recall(net: ShapeNet, batches: DataLoader[Any]) -> dict[str, float]:
    """Return the accuracy on test pictures: of all, and of each shape."""
    right = torch.zeros(len(SHAPES))
    seen = torch.zeros(len(SHAPES))
    with torch.inference_mode():
        for x, y in batches:
            hit = net(x).argmax(1) == y
            seen += torch.bincount(y, minlength=len(SHAPES))
            right += torch.bincount(y[hit], minlength=len(SHAPES))
    shares = (right / seen.clamp(min=1)).tolist()
    accuracy = round(float(right.sum() / seen.sum()), 4)
    return {"accuracy": accuracy, **{s: round(r, 4) for s, r in zip(SHAPES, shares, strict=True)}}
