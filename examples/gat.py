"""Tell the topic of each paper in a citation graph.

    naiad simulate gat -o graph.npz  # or your own graph
    python examples/gat.py graph.npz

Needs the extra `gat`.
"""

import sys
from pathlib import Path

import naiad
from naiad.applications.gat.graphs import read_graph


def main(path: str) -> None:
    """Print the number of papers per topic."""
    graph = read_graph(Path(path))
    with naiad.serve("gat") as server, server.client() as client:
        result = client.gat.infer(graph)
    for topic, papers in result.counts().items():
        print(f"{papers:6} {topic}")


if __name__ == "__main__":
    main(*sys.argv[1:])
