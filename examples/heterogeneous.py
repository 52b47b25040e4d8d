"""Rate films for users: a heterogeneous graph with several types of nodes and edges.

    python examples/heterogeneous.py

Needs the extra `pyg`. The parameters are random: only the shapes mean something.
"""

import torch
from torch import nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, SAGEConv

import naiad

RATED, RATED_BY = ("user", "rated", "film"), ("film", "rated_by", "user")


class Ratings(nn.Module):
    """Two rounds of messages between users and films."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.first = HeteroConv(
            {RATED: SAGEConv((8, 16), hidden), RATED_BY: SAGEConv((16, 8), hidden)}
        )
        self.second = HeteroConv({RATED: SAGEConv(hidden, 1), RATED_BY: SAGEConv(hidden, hidden)})

    def forward(self, x_dict, edge_index_dict):
        """One score of each film."""
        x = {
            kind: features.relu() for kind, features in self.first(x_dict, edge_index_dict).items()
        }
        return self.second(x, edge_index_dict)["film"].squeeze(-1)


def evening(users: int, films: int) -> HeteroData:
    """Some users, some films, and who rated which."""
    data = HeteroData()
    data["user"].x, data["film"].x = torch.randn(users, 8), torch.randn(films, 16)
    pairs = torch.stack([torch.randint(users, (40,)), torch.randint(films, (40,))])
    data[RATED].edge_index, data[RATED_BY].edge_index = pairs, pairs.flip(0)
    return data


Served = naiad.pyg(Ratings, example=evening(5, 12))


def main() -> None:
    """Ask about one evening."""
    with naiad.serve(Served) as server, server.client() as client:
        print(client.infer("ratings", evening(3, 20))["output"])


if __name__ == "__main__":
    main()
