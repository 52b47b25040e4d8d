"""The ``monai_covid`` model: NIfTI files in, positive or negative out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from naiad import artifacts, torch_model
from naiad.applications.medical.covid_ct.schema import (
    FOREIGN,
    INPUTS,
    MAX_VOLUMES,
    NEGATIVE,
    OUTPUTS,
    POSITIVE,
    SHAPE,
    THRESHOLD,
    TOGETHER,
    as_request,
)
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import Array, Arrays, Tensor
from naiad.core.settings import RUNTIMES
from naiad.errors import PipelineError
from naiad.networks.opening import open_module

ARTIFACT = "covid_ct"
"""The public weights, served by default if they were downloaded."""


class CovidCt(Pipeline):
    """Detection of COVID-19 on chest CT, by the network of MONAI's tutorial or a similar one."""

    name = "monai_covid"
    inputs = INPUTS
    sample = {
        "volumes": Tensor("float32", ("volumes", *SHAPE), doc="0 to 1, cropped", counts="voxels")
    }
    result = {"PROBABILITY": Tensor("float32", ("volumes",))}
    outputs = OUTPUTS
    # A worker holds the files of a batch, one unpacked volume, and the prepared ones.
    budget = Budget(volumes=MAX_VOLUMES, bytes=256 << 20, voxels=TOGETHER * math.prod(SHAPE))
    limit = Budget(volumes=MAX_VOLUMES, bytes=2 << 30)
    arrays = "numpy"
    runtimes = RUNTIMES
    merges = True  # tested; comparing at each start would take seconds
    waiting = Budget(bytes=4 << 30)  # files wait as they were sent
    weights = "data/weights"
    watchdog = 600.0  # twelve volumes take a minute on one slow core

    def __init__(self, weights: Path | None = None) -> None:
        """Serve ``weights``, else the public ones if they were downloaded, else Naiad's own."""
        super().__init__(weights or artifacts.path_if_present(ARTIFACT))

    def metadata(self) -> Mapping[str, str]:
        """Return the notice of the weights."""
        assert self.weights_path is not None
        return {"notice": torch_model.read(self.weights_path, foreign=FOREIGN).notice}

    def setup(self, device: str) -> None:
        """Load network and preparation."""
        from naiad.applications.medical.covid_ct.model import ChestNet
        from naiad.applications.medical.covid_ct.volumes import prepare

        assert self.weights_path is not None
        self._prepare = prepare
        self._network = open_module(
            torch_model.load(self.weights_path, ChestNet, device),
            _examples(),
            device,
            runtime=self.runtime,
        )

    def prepare(self, request: Request) -> Arrays:
        """Decode the volumes of a request one by one."""
        files = request["INPUT0"][:, 0]
        volumes = np.empty((len(files), *SHAPE), np.float32)
        for number, data in enumerate(files):
            volumes[number] = self._prepare(data, f"INPUT0[{number}, 0]")
        return {"volumes": volumes}

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Classify the volumes of a batch, a few at a time."""
        volumes = batch["volumes"]
        logits = [np.zeros(0, np.float32)]
        for part in np.split(volumes, range(TOGETHER, len(volumes), TOGETHER)):
            found = self._network(part[:, None])[0] if len(part) else np.zeros(0, np.float32)
            if found.size != len(part):
                raise PipelineError(
                    f"the network returns {list(found.shape)} for {len(part)} volumes; it must "
                    "return one logit for each"
                )
            logits.append(found.reshape(-1))
        together = np.concatenate(logits).astype(np.float32)
        if not np.isfinite(together).all():
            raise PipelineError("the network's logits are not finite")
        with np.errstate(over="ignore"):
            return {"PROBABILITY": 1 / (1 + np.exp(-together))}

    def finish(self, result: Arrays) -> Arrays:
        """Return the labels in the words of the tutorial's server."""
        probability = result["PROBABILITY"]
        words = np.array([NEGATIVE.encode(), POSITIVE.encode()], object)
        return {
            "OUTPUT0": words[(probability >= THRESHOLD).astype(int)],
            "PROBABILITY": probability,
        }

    def example(self) -> dict[str, Array]:
        """Return a phantom without opacities."""
        from naiad.applications.medical.covid_ct.phantoms import draw, encode

        return as_request([encode(draw(np.random.default_rng(0), opacities=False))])


def _examples() -> Iterator[list[Array]]:
    """Yield batches to compare the network's conversions with it."""
    random = np.random.default_rng(0)
    for volumes in (1, 2):
        yield [random.random((volumes, 1, *SHAPE), np.float32)]
