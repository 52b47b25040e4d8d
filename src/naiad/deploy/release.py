"""A release of Naiad in a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import Field, dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from naiad import __version__
from naiad.core.fields import choices, like, option_name, setting
from naiad.core.settings import Runtime, ServeSettings, ServiceSettings, Supervision, UiSettings

_SERVER = ("start_timeout", "model_control", "poll_seconds", "response_cache")
"""Settings of a server that are free in a pod; the chart sets addresses and access."""


@dataclass(frozen=True, slots=True)
class Release:
    """Settings of a release.

    ``pipelines`` are built-in names, or ``package.module:Class`` if the image has it.
    """

    name: str = setting("naiad", "Name of the release and its resources.")
    image: str = setting(
        f"naiad:{__version__}",
        "Image to run, built by deploy/Dockerfile.",
        metavar="REPOSITORY:TAG",
    )
    pipelines: Sequence[str] = ()
    repository: str = setting(
        "",
        "Model repository: pvc://CLAIM/PATH, s3://BUCKET/PREFIX, or oci://IMAGE with the folder "
        "/models.",
        metavar="URI",
    )
    instances: int = like(
        ServiceSettings, "instances", default=2, help="Copies of each model in a pod."
    )
    replicas: int = setting(2, "Minimum number of pods.", min=1)
    max_replicas: int | None = setting(
        None, "Maximum number of pods; more than --replicas turns autoscaling on.", min=1
    )
    autoscaling: Literal["keda", "hpa"] = setting(
        "keda", "Autoscaler: KEDA, or an HPA with the Prometheus adapter."
    )
    queue_milliseconds: int = setting(
        50,
        "Time in the queue above which to add pods, which 90% of requests must stay below.",
        flag="queue-ms",
        metavar="MS",
        min=1,
    )
    prometheus: str = setting(
        "",
        "Prometheus that KEDA queries; by default the operator's in the namespace monitoring.",
        metavar="URL",
    )
    gpus: int = setting(0, "GPUs per pod.", min=0)
    service_monitor: bool = setting(False, "Let the Prometheus operator scrape metrics.")
    ui: bool = setting(
        False, "Also serve the page in the browser, and the tasks over HTTP, at the HTTP port."
    )
    kserve: bool = setting(False, "Write a KServe InferenceService and ServingRuntime.")
    threads: int | None = like(ServiceSettings, "threads")
    watchdog: float | None = like(ServiceSettings, "watchdog")
    queue_capacity: int | None = like(ServiceSettings, "queue_capacity")
    max_queue_delay: float | None = like(ServiceSettings, "max_queue_delay", former=None)
    latency_target: float | None = like(ServiceSettings, "latency_target", former=None)
    runtime: Runtime | None = like(ServiceSettings, "runtime")

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the service, as the value ``settings`` of the chart."""
        return {_key(one): value for one, value in self._service()}

    @property
    def options(self) -> list[str]:
        """Settings of the service, as options of ``naiad serve``."""
        return [f"{option_name(one)}={value}" for one, value in self._service()]

    def _service(self) -> Iterator[tuple[Field[Any], Any]]:
        values = ((one, getattr(self, one.name)) for one, _ in _service())
        return ((one, value) for one, value in values if value is not None)


def value_schema() -> dict[str, Any]:
    """Return the JSON schema of the chart's values that are settings of Naiad."""
    kinds = {
        one.name: one
        for one in (*fields(ServiceSettings), *fields(ServeSettings), *fields(UiSettings))
    }
    settings = {_key(one): _schema(one, hint) for one, hint in (*_service(), *_served())}
    return {
        "instances": _schema(kinds["instances"], int),
        "exitTimeout": _schema(kinds["exit_timeout"], int, unit=False),
        "settings": _object(settings),
        "ui": _object(
            {
                "enabled": {"type": "boolean"},
                "maxUploadMb": _schema(kinds["max_upload_mb"], int),
            }
        ),
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _service() -> Iterator[tuple[Field[Any], Any]]:
    hints = get_type_hints(ServiceSettings)
    return ((f, hints[f.name]) for f in fields(ServiceSettings) if f.name != "instances")


def _served() -> Iterator[tuple[Field[Any], Any]]:
    hints = get_type_hints(ServeSettings) | get_type_hints(Supervision)
    found = (f for f in fields(ServeSettings) if f.name in _SERVER)
    return ((f, hints[f.name]) for f in (*found, *fields(Supervision)))


def _schema(one: Field[Any], hint: Any, *, unit: bool = True) -> dict[str, Any]:
    about = one.metadata
    schema: dict[str, Any] = {"description": about["help"]}
    if options := choices(hint):
        return schema | {"enum": [*options]}
    whole = int in (hint, *get_args(hint))
    schema["type"] = "integer" if whole else "number"
    if unit and "unit" in about:  # 50ms, or 64MB
        schema["type"] = [schema["type"], "string"]
    bounds = {"min": "minimum", "max": "maximum", "above": "exclusiveMinimum"}
    return schema | {bounds[name]: about[name] for name in bounds if name in about}


def _key(one: Field[Any]) -> str:
    first, *others = option_name(one)[2:].split("-")
    return first + "".join(map(str.capitalize, others))
