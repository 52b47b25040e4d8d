"""The small network for MedNIST that comes with Naiad, in place of MONAI's DenseNet121."""

from __future__ import annotations

from typing import Final

from naiad.errors import MissingExtra

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtra("mednist", error.name or "torch") from error

_WIDTHS: Final = (16, 32, 48, 64)


class ModalityNet(nn.Module):
    """Network from images to logits: float32 ``[n, 1, width, height]`` to ``[n, classes]``."""

    def __init__(self, classes: int) -> None:
        """Create the network with random weights."""
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in _WIDTHS:
            layers += [nn.Conv2d(before, width, 3, 2, 1), nn.ReLU(inplace=True)]
            before = width
        self.features = nn.Sequential(*layers)
        self.spread = nn.AdaptiveAvgPool2d(3)
        self.classify = nn.Linear(9 * before, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch of images of one size."""
        features: Tensor = self.spread(self.features(x))
        logits: Tensor = self.classify(torch.flatten(features, 1))
        return logits
