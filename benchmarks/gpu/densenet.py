"""DenseNet121 in three dimensions (Huang et al., arXiv:1608.06993), as a pipeline of volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import naiad

_GROWTH, _FIRST, _WIDTH = 32, 64, 4


class Layer(nn.Sequential):
    """Adds ``_GROWTH`` channels to its input."""

    def __init__(self, channels: int) -> None:
        inner = _WIDTH * _GROWTH
        super().__init__(
            *(nn.BatchNorm3d(channels), nn.ReLU(), nn.Conv3d(channels, inner, 1, bias=False)),
            *(nn.BatchNorm3d(inner), nn.ReLU()),
            nn.Conv3d(inner, _GROWTH, 3, padding=1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((x, super().forward(x)), 1)


def densenet(blocks: Sequence[int]) -> nn.Module:
    """Make a network with this number of layers in each block; DenseNet121 has 6, 12, 24, 16."""
    channels = _FIRST
    parts: list[nn.Module] = [
        *(nn.Conv3d(1, channels, 7, 2, 3, bias=False), nn.BatchNorm3d(channels), nn.ReLU()),
        nn.MaxPool3d(3, 2, 1),
    ]
    for number, layers in enumerate(blocks):
        for _ in range(layers):
            parts.append(Layer(channels))
            channels += _GROWTH
        parts += [nn.BatchNorm3d(channels), nn.ReLU()]
        if number + 1 < len(blocks):
            parts += [nn.Conv3d(channels, channels // 2, 1, bias=False), nn.AvgPool3d(2)]
            channels //= 2
    return nn.Sequential(*parts, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(channels, 1))


@dataclass(frozen=True)
class Options:
    """Size of the network."""

    small: bool = False


class Volumes(naiad.Pipeline):
    """A score of each volume, by an untrained network: its values do not affect the time."""

    inputs = {"volume": naiad.Tensor("float32", ("volumes", "x", "y", "z"))}
    outputs = {"score": naiad.Tensor("float32", ("volumes",))}
    settings = Options()
    merges = True

    def setup(self, device: str) -> None:
        torch.manual_seed(0)
        blocks = (1, 1) if self.settings.small else (6, 12, 24, 16)
        self._net = densenet(blocks).eval().to(device)

    def forward(self, batch: naiad.Batch) -> Mapping[str, Any]:
        return {"score": self._net(batch["volume"][:, None])[:, 0]}
