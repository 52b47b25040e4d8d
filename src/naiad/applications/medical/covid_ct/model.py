"""The small network for chest CT that comes with Naiad, in place of MONAI's DenseNet121.

The public weights are a 3D DenseNet121 of MONAI with one output, a logit
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
"""Voxels averaged along each axis first; opacities are larger."""
FEATURES: Final = 28

_LOWEST, _HIGHEST, _WIDTH = 0.05, 0.7, 0.05  # of the bins, as densities from 0 to 1
_HIDDEN: Final = 32


class ChestNet(nn.Module):
    """Network from volumes to logits: float32 ``[n, 1, 192, 192, 64]`` to ``[n, 1]``.

    Two layers on soft histograms of density: of all voxels, and of the densest neighbourhoods.
    """

    centres: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        """Create the network with random weights."""
        super().__init__()
        centres = torch.linspace(_LOWEST, _HIGHEST, FEATURES // 2)
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))
        self.classify = nn.Sequential(
            nn.Linear(FEATURES, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of the positive class for each volume."""
        return self.judge(self.histogram(x))

    def histogram(self, x: Tensor) -> Tensor:
        """Compute the features of volumes: ``[n, 28]``."""
        pooled = F.avg_pool3d(x, POOL)
        distance = (pooled - self.centres.view(1, -1, 1, 1, 1)).abs()
        inside = (1 - distance / _WIDTH).clamp(min=0)
        around = F.avg_pool3d(inside, 3, 1, 1)
        return torch.cat([inside.mean((2, 3, 4)), around.amax((2, 3, 4))], 1)

    def judge(self, features: Tensor) -> Tensor:
        """Compute the logits of features: ``[n, 1]``."""
        logits: Tensor = self.classify((features - self.mean) * self.scale)
        return logits
