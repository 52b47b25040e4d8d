"""The service of a model, from its configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost
from naiad.core.fields import check, from_parameters
from naiad.core.pipeline import Pipeline, service_of
from naiad.core.settings import ServiceSettings
from naiad.errors import PipelineError, SchemaError
from naiad.runtime.spec import ServiceConfig, Spec
from naiad.triton.config import refuse_response_cache

T = TypeVar("T")


def read_service_config(
    config: Mapping[str, Any], pipeline: str, version: Path, workers: int
) -> ServiceConfig:
    """Read the parameters of a configuration in its JSON form.

    Args:
        config: the configuration.
        pipeline: the pipeline's spec for :func:`naiad.core.pipeline.load_pipeline`.
        version: the folder of the version, which has the weights.
        workers: their number, counted by the native backend.

    Raises:
        PipelineError: a parameter is malformed.
        SchemaError: a parameter has an invalid value.
        RepositoryError: the response cache is enabled.
    """
    refuse_response_cache(config)
    parameters = {k: v["string_value"] for k, v in config.get("parameters", {}).items()}
    weights = parameters.get("weights")
    device = parameters.get("device", "cpu")
    try:
        said = from_parameters(ServiceSettings, parameters)
    except ValueError as error:
        raise PipelineError(f"config.pbtxt: {error}") from None
    service = service_of(Pipeline, said)
    check(service, SchemaError)
    return ServiceConfig(
        spec=Spec(
            pipeline=pipeline,
            weights=str(version / weights) if weights else None,
            device=device,
            threads=service.threads or 1,
            budget=_parsed(parameters, "budget", lambda budget: dict(Budget(**budget))),
            settings=_parsed(parameters, "settings", dict),
            runtime=service.runtime,
        ),
        service=service,
        workers=workers,
        cost=_parsed(parameters, "cost", Cost.from_json),
    )


def _parsed(parameters: Mapping[str, str], name: str, read: Callable[[Any], T]) -> T | None:
    """Return a JSON parameter of the model's config, or None if missing."""
    if name not in parameters:
        return None
    try:
        return read(json.loads(parameters[name]))
    except (TypeError, ValueError) as error:
        raise PipelineError(f"config.pbtxt: parameter {name} is invalid: {error}") from None
