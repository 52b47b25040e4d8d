"""``tuning.json``: what `naiad tune` found on a machine, for ``serve`` and ``export`` to apply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost
from naiad.errors import InvalidInput, SchemaError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Tuning:
    """How one pipeline is best served on one machine.

    Attributes:
        pipeline: the pipeline's name.
        device: what was measured: ``"cpu"``, ``"cuda:0"``, ...
        budget: how much one batch may hold.
        instances: copies of the model.
        threads: intra-op threads of each.
        cost: seconds of a batch by its sizes.
        latency_target: seconds within which requests should be answered, if that was asked for.
        study: what was measured, for people; any JSON.
    """

    pipeline: str
    device: str
    budget: Budget
    instances: int
    threads: int
    cost: Cost
    latency_target: float | None
    study: Mapping[str, Any]

    def to_json(self) -> str:
        """As ``tuning.json`` has it."""
        data = {
            "format": FORMAT,
            "pipeline": self.pipeline,
            "device": self.device,
            "budget": dict(self.budget),
            "instances": self.instances,
            "threads": self.threads,
            "latency_target": self.latency_target,
            "cost": self.cost.to_json(),
            "study": self.study,
        }
        return json.dumps(data, indent=2) + "\n"


def read_tuning(path: Path, pipeline: str, device: str) -> Tuning:
    """What ``naiad tune`` wrote for this pipeline on this kind of device.

    Raises:
        InvalidInput: no such file, it is something else, or it is about another pipeline or
            device; says which.
    """
    tuning = parse_tuning(path)
    command = f"naiad tune {pipeline}" + ("" if device == "cpu" else f" --device {device}")
    for what, found, wanted in (
        ("model", tuning.pipeline, pipeline),
        ("device", tuning.device.partition(":")[0], device.partition(":")[0]),
    ):
        if found != wanted:
            raise InvalidInput(
                f"{path} is a tuning of {what} {found}, not of {wanted}; make one with: {command}"
            )
    return tuning


def parse_tuning(path: Path) -> Tuning:
    """Read a ``tuning.json``, whatever pipeline it is of.

    Raises:
        InvalidInput: no such file, or it is something else.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["format"] != FORMAT:
            raise InvalidInput(
                f"{path} has format {data['format']!r}; this Naiad reads {FORMAT}: tune again"
            )
        target = data["latency_target"]
        tuning = Tuning(
            pipeline=str(data["pipeline"]),
            device=str(data["device"]),
            budget=Budget(**{str(dim): int(size) for dim, size in data["budget"].items()}),
            instances=int(data["instances"]),
            threads=int(data["threads"]),
            cost=Cost.from_json(data["cost"]),
            latency_target=None if target is None else float(target),
            study=data["study"],
        )
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    except (AttributeError, KeyError, TypeError, ValueError, SchemaError) as error:
        raise InvalidInput(f"{path} is no file that `naiad tune` wrote: {error!r}") from None
    if min(tuning.instances, tuning.threads) < 1:
        raise InvalidInput(f"{path}: instances and threads must be at least 1")
    return tuning
