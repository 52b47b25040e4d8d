"""``tuning.json``: the result of `naiad tune` on a machine, for ``serve`` and ``export``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost
from naiad.core.settings import Runtime
from naiad.errors import InvalidInput, SchemaError
from naiad.typed_json import decode

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Tuning:
    """The best way to serve one pipeline on one machine.

    Attributes:
        pipeline: the pipeline's name.
        device: the measured device: ``"cpu"``, ``"cuda:0"``, ...
        budget: maximum content of a batch.
        instances: copies of the model.
        threads: intra-op threads of each.
        latency_target: seconds within which requests should be answered, if given.
        cost: seconds of a batch by its sizes.
        study: the measurements, for people; any JSON.
        runtime: library that ran the network fastest, or None for that of its file.
    """

    pipeline: str
    device: str
    budget: Budget
    instances: Annotated[int, msgspec.Meta(ge=1)]
    threads: Annotated[int, msgspec.Meta(ge=1)]
    latency_target: float | None
    cost: Cost
    study: Mapping[str, Any]
    runtime: Runtime | None = None

    def to_json(self) -> str:
        """Return the text of ``tuning.json``."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, default=dict) + "\n"


def read_tuning(path: Path, pipeline: str, device: str) -> Tuning:
    """Read the tuning of a pipeline on a kind of device.

    Raises:
        InvalidInput: the file cannot be used, or is of another pipeline or device.
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
    """Read a ``tuning.json`` of any pipeline.

    Raises:
        InvalidInput: the file cannot be read, or `naiad tune` did not write it.
    """
    try:
        return decode(path.read_text("utf-8"), Tuning, version=FORMAT)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, SchemaError, InvalidInput) as error:
        raise InvalidInput(
            f"{path} cannot be used: {error}; write it again with `naiad tune`"
        ) from None
