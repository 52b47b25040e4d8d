"""Networks that normalise their input, as NuGraph2 and NuGraph3 do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from naiad.errors import MissingExtra

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtra("nugraph3-train", error.name or "torch") from error


class NormalisedNet(nn.Module):
    """A network with the mean and standard deviation of each feature of the hits of each plane.

    The buffers ``mean_<plane>`` and ``std_<plane>`` belong to the card, not to the state dict (the
    originals keep them in their data set); :meth:`set_normalisation` sets them.
    """

    def __init__(self, planes: Sequence[str], in_features: int) -> None:
        """Use mean 0 and standard deviation 1, which leave the input as it is."""
        super().__init__()
        self._planes = tuple(planes)
        for plane in planes:
            self.register_buffer(f"mean_{plane}", torch.zeros(in_features), persistent=False)
            self.register_buffer(f"std_{plane}", torch.ones(in_features), persistent=False)

    def set_normalisation(
        self, mean: Mapping[str, Sequence[float]], std: Mapping[str, Sequence[float]]
    ) -> None:
        """Use ``(x - mean) / std`` of each plane's four features (wire, time, integral, rms)."""
        for plane in self._planes:
            for buffer, values in zip(
                self.normalisation(plane), (mean[plane], std[plane]), strict=True
            ):
                buffer.copy_(torch.tensor(values))

    def normalisation(self, plane: str) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the features of a plane, float32 ``[4]``."""
        return self.get_buffer(f"mean_{plane}"), self.get_buffer(f"std_{plane}")

    def normalised(self, batch: Mapping[str, Tensor], plane: str) -> Tensor:
        """Return the normalised features of a plane's hits, float32 ``[hits, 4]``."""
        mean, std = self.normalisation(plane)
        return (batch[f"x_{plane}"] - mean) / std

    def arrays(
        self,
    ) -> tuple[
        dict[str, NDArray[np.float32]], dict[str, tuple[float, ...]], dict[str, tuple[float, ...]]
    ]:
        """Return the parameters by name, and mean and standard deviation by plane."""
        state = {name: tensor.numpy() for name, tensor in self.state_dict().items()}
        mean, std = (
            {p: tuple(self.normalisation(p)[i].tolist()) for p in self._planes} for i in range(2)
        )
        return state, mean, std
