#!/usr/bin/env python
"""Make the weights of the graph attention network that come with Naiad.

    python scripts/train_gat_default.py

Makes a synthetic citation graph of 2,000 papers, trains on the topics of 140 of them for about
half a minute on one core, and writes src/naiad/applications/gat/data/weights/. The seeds are fixed;
floating-point results of other processors may differ slightly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from describe_defaults import DEFAULTS, describe

from naiad.applications.gat.simulate import simulate
from naiad.applications.gat.train import train
from naiad.applications.training import CURVE_FILE

WEIGHTS = Path(__file__).parents[1] / "src" / "naiad" / "applications" / "gat" / "data" / "weights"
PAPERS = 2_000
SEED = 20261124
NOTICE = "trained on a synthetic citation graph, whose topics mean nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write")
    folder = parser.parse_args().output
    command = "python scripts/train_gat_default.py"
    graph = simulate(PAPERS, SEED)
    result = train(graph, folder, epochs=300, seed=1, notice=NOTICE, command=command)
    describe(folder, DEFAULTS["gat/data/weights"])
    (folder / CURVE_FILE).unlink()
    print(f"{result.seconds:.0f} s; test accuracy {result.test_accuracy:.3f}, {result.parts}")


if __name__ == "__main__":
    main()
