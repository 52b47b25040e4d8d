"""The models of a server's repositories: their kind, state and work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naiad.client import Client, ModelInfo
from naiad.errors import NaiadError
from naiad.triton.config import PIPELINE_PARAMETER


@dataclass(frozen=True, slots=True)
class Work:
    """Work of a model since it was loaded.

    Attributes:
        requests: number of answered requests.
        errors: number of those answered with an error.
        batches: number of runs of the model.
        batch_size: mean requests per run; rows, if requests have a batch dimension.
        queue: mean seconds that a request waited for its run.
    """

    requests: int
    errors: int
    batches: int
    batch_size: float
    queue: float


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model.

    Attributes:
        name: the model's name.
        versions: the state of each: READY, LOADING, UNLOADING, UNAVAILABLE, or "" if it was never
            loaded.
        reason: why the model or a version did not load, or "".
        backend: such as ``onnxruntime``; "" if not loaded.
        instances: number of instances; None if the serving machine decides.
        work: None if unknown.
    """

    name: str
    versions: Mapping[str, str]
    reason: str = ""
    backend: str = ""
    instances: int | None = None
    work: Work | None = None

    @property
    def state(self) -> str:
        """State of the version that clients get, or that is closest to ready."""
        states = set(self.versions.values())
        ranked = ("READY", "LOADING", "UNLOADING", "UNAVAILABLE")
        return next((state for state in ranked if state in states), "NOT LOADED")


def take_inventory(client: Client) -> list[ModelEntry]:
    """Return all models of the server, by name.

    Raises:
        NaiadError: the server does not answer.
    """
    by_name: dict[str, list[ModelInfo]] = {}
    for model in client.models():
        by_name.setdefault(model.name, []).append(model)
    return [_entry(client, name, by_name[name]) for name in sorted(by_name)]


def _entry(client: Client, name: str, infos: Sequence[ModelInfo]) -> ModelEntry:
    versions = {info.version: info.state for info in infos if info.version}
    reason = next((i.reason for i in infos if i.reason not in ("", "unloaded")), "")
    what, _, _ = reason.partition("\n")
    entry = ModelEntry(name, versions, what)
    if not any(info.ready for info in infos):
        return entry
    try:
        config = client.config(name)
        work = _work(client.statistics(name))
    except NaiadError:  # just unloaded
        return entry
    return ModelEntry(
        name,
        versions,
        what,
        backend=config.get("backend") or config.get("platform", ""),
        instances=_instances(config),
        work=work,
    )


def _instances(config: Mapping[str, Any]) -> int | None:
    parameters = config.get("parameters", {})
    if PIPELINE_PARAMETER in parameters:
        given = parameters.get("instances", {}).get("string_value")
        return int(given) if given else None
    groups = config.get("instance_group", [])
    return sum(group.get("count", 1) * max(1, len(group.get("gpus", []))) for group in groups)


def _work(statistics: Mapping[str, Any]) -> Work:
    stats = statistics["model_stats"]
    successes = sum(_count(s, "success", "count") for s in stats)
    failures = sum(_count(s, "fail", "count") for s in stats)
    batches = sum(int(s.get("execution_count", 0)) for s in stats)
    rows = sum(int(s.get("inference_count", 0)) for s in stats)
    waited = sum(_count(s, "queue", "count") for s in stats)
    return Work(
        requests=successes + failures,
        errors=failures,
        batches=batches,
        batch_size=rows / max(1, batches),
        queue=sum(_count(s, "queue", "ns") for s in stats) / max(1, waited) / 1e9,
    )


def _count(statistics: Mapping[str, Any], what: str, unit: str) -> int:
    return int(statistics.get("inference_stats", {}).get(what, {}).get(unit, 0))
