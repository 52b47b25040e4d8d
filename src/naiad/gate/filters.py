"""The filter chain that every request passes, and the routes behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from naiad.core.settings import GateSettings
from naiad.gate import limits
from naiad.gate.resources import (
    AUTHORISE,
    JWT,
    LOCAL_RATE_LIMIT,
    LUA,
    RATES,
    TOKENS,
    inspect,
    resource_path,
)

HTTP_CLUSTER: Final = "triton-http"
GRPC_CLUSTER: Final = "triton-grpc"
UI_CLUSTER: Final = "ui"
OTLP_CLUSTER: Final = "otlp"
NO_CLUSTER: Final = "nothing"
"""A cluster without servers."""

_GRPC_PATH = "/inference.GRPCInferenceService/"
_HEALTH_PATH = "/grpc.health.v1.Health/"
_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_FILTERS = f"{_EXTENSIONS}.filters.http"
HTTP_CONNECTIONS: Final = (
    f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager"
)


def max_request_bytes(settings: GateSettings) -> int:
    """Return the maximum size of an inflated request."""
    return settings.max_request_mb * 1_000_000


def connection_manager(
    settings: GateSettings,
    control_key: str,
    directory: Path,
    codec: Literal["HTTP1", "HTTP2"],
    *,
    ui: bool,
) -> dict[str, Any]:
    """Return the configuration that accepts, checks and forwards requests of one protocol.

    With ``ui`` those for the page and the tasks, too.
    """
    config: dict[str, Any] = {
        **bounded_connections("gate"),
        "codec_type": codec,
        # A client's own id is passed on; one is generated only for logs and traces.
        "generate_request_id": bool(settings.access_log or settings.otlp),
        "request_timeout": f"{limits.REQUEST_SECONDS if codec == 'HTTP1' else 0}s",
        "http_filters": _filters(settings, control_key, directory),
        "route_config": {"name": "gate", "virtual_hosts": [_virtual_host(settings, ui)]},
        "local_reply_config": _replies(settings),
    }
    if settings.access_log:
        config["access_log"] = [_access_log(settings.access_log)]
    if settings.otlp:
        config["tracing"] = _tracing()
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def bounded_connections(name: str) -> dict[str, Any]:
    """Return settings of every listener: its limits, and distrust of its peers."""
    return {
        "@type": HTTP_CONNECTIONS,
        "stat_prefix": name,
        "codec_type": "AUTO",
        "use_remote_address": True,
        "skip_xff_append": True,
        # No peer is internal: x-envoy-* headers are ignored.
        "internal_address_config": {
            "unix_sockets": False,
            "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}],
        },
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "server_header_transformation": "PASS_THROUGH",
        "preserve_external_request_id": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{_EXTENSIONS}.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,  # otherwise the client's id would be changed
                "use_request_id_for_trace_sampling": False,
            }
        },
        "always_set_request_id_in_response": True,
        "max_request_headers_kb": limits.HEADERS_KB,
        "request_headers_timeout": f"{limits.REQUEST_HEADERS_SECONDS}s",
        "stream_idle_timeout": f"{limits.IDLE_STREAM_SECONDS}s",
        "delayed_close_timeout": f"{limits.CLOSING_SECONDS}s",
        "common_http_protocol_options": {
            "idle_timeout": f"{limits.IDLE_CONNECTION_SECONDS}s",
            "max_headers_count": limits.HEADERS_COUNT,
        },
        "http2_protocol_options": {
            "max_concurrent_streams": limits.STREAMS,
            "initial_stream_window_size": limits.STREAM_WINDOW,
            "initial_connection_window_size": limits.CONNECTION_WINDOW,
            "connection_keepalive": {
                "interval": f"{limits.KEEPALIVE_SECONDS}s",
                "timeout": "20s",
            },
        },
    }


def _filters(settings: GateSettings, control_key: str, directory: Path) -> list[dict[str, Any]]:
    def followed(name: str, kind: str) -> dict[str, Any]:
        source = {"path_config_source": {"path": str(resource_path(directory, name))}}
        config = {"config_source": {**source, "resource_api_version": "V3"}, "type_urls": [kind]}
        return {"name": name, "config_discovery": config}

    def fixed(name: str, kind: str, **config: Any) -> dict[str, Any]:
        return {
            "name": f"envoy.filters.http.{name}",
            "typed_config": {"@type": f"{_FILTERS}.{kind}", **config},
        }

    most = max_request_bytes(settings)
    gzip = {
        "name": "gzip",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.compression.gzip.decompressor.v3.Gzip",
            "max_inflate_ratio": limits.INFLATE_RATIO,
        },
    }
    never = {"enabled": {"default_value": False, "runtime_key": "naiad.inflate_responses"}}
    return [
        *([fixed("cors", "cors.v3.Cors")] if settings.cors else []),
        *([fixed("grpc_web", "grpc_web.v3.GrpcWeb")] if settings.grpc_web else []),
        *([followed(TOKENS, JWT)] if settings.jwt_issuer else []),
        followed(AUTHORISE, LUA),
        *([followed(RATES, LOCAL_RATE_LIMIT)] if settings.api_keys else []),
        fixed(
            "decompressor",
            "decompressor.v3.Decompressor",
            decompressor_library=gzip,
            request_direction_config={"advertise_accept_encoding": False},
            response_direction_config={"common_config": never},
        ),
        # Joins chunks to one body with a length: Triton recurses once per chunk.
        fixed("buffer", "buffer.v3.Buffer", max_request_bytes=most),
        fixed(
            "lua", "lua.v3.Lua", default_source_code={"inline_string": inspect(most, control_key)}
        ),
        fixed("router", "router.v3.Router", suppress_envoy_headers=True),
    ]


def _virtual_host(settings: GateSettings, ui: bool) -> dict[str, Any]:
    # Set by the script, unless it failed.
    passed = {
        "dynamic_metadata": [
            {
                "filter": "naiad",
                "path": [{"key": "passed"}],
                "value": {"string_match": {"exact": "yes"}},
            }
        ]
    }

    def to(cluster: str, **more: Any) -> dict[str, Any]:
        return {"cluster": cluster, "timeout": "0s", **more}  # the client's deadline counts

    host: dict[str, Any] = {
        "name": "triton",
        "domains": ["*"],
        "routes": [
            {
                "match": {"path": f"{_GRPC_PATH}ModelStreamInfer", **passed},
                "route": to(GRPC_CLUSTER, idle_timeout="0s"),
                "typed_per_filter_config": {
                    "envoy.filters.http.buffer": {
                        "@type": f"{_FILTERS}.buffer.v3.BufferPerRoute",
                        "disabled": True,
                    }
                },
            },
            {"match": {"prefix": _GRPC_PATH, **passed}, "route": to(GRPC_CLUSTER)},
            {"match": {"prefix": _HEALTH_PATH, **passed}, "route": to(GRPC_CLUSTER)},
            {"match": {"prefix": "/v2", **passed}, "route": to(HTTP_CLUSTER)},
            # What else has passed is the page's and the tasks'.
            *([{"match": {"prefix": "/", **passed}, "route": to(UI_CLUSTER)}] if ui else []),
            # For refused requests; not a direct_response, to which CORS does not apply.
            {"match": {"prefix": "/"}, "route": {"cluster": NO_CLUSTER}},
        ],
    }
    if settings.cors:
        host["typed_per_filter_config"] = {"envoy.filters.http.cors": _cors(settings.cors)}
    return host


def _cors(origins: tuple[str, ...]) -> dict[str, Any]:
    asked = (
        *("authorization", "content-type", "content-encoding", "x-api-key", "x-request-id"),
        *("inference-header-content-length", "grpc-timeout", "x-grpc-web", "x-user-agent"),
    )
    shown = (
        *("grpc-status", "grpc-message", "inference-header-content-length", "x-request-id"),
        "content-encoding",
    )
    return {
        "@type": f"{_FILTERS}.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": origin} for origin in origins],
        "allow_methods": "GET, POST",
        "allow_headers": ", ".join(asked),
        "expose_headers": ", ".join(shown),
        "max_age": "600",
    }


def _replies(settings: GateSettings) -> dict[str, Any]:
    """Return the gate's own answers: ``{"error": ...}`` over HTTP, a status over gRPC."""
    text = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}}
    json = {"json_format": {"error": "%LOCAL_REPLY_BODY%"}, "content_type": "application/json"}

    def grpc() -> dict[str, Any]:
        header = {
            "name": "content-type",
            "string_match": {"prefix": "application/grpc"},
        }
        return {"header_filter": {"header": header}}

    def when(condition: dict[str, Any], body: str, status: int | None = None) -> list[Any]:
        changed = {"body": {"inline_string": body}}
        over_grpc: dict[str, Any] = {
            "filter": {"and_filter": {"filters": [grpc(), condition]}},
            "body_format_override": text,
            **changed,
        }
        if status is not None:
            header = {"key": "grpc-status", "value": str(status)}
            over_grpc["headers_to_add"] = [
                {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            ]
        return [over_grpc, {"filter": condition, **changed}]

    def code(number: int) -> dict[str, Any]:
        comparison = {"op": "EQ", "value": {"default_value": number, "runtime_key": "naiad.none"}}
        return {"status_code_filter": {"comparison": comparison}}

    too_large = f"the request is larger than {settings.max_request_mb} MB (10**6 bytes)"
    no_answer = {"response_flag_filter": {"flags": ["UF", "UC", "UO", "LH", "UR", "URX"]}}
    return {
        "mappers": [
            *when(no_answer, "Triton does not answer; it may be restarting", 14),
            *when(code(413), too_large, 3),
            *when(code(429), "this key has reached its rate limit; try again later", 8),
            *when(code(431), f"the headers are larger than {limits.HEADERS_KB} KiB", 3),
            *when(code(408), "the request did not arrive in time", 4),
            {"filter": grpc(), "body_format_override": text},
        ],
        "body_format": json,
    }


def _access_log(path: Path) -> dict[str, Any]:
    fields = {
        "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "client": "%DYNAMIC_METADATA(naiad:client)%",
        "certificate": "%DOWNSTREAM_PEER_SUBJECT%",
        "protocol": "%PROTOCOL%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ)%",
        "model": "%DYNAMIC_METADATA(naiad:model)%",
        "status": "%RESPONSE_CODE%",
        "grpc_status": "%GRPC_STATUS_NUMBER%",
        "received": "%BYTES_RECEIVED%",
        "sent": "%BYTES_SENT%",
        "milliseconds": "%DURATION%",
        "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "detail": "%RESPONSE_CODE_DETAILS%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"json_format": fields},
        },
    }


def _tracing() -> dict[str, Any]:
    return {
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "grpc_service": {"envoy_grpc": {"cluster_name": OTLP_CLUSTER}},
                "service_name": "naiad-gate",
            },
        },
        "random_sampling": {"value": 100},
    }
