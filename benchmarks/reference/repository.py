"""The reference as a model repository: one model per setting."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from naiad.core.pipeline import load_pipeline
from naiad.triton.config import model_config, write_config

AS_RUN = "as_run"
"""As people run it: training mode, gradients, torch's own number of threads, one instance."""

TUNED = "tuned"
"""The best simple settings: no gradients, frozen garbage, one thread, an instance per core."""

_HERE = Path(__file__).parent


def write_repository(
    directory: Path, network: str, weights: Path, *, instances: int | None = None
) -> dict[str, str]:
    """Write a model of ``network`` for each setting; return their names.

    Args:
        directory: the repository.
        network: Naiad's name of the same, ``nugraph2`` or ``nugraph3``.
        weights: as Naiad has them.
        instances: the number of copies of the tuned one, by default one per core.
    """
    names: dict[str, str] = {}
    copies = {AS_RUN: 1, TUNED: instances or len(os.sched_getaffinity(0))}
    for setting, number in copies.items():
        names[setting] = name = f"{network}_{setting}"
        parameters = {
            "source": str(_HERE.parents[1]),
            "weights": str(weights),
            "network": network,
            "tuned": str(setting == TUNED).lower(),
        }
        # The wire contract of the pipeline, without outputs that the original does not have.
        config = model_config(load_pipeline(network), parameters, name=name)
        config.backend = "python"
        kept = [output for output in config.output if output.name != "unknown_hits"]
        del config.output[:]
        config.output.extend(kept)
        config.instance_group[0].count = number
        version = directory / name / "1"
        version.mkdir(parents=True)
        write_config(config, version.parent / "config.pbtxt")
        shutil.copyfile(_HERE / "model.py", version / "model.py")
    return names
