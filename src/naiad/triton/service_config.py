"""What a model's configuration says of its service: what is loaded, and within what bounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost
from naiad.core.pipeline import Pipeline, check_service
from naiad.errors import PipelineError
from naiad.runtime.spec import ServiceConfig, Spec, default_instances
from naiad.triton.config import refuse_response_cache

T = TypeVar("T")


def read_service_config(config: Mapping[str, Any], pipeline: str, version: Path) -> ServiceConfig:
    """Read the parameters of a configuration in its JSON form.

    Args:
        config: the configuration.
        pipeline: the pipeline, as :func:`naiad.core.pipeline.load_pipeline` takes it.
        version: the folder of the version, with the weights.

    Raises:
        PipelineError: a parameter cannot be read.
        SchemaError: nothing could be served with what one of them says.
        RepositoryError: the response cache is enabled.
    """
    refuse_response_cache(config)
    parameters = {k: v["string_value"] for k, v in config.get("parameters", {}).items()}
    weights = parameters.get("weights")
    device = parameters.get("device", "cpu")
    found = ServiceConfig(
        spec=Spec(
            pipeline=pipeline,
            weights=str(version / weights) if weights else None,
            device=device,
            threads=int(parameters.get("threads", "1")),
            budget=_parsed(parameters, "budget", lambda budget: dict(Budget(**budget))),
        ),
        instances=int(parameters.get("instances") or default_instances(device)),
        watchdog=float(parameters.get("watchdog", Pipeline.watchdog)),
        queue_capacity=int(parameters.get("queue_capacity", Pipeline.queue_capacity)),
        max_queue_delay=float(parameters.get("max_queue_delay", Pipeline.max_queue_delay)),
        latency_target=_parsed(parameters, "latency_target", float),
        cost=_parsed(parameters, "cost", Cost.from_json),
    )
    check_service(found.watchdog, found.queue_capacity, found.latency_target, found.max_queue_delay)
    return found


def _parsed(parameters: Mapping[str, str], name: str, read: Callable[[Any], T]) -> T | None:
    """A parameter of the model's config that is JSON, or None where there is none."""
    if name not in parameters:
        return None
    try:
        return read(json.loads(parameters[name]))
    except (TypeError, ValueError) as error:
        raise PipelineError(f"config.pbtxt: parameter {name} is wrong: {error}") from None
