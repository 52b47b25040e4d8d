"""The small network that comes with Naiad: six convolutions and an average over the picture."""

from __future__ import annotations

from typing import Final

from naiad.errors import MissingExtra

try:
    import torch
    from torch import Tensor, nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval
except ImportError as error:
    raise MissingExtra("image", error.name or "torch") from error

# The last layer sees 255 pixels of the input, about the size of the largest shape.
_WIDTHS: Final = (16, 24, 48, 64, 96, 96)


class ShapeNet(nn.Module):
    """Network from images to logits: float32 ``[n, 3, height, width]`` to ``[n, classes]``.

    Inputs are scaled to -1 to 1. Any size from 32 pixels works, as features are averaged over the
    picture at the end.
    """

    def __init__(self, classes: int, *, normalised: bool = False) -> None:
        """Create the network for a number of classes; ``normalised`` by batch, for training."""
        super().__init__()
        layers: list[nn.Module] = []
        before, kernel, stride = 3, 7, 4
        for width in _WIDTHS:
            layers.append(
                nn.Conv2d(before, width, kernel, stride, kernel // 2, bias=not normalised)
            )
            if normalised:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            before, kernel, stride = width, 3, 2
        self.features = nn.Sequential(*layers)
        self.classify = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch of images."""
        features: Tensor = self.features(x)
        logits: Tensor = self.classify(torch.mean(features, (2, 3)))
        return logits


def fused(net: ShapeNet) -> ShapeNet:
    """Return the network for inference, with its normalisation folded into the convolutions."""
    net = net.eval()
    plain = ShapeNet(net.classify.out_features).eval()
    convolutions = [layer for layer in net.features if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in net.features if isinstance(layer, nn.BatchNorm2d)]
    places = [layer for layer in plain.features if isinstance(layer, nn.Conv2d)]
    for place, convolution, norm in zip(places, convolutions, norms, strict=True):
        place.load_state_dict(fuse_conv_bn_eval(convolution, norm).state_dict())
    plain.classify.load_state_dict(net.classify.state_dict())
    return plain
