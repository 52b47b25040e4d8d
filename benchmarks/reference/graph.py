"""Conversion of an event's tables to a ``HeteroData``, with pandas and PyG's transforms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import BaseTransform, Compose, Delaunay, FaceToEdge

PLANES = ("u", "v", "y")
MAX_INTEGRAL = 1e6
HIT_COLUMNS = ("hit_id", "local_plane", "local_time", "local_wire", "integral", "rms")
SPACEPOINT_COLUMNS = ("spacepoint_id", "hit_id_u", "hit_id_v", "hit_id_y")


class Planes:
    """Hits and spacepoints of an event: positions, features and edges of each plane."""

    def __init__(self) -> None:
        self.triangulate = Compose([Delaunay(), FaceToEdge()])

    def __call__(self, hits: pd.DataFrame, spacepoints: pd.DataFrame) -> HeteroData:
        if hits.integral.max() > MAX_INTEGRAL:
            raise ValueError("a hit has too much charge")
        data = HeteroData()
        spacepoints = spacepoints.reset_index(names="index_3d")
        data["sp"].num_nodes = len(spacepoints)
        for number, plane in enumerate(PLANES):
            own = hits[hits.local_plane == number].reset_index(drop=True)
            own = own.reset_index(names="index_2d")
            position = torch.tensor(own[["local_wire", "local_time"]].values).float()
            data[plane].pos = position * torch.tensor([0.3, 0.055])
            data[plane].x = torch.tensor(own[["integral", "rms"]].values).float()
            edges = self.triangulate(Data(pos=data[plane].pos)).edge_index
            data[plane, "plane", plane].edge_index = edges
            nexus = spacepoints.merge(
                own[["hit_id", "index_2d"]], left_on=f"hit_id_{plane}", right_on="hit_id"
            ).sort_values("index_3d", kind="stable")
            pairs = nexus[["index_2d", "index_3d"]].values.transpose()
            data[plane, "nexus", "sp"].edge_index = torch.tensor(pairs).long()
        return data


class PositionFeatures(BaseTransform):
    """Put the position of a hit in front of its features."""

    def forward(self, data: HeteroData) -> HeteroData:
        for plane in PLANES:
            data[plane].x = torch.cat((data[plane].pos, data[plane].x), dim=-1)
        return data


class FeatureNorm(BaseTransform):
    """Normalise the features of each plane."""

    def __init__(self, mean: Mapping[str, torch.Tensor], std: Mapping[str, torch.Tensor]) -> None:
        self.mean, self.std = mean, std

    def forward(self, data: HeteroData) -> HeteroData:
        for plane in PLANES:
            data[plane].x = (data[plane].x - self.mean[plane]) / self.std[plane]
        return data


class HierarchicalEdges(BaseTransform):
    """Add the event as one node, and the edges down and up the hierarchy."""

    def forward(self, data: HeteroData) -> HeteroData:
        data["evt"].num_nodes = 1
        points = torch.arange(data["sp"].num_nodes)
        event = torch.zeros_like(points)
        data["sp", "in", "evt"].edge_index = torch.stack((points, event))
        data["evt", "owns", "sp"].edge_index = torch.stack((event, points))
        for plane in PLANES:
            nexus = data[plane, "nexus", "sp"].edge_index
            data["sp", "nexus", plane].edge_index = nexus.flip(0)
        return data


class Preparation:
    """Convert the tensors of a request to the input graph of the network."""

    def __init__(self, mean: Mapping[str, list[float]], std: Mapping[str, list[float]]) -> None:
        self.planes = Planes()
        self.transform = Compose(
            [
                PositionFeatures(),
                FeatureNorm(_tensors(mean), _tensors(std)),
                HierarchicalEdges(),
            ]
        )

    def __call__(self, tensors: Mapping[str, np.ndarray]) -> HeteroData:
        hits = pd.DataFrame({c: tensors[f"hit_table_{c}"] for c in HIT_COLUMNS})
        spacepoints = pd.DataFrame(
            {c: tensors[f"spacepoint_table_{c}"] for c in SPACEPOINT_COLUMNS}
        )
        return self.transform(self.planes(hits, spacepoints))


def _tensors(by_plane: Mapping[str, list[float]]) -> dict[str, torch.Tensor]:
    return {plane: torch.tensor(values) for plane, values in by_plane.items()}
