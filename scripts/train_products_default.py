#!/usr/bin/env python
"""Make the GraphSAGE weights, and the graph, that come with Naiad.

    python scripts/train_products_default.py

Makes a synthetic co-purchase graph of 20,000 products and trains on the categories of the best
selling 1,600 for about two minutes on one core. Then makes another graph, of 2,500 products, to
serve with the weights and to evaluate them. Writes src/naiad/applications/products/data/weights/.
The seeds are fixed; floating-point results of other processors may differ slightly.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from describe_defaults import DEFAULTS, describe

from naiad.applications.products.graph import write_graph
from naiad.applications.products.simulate import simulate
from naiad.applications.products.train import accuracy, train
from naiad.applications.products.weights import load_weights
from naiad.applications.training import CURVE_FILE, METRICS_FILE

WEIGHTS = (
    Path(__file__).parents[1] / "src" / "naiad" / "applications" / "products" / "data" / "weights"
)
PRODUCTS = 20_000
SERVED = 2_500
SEED = 20261125
NOTICE = "trained on a synthetic co-purchase graph, whose products and categories mean nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write")
    folder = parser.parse_args().output
    result = train(
        simulate(PRODUCTS, SEED),
        folder,
        graph_folder="graph",
        epochs=12,
        batch=256,
        seed=1,
        notice=NOTICE,
        command="python scripts/train_products_default.py",
        progress=lambda number, epoch: print(number + 1, epoch, flush=True),
    )
    describe(folder, DEFAULTS["products/data/weights"])
    (folder / CURVE_FILE).unlink()
    graph = simulate(SERVED, SEED + 1)
    write_graph(folder / "graph", graph)
    net, _ = load_weights(folder)
    path = folder / METRICS_FILE
    facts = json.loads(path.read_text("utf-8"))
    facts["seconds"] = round(facts["seconds"])
    facts["served_graph_accuracy"] = accuracy(net, graph, np.arange(len(graph)))
    path.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    print(f"{result.seconds:.0f} s; test accuracy {result.test_accuracy:.3f}, {result.parts}")
    print(f"accuracy {facts['served_graph_accuracy']:.3f} on the {SERVED:,} products served")


if __name__ == "__main__":
    main()
