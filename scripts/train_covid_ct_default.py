#!/usr/bin/env python
"""Make the network that comes with Naiad for chest CT.

    python scripts/train_covid_ct_default.py

Draws 800 chest phantoms, half of them with opacities, trains on 600 and tests on the others, in
three to four minutes of one core, and writes
src/naiad/applications/medical/covid_ct/data/weights/. The result is for trying Naiad: it
was trained on synthetic phantoms and is not for diagnosis. The seed is fixed; floating-point
results of other processors may differ slightly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from describe_defaults import DEFAULTS, describe
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from naiad.applications.medical.covid_ct.train import train

FOLDER = Path(__file__).parents[1] / "src/naiad/applications/medical/covid_ct/data/weights"
PHANTOMS, TEST_PHANTOMS = 600, 200
SEED = 20241124


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FOLDER, help="where to write")
    parser.add_argument("--phantoms", type=int, default=PHANTOMS, help="number to train on")
    arguments = parser.parse_args()
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as progress:
        task = progress.add_task("draw", total=None)
        card = train(
            arguments.output,
            phantoms=arguments.phantoms,
            test_phantoms=TEST_PHANTOMS,
            seed=SEED,
            command="python scripts/train_covid_ct_default.py",
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    describe(arguments.output, DEFAULTS["medical/covid_ct/data/weights"])
    Console().print_json(data=dict(card.metrics))


if __name__ == "__main__":
    main()
