"""Settings, each declared once with its default, unit, bounds and help.

:func:`naiad.serve`, :class:`naiad.Server`, :func:`naiad.export`, the options of the command line,
the parameters in ``config.pbtxt`` and the values of the Helm chart are derived from these fields,
by :mod:`naiad.core.fields` and :mod:`naiad.cli.fields`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from naiad.core.fields import setting

ModelControl = Literal["none", "poll", "explicit"]
Runtime = Literal["torch", "onnxruntime", "openvino"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Queueing and execution of a model's requests; None keeps the pipeline's own value."""

    instances: int | None = setting(
        None, "Copies of each model; by default one per core, or one on a GPU.", min=1
    )
    threads: int | None = setting(
        None,
        "Threads of each copy; by default one, and for a long batch also cores that would idle.",
        min=1,
    )
    watchdog: float | None = setting(
        None,
        "Maximum time for one batch before its worker is replaced; by default the pipeline's.",
        unit="s",
        above=0,
    )
    queue_capacity: int | None = setting(
        None, "Maximum number of queued requests; by default the pipeline's.", min=1
    )
    max_queue_delay: float | None = setting(
        None,
        "Maximum time a free worker waits for a batch to fill; by default the pipeline's.",
        unit="s",
        min=0,
        former=("max-queue-delay-ms", "ms"),
    )
    latency_target: float | None = setting(
        None,
        "Keep batches smaller if more requests then meet this latency.",
        unit="s",
        above=0,
        former=("latency-target-ms", "ms"),
    )
    runtime: Runtime | None = setting(
        None,
        "Library that runs the model's network; by default the tuning's, or the file's own.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings(ServiceSettings):
    """A model's device, weights, tuning and settings, and how it is served."""

    device: str = setting("cpu", "Device to run the model on: cpu, cuda:0, ...")
    weights: Path | None = setting(
        None, "Weights to use instead of the pipeline's default.", metavar="PATH"
    )
    example: Path | None = setting(
        None,
        "Serve a PyTorch Geometric network, FILE.py:CLASS, with this example of its graphs: a Data "
        "or HeteroData that torch.save wrote.",
        metavar="FILE",
    )
    tuning: tuple[Path, ...] = setting(
        (),
        "Tuning file written by `naiad tune`; may be repeated, once per pipeline.",
        metavar="FILE",
    )
    settings: Mapping[str, Any] | None = setting(
        None,
        "Value for one of the pipeline's own settings, such as threshold=0.7; may be repeated. "
        "JSON unless the setting is text.",
        flag="set",
        metavar="NAME=VALUE",
    )


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The Triton to run, and the Python for a repository's own ``model.py``."""

    engine: Path | None = setting(
        None,
        "An installed Triton: the folder with its bin/ and backends/. By default NAIAD_ENGINE, "
        "/opt/tritonserver, or the one that Naiad downloads.",
        metavar="DIR",
    )
    python_environment: Path | None = setting(
        None,
        "Python environment for a repository's own model.py, made by `naiad engine "
        "python-environment`. By default NAIAD_PYTHON_ENVIRONMENT, or this Python.",
        metavar="DIR",
    )


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Transports, credentials and limits for clients."""

    port: int | None = setting(
        None,
        "Additional port for both HTTP and gRPC, such as 8443; the other two accept both as well.",
    )
    socket: Path | None = setting(
        None, "Listen on this Unix socket, not on ports; clients use unix:PATH.", metavar="PATH"
    )
    socket_mode: int = setting(
        0o600, "Permissions of the socket, in octal.", metavar="MODE", unit="octal"
    )
    tls_cert: Path | None = setting(
        None,
        "PEM file with the server's certificate chain; reloaded when it changes.",
        metavar="FILE",
    )
    tls_key: Path | None = setting(None, "PEM file with the certificate's key.", metavar="FILE")
    tls_client_ca: Path | None = setting(
        None,
        "Require client certificates issued by an authority in this PEM file.",
        metavar="FILE",
    )
    api_keys: Path | None = setting(
        None,
        "File of API keys, managed by `naiad gate key add`; reloaded when it changes.",
        metavar="FILE",
    )
    jwt_issuer: str = setting("", "Accept JSON Web Tokens from this issuer (iss).", metavar="ISS")
    jwt_jwks: str = setting("", "Issuer's public keys (JWKS).", metavar="FILE|URL")
    jwt_audience: str = setting("", "Audience (aud) that a token must name.", metavar="AUD")
    insecure: bool = setting(False, "Allow access without credentials or encryption.")
    max_request_mb: int = setting(256, "Maximum size of a request, decompressed.", metavar="MB")
    max_connections: int = setting(1000, "Maximum number of concurrent connections.")
    cors: tuple[str, ...] = setting(
        (),
        "Allow web pages of this origin, such as https://app.example.org; may be repeated.",
        metavar="ORIGIN",
    )
    grpc_web: bool = setting(False, "Translate gRPC-Web, for browsers.")
    access_log: Path | None = setting(
        None,
        "Append one JSON line per request: client, model, status, bytes, time.",
        metavar="FILE",
    )

    @property
    def has_credentials(self) -> bool:
        """True if requests need a credential: an API key, a token or a client certificate."""
        return bool(self.api_keys or self.jwt_issuer or self.tls_client_ca)


@dataclass(frozen=True, slots=True)
class UiSettings:
    """The page in the browser, and the tasks over HTTP."""

    ui_port: int = setting(
        7860,
        "Port of the page, on loopback; 0: any free port. Behind a gate it is at /ui of the "
        "gate's ports instead.",
        min=0,
        max=65535,
    )
    max_upload_mb: int = setting(
        256, "Maximum size of a request with files.", metavar="MB", min=1, max=4000
    )


@dataclass(frozen=True, slots=True)
class Supervision:
    """Probing and automatic restarts of a server."""

    interval: float = setting(
        5.0, "Time between probes of a model.", unit="s", above=0, flag="probe-interval"
    )
    deadline: float = setting(
        10.0,
        "Maximum time for a model to answer its example.",
        unit="s",
        above=0,
        flag="probe-deadline",
    )
    # The runtime replaces a worker that hangs after 120 s.
    silence: float = setting(
        150.0, "Restart the server after this long without any answer.", unit="s", above=0
    )
    failed_starts: int = setting(
        5, "Number of consecutive failed starts after which to give up.", min=1
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
        "Pause before the second restart within the window; doubled for each further one.",
        unit="s",
        min=0,
    )
    longest_pause: float = setting(10.0, "Maximum pause before a restart.", unit="s", min=0)
    unloading: float = setting(
        180.0,
        "Maximum time for a model to unload; after it the server finishes in-flight requests and "
        "restarts.",
        unit="s",
        above=0,
        flag="unloading-timeout",
    )
    memory_limit: int | None = setting(
        None,
        "Finish in-flight requests and restart the server when its processes use this much memory; "
        "by default 90% of the machine's or container's.",
        unit="bytes",
        min=1,
        former=("memory-limit-mb", "MB"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Addresses, logs, model control and supervision of a server."""

    http_port: int | None = setting(
        8000, "Port for KServe v2 over HTTP; 0: any free port.", min=0, max=65535
    )
    grpc_port: int | None = setting(
        8001, "Port for KServe v2 over gRPC; 0: any free port.", min=0, max=65535
    )
    metrics_port: int | None = setting(
        8002, "Port for Prometheus metrics; 0: any free port.", min=0, max=65535
    )
    health_port: int | None = setting(
        None,
        "Port for /livez and /readyz, for Kubernetes; 0: any free port. Turns on probing and "
        "automatic restarts.",
        min=0,
        max=65535,
        typed=8003,
    )
    host: str = setting(
        "127.0.0.1",
        "Address to listen on. Beyond loopback (0.0.0.0: all networks) the gate stands in front "
        "and requires credentials.",
    )
    metrics_host: str = setting("", "Address of the metrics port; by default loopback.")
    health_host: str = setting("", "Address of the health port; by default loopback.")
    log_dir: Path | None = setting(
        None,
        "Directory for Triton's log; by default a temporary file, kept on failure.",
        metavar="DIR",
    )
    start_timeout: float = setting(
        300.0, "Maximum time for all models to become ready.", unit="s", above=0
    )
    exit_timeout: int = setting(
        8, "Maximum time for in-flight requests to finish when the server stops.", unit="s", min=0
    )
    model_control: ModelControl = setting(
        "none",
        "When models are loaded: only at the start (none), when their files change (poll), or on "
        "`naiad load` and `naiad unload` (explicit).",
        flag="model-control-mode",
    )
    load: tuple[str, ...] | None = setting(
        None,
        "With model control explicit: model of the repository to load at the start, or '*' for "
        "all; may be repeated.",
        metavar="NAME",
    )
    exit_on_error: bool = setting(
        True,
        "Do not start unless every model loads; false: serve those that do, and report the others.",
        unit="bool",
    )
    poll_seconds: int = setting(
        15, "With model control poll: time between checks of the files.", unit="s", min=1
    )
    response_cache: int = setting(
        0,
        "Memory for cached answers of models with response_cache in their configuration.",
        unit="bytes",
        min=0,
        bare="MiB",
    )
    arguments: tuple[str, ...] = setting(
        (),
        "Extra option for tritonserver, such as --triton-option=--rate-limit=off; may be repeated.",
        flag="triton-option",
        metavar="OPTION",
    )
    backend_directory: Path | None = setting(
        None,
        "Directory with Triton backends of your own, preferred to Naiad's of the same name.",
        metavar="DIR",
    )
    history: int = setting(
        10_000, "Number of last requests that `naiad explain` tells of; 0: none.", min=0
    )
    otlp: str = setting(
        "",
        "Send a trace of each request to this OpenTelemetry collector (OTLP over HTTP), such as "
        "http://localhost:4318; the gate's own traces, too.",
        metavar="URL",
    )
    trace_rate: float = setting(
        1.0,
        "Fraction of requests to trace, of those that come with no sampling decision of their "
        "client's.",
        min=0,
        max=1,
    )
    engine: EngineSettings = setting(
        EngineSettings(), "Triton to run, and the Python for a model.py.", panel="The engine"
    )
    gate: GateSettings | None = setting(
        None,
        "Put the gate (Envoy) in front on loopback too; implied by its options.",
        panel="The gate",
        flag="gate",
    )
    ui: UiSettings | None = setting(
        None,
        "Serve a page in the browser, and tasks over HTTP; implied by its options.",
        panel="The page",
        flag="ui",
    )
    supervision: Supervision | None = setting(
        None, "Probing and automatic restarts.", panel="Supervision"
    )


class _ModelOptions(TypedDict, total=False):
    instances: int | None
    threads: int | None
    watchdog: float | None
    queue_capacity: int | None
    max_queue_delay: float | None
    latency_target: float | None
    runtime: str | None
    device: str
    example: Path | str | None
    tuning: Path | str | Sequence[Path | str] | None
    settings: Mapping[str, Any] | None


class ModelOptions(_ModelOptions, total=False):
    """The fields of :class:`ModelSettings` as keywords, for type checkers."""

    weights: Path | str | None


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
    exit_on_error: bool
    poll_seconds: int
    response_cache: int
    arguments: Sequence[str]
    backend_directory: Path | str | None
    history: int
    otlp: str
    trace_rate: float
    engine: EngineSettings | None
    gate: GateSettings | None
    ui: UiSettings | None
    supervision: Supervision | None


class ServeOptions(ServerOptions, _ModelOptions, total=False):
    """The keywords of :func:`naiad.serve`, for type checkers."""

    weights: Path | str | Mapping[str, Path | str] | None
