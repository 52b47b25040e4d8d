"""The small network that comes with Naiad for chest CT; a stand-in for MONAI's DenseNet121.

The public weights that it stands in for are a 3D DenseNet121 of MONAI with one output, a logit
(NGC: ``clara_pt_covid19_3d_ct_classification``), saved as TorchScript.
"""

from __future__ import annotations

from typing import Final

from naiad.errors import MissingExtra

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F
except ImportError as error:
    raise MissingExtra("covid-ct", error.name or "torch") from error

POOL: Final = (6, 6, 4)
"""Voxels along each axis that are averaged first: opacities are larger."""

_LAYERS: Final = ((16, 2), (16, 1), (32, 2))  # channels and strides


class ChestNet(nn.Module):
    """Volumes in, logits out: float32 ``[n, 1, 192, 192, 64]`` to ``[n, 1]``."""

    def __init__(self) -> None:
        """Make the network, with first weights by chance."""
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width, stride in _LAYERS:
            layers += [nn.Conv3d(before, width, 3, stride, 1), nn.ReLU(inplace=True)]
            before = width
        self.features = nn.Sequential(*layers)
        self.classify = nn.Linear(2 * before, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of each volume's being positive."""
        return self.from_pooled(F.avg_pool3d(x, POOL))

    def from_pooled(self, x: Tensor) -> Tensor:
        """The same of volumes that are pooled already, as training keeps them."""
        features: Tensor = self.features(x)
        summary = torch.cat([features.mean((2, 3, 4)), features.amax((2, 3, 4))], 1)
        logits: Tensor = self.classify(summary)
        return logits
