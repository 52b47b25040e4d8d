"""Settings: each is declared once, with its default, unit, bounds and help.

:func:`naiad.serve`, :class:`naiad.Server`, :func:`naiad.export`, the options of the command line,
the parameters in ``config.pbtxt`` and the values of the Helm chart are derived from these fields,
by :mod:`naiad.core.fields` and :mod:`naiad.cli.fields`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from naiad.core.fields import setting

ModelControl = Literal["none", "poll", "explicit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """How the requests of a model wait and run. Where one is None the pipeline's own holds."""

    instances: int | None = setting(
        None, "Copies of each model; by default one per core, or one on a GPU.", min=1
    )
    watchdog: float | None = setting(
        None,
        "Time that a worker may take over one batch before it is replaced; by default the "
        "pipeline's.",
        unit="s",
        above=0,
    )
    queue_capacity: int | None = setting(
        None, "Requests that may wait; more are refused. By default the pipeline's.", min=1
    )
    max_queue_delay: float | None = setting(
        None,
        "Time that a free worker may wait for a batch to fill; by default the pipeline's.",
        unit="s",
        min=0,
        former=("max-queue-delay-ms", "ms"),
    )
    latency_target: float | None = setting(
        None,
        "Keep batches smaller where more requests are then answered within this time.",
        unit="s",
        above=0,
        former=("latency-target-ms", "ms"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings(ServiceSettings):
    """What is loaded, where, and how it is served."""

    device: str = setting("cpu", "Where the model runs: cpu, cuda:0, ...")
    weights: Path | None = setting(
        None, "Weights in place of the pipeline's default ones.", metavar="PATH"
    )
    tuning: tuple[Path, ...] = setting(
        (),
        "A file that `naiad tune` wrote for a pipeline; may be repeated, once for each.",
        metavar="FILE",
    )
    settings: Mapping[str, Any] | None = setting(
        None,
        "Value for a setting of the pipeline's own, such as threshold=0.7; may be repeated. JSON "
        "where the setting is no text.",
        flag="set",
        metavar="NAME=VALUE",
    )


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where Triton's files are, and the Python of a repository's own ``model.py``."""

    engine: Path | None = setting(
        None,
        "A Triton that is installed: the folder with its bin/ and backends/; by default that of "
        "NAIAD_ENGINE, or /opt/tritonserver, or the one that Naiad fetches.",
        metavar="DIR",
    )
    python_environment: Path | None = setting(
        None,
        "Where a repository's own model.py runs, as `naiad engine python-environment` makes it; by "
        "default that of NAIAD_PYTHON_ENVIRONMENT, or this Python.",
        metavar="DIR",
    )


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Who may ask, by what transport, and how much."""

    port: int | None = setting(
        None,
        "One more port for HTTP and gRPC alike, such as 8443; the other two take both as well.",
    )
    socket: Path | None = setting(
        None, "Listen on this Unix socket, and on no port; clients take unix:PATH.", metavar="PATH"
    )
    socket_mode: int = setting(
        0o600, "Permissions of the socket, in octal.", metavar="MODE", unit="octal"
    )
    tls_cert: Path | None = setting(
        None,
        "PEM file of the server's certificate chain; read again when it changes.",
        metavar="FILE",
    )
    tls_key: Path | None = setting(None, "PEM file of the certificate's key.", metavar="FILE")
    tls_client_ca: Path | None = setting(
        None,
        "PEM file of the authorities whose client certificates are asked for.",
        metavar="FILE",
    )
    api_keys: Path | None = setting(
        None,
        "API keys, as `naiad gate key add` keeps them; read again when it changes.",
        metavar="FILE",
    )
    jwt_issuer: str = setting("", "Take JSON Web Tokens of this issuer (iss).", metavar="ISS")
    jwt_jwks: str = setting("", "The issuer's public keys (JWKS).", metavar="FILE|URL")
    jwt_audience: str = setting("", "The audience (aud) that a token must name.", metavar="AUD")
    insecure: bool = setting(False, "Let everybody in who reaches the port, and read along.")
    max_request_mb: int = setting(256, "Largest request, decompressed.", metavar="MB")
    max_connections: int = setting(1000, "Most connections at a time.")
    cors: tuple[str, ...] = setting(
        (),
        "An origin whose pages may ask, as https://app.example.org; may be repeated.",
        metavar="ORIGIN",
    )
    grpc_web: bool = setting(False, "Translate gRPC-Web, for browsers.")
    access_log: Path | None = setting(
        None,
        "Append a JSON line per request: who, model, status, bytes, time.",
        metavar="FILE",
    )
    otlp: str = setting(
        "", "Send traces to this OpenTelemetry collector (gRPC).", metavar="HOST:PORT"
    )

    @property
    def has_credentials(self) -> bool:
        """Whether a request needs a credential: an API key, a token or a client certificate."""
        return bool(self.api_keys or self.jwt_issuer or self.tls_client_ca)


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a server is watched and restarted."""

    interval: float = setting(
        5.0, "Time between the probes of a model.", unit="s", above=0, flag="probe-interval"
    )
    deadline: float = setting(
        10.0,
        "Time that a model has to answer its example.",
        unit="s",
        above=0,
        flag="probe-deadline",
    )
    # The runtime replaces a worker that hangs after 120 s.
    silence: float = setting(
        150.0, "Restart the server after this time without any answer.", unit="s", above=0
    )
    failed_starts: int = setting(
        5, "Starts in a row that may fail before the server is given up.", min=1
    )
    window: float = setting(
        600.0,
        "Time after which a restart no longer lengthens the pauses.",
        unit="s",
        min=0,
        flag="restart-window",
    )
    first_pause: float = setting(
        1.0,
        "Pause before the second restart within the window, doubled for each further one.",
        unit="s",
        min=0,
    )
    longest_pause: float = setting(10.0, "Longest pause before a restart.", unit="s", min=0)
    unloading: float = setting(
        180.0,
        "Time that a model may take to be unloaded; the server is then restarted, in-flight "
        "requests answered.",
        unit="s",
        above=0,
        flag="unloading-timeout",
    )
    memory_limit: int | None = setting(
        None,
        "Restart the server, in-flight requests answered, when its processes occupy this much; by "
        "default 90% of what the machine or container has.",
        unit="bytes",
        min=1,
        former=("memory-limit-mb", "MB"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Where a server listens, what it may do, and how it is watched."""

    http_port: int | None = setting(8000, "KServe v2 over HTTP; 0: a free port.", min=0, max=65535)
    grpc_port: int | None = setting(8001, "KServe v2 over gRPC; 0: a free port.", min=0, max=65535)
    metrics_port: int | None = setting(
        8002, "Prometheus metrics; 0: a free port.", min=0, max=65535
    )
    health_port: int | None = setting(
        None,
        "/livez and /readyz, for Kubernetes; 0: a free port. With it the server is probed, and "
        "restarted when it dies.",
        min=0,
        max=65535,
        typed=8003,
    )
    host: str = setting(
        "127.0.0.1",
        "Address to listen on. Beyond loopback (0.0.0.0: all networks) the gate stands in front, "
        "and asks for credentials.",
    )
    metrics_host: str = setting("", "Address of the metrics; by default loopback.")
    health_host: str = setting("", "Address of the health port; by default loopback.")
    log_dir: Path | None = setting(
        None,
        "Where Triton's log goes; by default a temporary file, kept on failure.",
        metavar="DIR",
    )
    start_timeout: float = setting(
        300.0, "Time until every model must be ready.", unit="s", above=0
    )
    exit_timeout: int = setting(
        8, "Time that requests in flight have to finish when the server stops.", unit="s", min=0
    )
    model_control: ModelControl = setting(
        "none",
        "Models change never (none), as their files do (poll), or as `naiad load` and `naiad "
        "unload` say (explicit).",
        flag="model-control-mode",
    )
    load: tuple[str, ...] | None = setting(
        None,
        "With model control explicit: a model of the repository to load at the start, or '*'; may "
        "be repeated.",
        metavar="NAME",
    )
    poll_seconds: int = setting(
        15, "With model control poll: time between two looks at the files.", unit="s", min=1
    )
    response_cache: int = setting(
        0,
        "Memory for the answers of models with response_cache in their configuration.",
        unit="bytes",
        min=0,
        bare="MiB",
    )
    arguments: tuple[str, ...] = setting(
        (),
        "A further option of tritonserver, as --triton-option=--rate-limit=off; may be repeated.",
        flag="triton-option",
        metavar="OPTION",
    )
    backend_directory: Path | None = setting(
        None,
        "Triton backends of your own, preferred to Naiad's pytorch and onnxruntime.",
        metavar="DIR",
    )
    engine: EngineSettings = setting(
        EngineSettings(), "Which Triton, and the Python of a model.py.", panel="The engine"
    )
    gate: GateSettings | None = setting(
        None,
        "Put the gate (Envoy) in front on loopback too; implied by its options.",
        panel="The gate",
        flag="gate",
    )
    supervision: Supervision | None = setting(
        None, "How the server is probed and restarted.", panel="Supervision"
    )


class ModelOptions(TypedDict, total=False):
    """The fields of :class:`ModelSettings` as keywords, for type checkers."""

    instances: int | None
    watchdog: float | None
    queue_capacity: int | None
    max_queue_delay: float | None
    latency_target: float | None
    device: str
    weights: Path | str | None
    tuning: Path | str | Sequence[Path | str] | None
    settings: Mapping[str, Any] | None


class ServerOptions(TypedDict, total=False):
    """The fields of :class:`ServeSettings` as keywords, for type checkers."""

    http_port: int | None
    grpc_port: int | None
    metrics_port: int | None
    health_port: int | None
    host: str
    metrics_host: str
    health_host: str
    log_dir: Path | str | None
    start_timeout: float
    exit_timeout: int
    model_control: str
    load: Sequence[str] | None
    poll_seconds: int
    response_cache: int
    arguments: Sequence[str]
    backend_directory: Path | str | None
    engine: EngineSettings | None
    gate: GateSettings | None
    supervision: Supervision | None


class ServeOptions(ServerOptions, ModelOptions, total=False):
    """The keywords of :func:`naiad.serve`, for type checkers."""
