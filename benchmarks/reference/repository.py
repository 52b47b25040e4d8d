"""The reference as a model repository: one model per setting."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from naiad.applications.nugraph.pipeline import NuGraph3
from naiad.triton.config import model_config, write_config

AS_RUN = "nugraph3_as_run"
"""As people run it: training mode, gradients, torch's own number of threads, one instance."""

TUNED = "nugraph3_tuned"
"""The best simple settings: no gradients, frozen garbage, one thread, an instance per core."""

_HERE = Path(__file__).parent


def write_repository(directory: Path, weights: Path, *, instances: int | None = None) -> Path:
    """Write both models, with ``weights`` as Naiad has them; return ``directory``.

    ``instances`` is the number of copies of the tuned one, by default one per core.
    """
    copies = {AS_RUN: 1, TUNED: instances or len(os.sched_getaffinity(0))}
    for name, number in copies.items():
        parameters = {
            "source": str(_HERE.parents[1]),
            "weights": str(weights),
            "tuned": str(name == TUNED).lower(),
        }
        # The wire contract of the pipeline, without outputs that the original does not have.
        config = model_config(NuGraph3, parameters, name=name)
        config.backend = "python"
        kept = [output for output in config.output if output.name != "unknown_hits"]
        del config.output[:]
        config.output.extend(kept)
        config.instance_group[0].count = number
        version = directory / name / "1"
        version.mkdir(parents=True)
        write_config(config, version.parent / "config.pbtxt")
        shutil.copyfile(_HERE / "model.py", version / "model.py")
    return directory
