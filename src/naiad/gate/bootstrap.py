"""Envoy's configuration: its listeners, Triton's addresses and its limits."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from naiad.core.settings import GateSettings
from naiad.errors import EngineError
from naiad.gate import limits
from naiad.gate.certificates import system_authorities
from naiad.gate.filters import (
    GRPC_CLUSTER,
    HTTP_CLUSTER,
    NO_CLUSTER,
    OTLP_CLUSTER,
    UI_CLUSTER,
    bounded_connections,
    connection_manager,
    max_request_bytes,
)
from naiad.gate.resources import (
    AUTHORITIES,
    CERTIFICATE,
    JWKS_CLUSTER,
    is_url,
    resource_path,
)

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_TLS = f"{_EXTENSIONS}.transport_sockets.tls.v3"
_METRICS_CLUSTER = "triton-metrics"
_ADMIN_CLUSTER = "admin"


@dataclass(frozen=True, slots=True)
class Upstream:
    """The Unix sockets of Triton, and of the page and tasks; None for what there is not."""

    http: Path
    grpc: Path
    metrics: Path | None = None
    ui: Path | None = None


@dataclass(frozen=True, slots=True)
class Listeners:
    """Addresses of the gate.

    Attributes:
        addresses: hosts and ports, each for HTTP/1.1, HTTP/2 and gRPC.
        socket: a Unix socket for the same.
        metrics: host and port of ``/metrics`` (Triton's) and ``/metrics/gate`` (Envoy's), or
            None.
    """

    addresses: Sequence[tuple[str, int]] = ()
    socket: Path | None = None
    metrics: tuple[str, int] | None = None


def admin_socket(directory: Path) -> Path:
    """Return Envoy's admin socket, in a directory closed to other users."""
    return directory / "admin"


def bootstrap(
    settings: GateSettings,
    listeners: Listeners,
    upstream: Upstream,
    control_key: str,
    directory: Path,
) -> dict[str, Any]:
    """Return the whole configuration except for resources that depend on files."""
    both = _both_protocols(settings, control_key, directory, ui=upstream.ui is not None)
    entries: list[dict[str, Any]] = []
    if listeners.addresses:
        # One listener for all ports: each listener counts the rates of keys separately.
        first, *others = [_address(host, port) for host, port in listeners.addresses]
        more = {"additional_addresses": [{"address": other} for other in others]}
        entries.append(_listener("gate", first, {**both, **more}))
    if listeners.socket:
        pipe = {"pipe": {"path": str(listeners.socket), "mode": settings.socket_mode}}
        entries.append(_listener("gate-socket", pipe, both))
    if listeners.metrics:
        chain = {"filters": [_metrics(upstream.metrics is not None)]}
        address = _address(*listeners.metrics)
        entries.append(_listener("metrics", address, {"filter_chains": [chain]}))
    clusters = [
        _cluster(HTTP_CLUSTER, _pipe(upstream.http)),
        _cluster(GRPC_CLUSTER, _pipe(upstream.grpc), http2=True),
        _cluster(_ADMIN_CLUSTER, _pipe(admin_socket(directory))),
        {"name": NO_CLUSTER, "type": "STATIC", "connect_timeout": "1s"},
    ]
    if upstream.ui:
        clusters.append(_cluster(UI_CLUSTER, _pipe(upstream.ui)))
    if upstream.metrics:
        clusters.append(_cluster(_METRICS_CLUSTER, _pipe(upstream.metrics)))
    if is_url(settings.jwt_jwks):
        clusters.append(_issuer(settings.jwt_jwks))
    if settings.otlp:
        host, port = otlp_address(settings.otlp)
        clusters.append(_named(OTLP_CLUSTER, host, port, http2=True))
    return {
        "node": {"id": "naiad", "cluster": "naiad"},  # required by resources in files
        "admin": {"address": _pipe(admin_socket(directory))},
        "static_resources": {"listeners": entries, "clusters": clusters},
        "overload_manager": _overload(settings),
    }


def otlp_address(otlp: str) -> tuple[str, int]:
    """Return a collector's host and port.

    Raises:
        EngineError: it is not ``host:port``.
    """
    host, _, port = otlp.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536 or "/" in otlp:
        raise EngineError(f"the collector {otlp!r} must be HOST:PORT, such as localhost:4317")
    return host.strip("[]"), int(port)


def _both_protocols(
    settings: GateSettings, control_key: str, directory: Path, *, ui: bool
) -> dict[str, Any]:
    """Return chains for HTTP/1.1 and HTTP/2 on one port, chosen by first bytes or TLS handshake."""
    inspector = "tls_inspector" if settings.tls_cert else "http_inspector"
    kind = f"{_EXTENSIONS}.filters.listener.{inspector}.v3.{inspector.title().replace('_', '')}"
    http2: dict[str, Any] = {
        "filter_chain_match": {"application_protocols": ["h2" if settings.tls_cert else "h2c"]},
        "filters": [connection_manager(settings, control_key, directory, "HTTP2", ui=ui)],
    }
    http1: dict[str, Any] = {
        "filters": [connection_manager(settings, control_key, directory, "HTTP1", ui=ui)]
    }
    if settings.tls_cert:
        for chain, protocol in ((http2, "h2"), (http1, "http/1.1")):
            chain["transport_socket"] = _tls(settings, directory, protocol)
            chain["transport_socket_connect_timeout"] = f"{limits.TLS_SECONDS}s"
    return {
        "listener_filters": [
            {"name": f"envoy.filters.listener.{inspector}", "typed_config": {"@type": kind}}
        ],
        "listener_filters_timeout": f"{limits.FIRST_BYTES_SECONDS}s",
        "filter_chains": [http2, http1],
    }


def _listener(name: str, address: dict[str, Any], chains: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "address": address,
        **chains,
        "per_connection_buffer_limit_bytes": limits.CONNECTION_BUFFER,
        # One socket for all threads, so that a second server on the same port fails to start.
        "enable_reuse_port": False,
        "connection_balance_config": {"exact_balance": {}},
    }


def _address(host: str, port: int) -> dict[str, Any]:
    found = _ip(host)
    address: dict[str, Any] = {"address": found, "port_value": port}
    if found == "::":
        address["ipv4_compat"] = True
    return {"socket_address": address}


def _ip(host: str) -> str:
    name = host.strip("[]")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise EngineError(f"the host {host!r} cannot be resolved: {error}") from None
    return str(found[0][4][0])


def _pipe(path: Path) -> dict[str, Any]:
    return {"pipe": {"path": str(path)}}


def _tls(settings: GateSettings, directory: Path, protocol: str) -> dict[str, Any]:
    def secret(name: str) -> dict[str, Any]:
        source = {"path_config_source": {"path": str(resource_path(directory, name))}}
        return {"name": name, "sds_config": {**source, "resource_api_version": "V3"}}

    common: dict[str, Any] = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": [protocol],
        "tls_certificate_sds_secret_configs": [secret(CERTIFICATE)],
    }
    context: dict[str, Any] = {"common_tls_context": common}
    if settings.tls_client_ca:
        common["validation_context_sds_secret_config"] = secret(AUTHORITIES)
        context["require_client_certificate"] = True
    context["@type"] = f"{_TLS}.DownstreamTlsContext"
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _metrics(of_triton: bool) -> dict[str, Any]:
    """Expose the counters and nothing else of the admin interface, which can also stop Envoy."""
    routes: list[dict[str, Any]] = [
        {
            "match": {"path": "/metrics/gate"},
            "route": {"cluster": _ADMIN_CLUSTER, "prefix_rewrite": "/stats/prometheus"},
        }
    ]
    if of_triton:
        routes.append({"match": {"path": "/metrics"}, "route": {"cluster": _METRICS_CLUSTER}})
    for route in routes:
        method = {"name": ":method", "string_match": {"exact": "GET"}}
        route["match"]["headers"] = [method]
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"},
    }
    config = {
        **bounded_connections("metrics"),
        "request_timeout": "10s",
        "http_filters": [router],
        "route_config": {
            "name": "metrics",
            "virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": routes}],
        },
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def _cluster(name: str, address: dict[str, Any], http2: bool = False) -> dict[str, Any]:
    options: dict[str, Any] = {"http_protocol_options": {}}
    if http2:
        window = {
            "initial_stream_window_size": limits.STREAM_WINDOW,
            "initial_connection_window_size": limits.CONNECTION_WINDOW,
        }
        options = {"http2_protocol_options": window}
    endpoint = {"endpoint": {"address": address}}
    most = limits.IN_FLIGHT
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": most, "max_pending_requests": most, "max_requests": most}
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": options,
                # An idle HTTP/1 connection holds Triton's shutdown for its whole exit timeout.
                "common_http_protocol_options": {"idle_timeout": "60s" if http2 else "1s"},
            }
        },
    }


def _named(name: str, host: str, port: int, http2: bool = False) -> dict[str, Any]:
    address = {"socket_address": {"address": host, "port_value": port}}
    return {
        **_cluster(name, address, http2),
        "type": "LOGICAL_DNS",
        # Many hosts resolve IPv6 addresses but have no route to them.
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "5s",
    }


def _issuer(url: str) -> dict[str, Any]:
    found = urlsplit(url)
    host = found.hostname or ""
    exact = {"san_type": "DNS", "matcher": {"exact": host}}
    try:
        ipaddress.ip_address(host)
        exact["san_type"] = "IP_ADDRESS"
    except ValueError:
        pass
    context = {
        "@type": f"{_TLS}.UpstreamTlsContext",
        "sni": host,
        "common_tls_context": {
            "validation_context": {
                "trusted_ca": {"filename": str(system_authorities())},
                "match_typed_subject_alt_names": [exact],
            }
        },
    }
    return {
        **_named(JWKS_CLUSTER, host, found.port or 443),
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
    }


def _overload(settings: GateSettings) -> dict[str, Any]:
    monitors = f"{_EXTENSIONS}.resource_monitors"
    connections = "envoy.resource_monitors.global_downstream_max_connections"
    heap = "envoy.resource_monitors.fixed_heap"

    def at(action: str, share: dict[str, Any]) -> dict[str, Any]:
        triggers = [{"name": heap, **share}]
        return {"name": f"envoy.overload_actions.{action}", "triggers": triggers}

    scaled = {"scaled": {"scaling_threshold": 0.75, "saturation_threshold": 0.9}}
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": connections,
                "typed_config": {
                    "@type": f"{monitors}.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": settings.max_connections,
                },
            },
            {
                "name": heap,
                "typed_config": {
                    "@type": f"{monitors}.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": limits.heap_bytes(max_request_bytes(settings)),
                },
            },
        ],
        # Tracks the size of HTTP/2 requests of 128 KiB and more.
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 17},
        "actions": [
            at("shrink_heap", {"threshold": {"value": 0.7}}),
            at("reset_high_memory_stream", scaled),
            # HTTP/1.1 requests are not tracked: those that stall are ended.
            {
                **at("reduce_timeouts", scaled),
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.overload.v3"
                    ".ScaleTimersOverloadActionConfig",
                    "timer_scale_factors": [
                        {
                            "timer": "HTTP_DOWNSTREAM_STREAM_IDLE",
                            "min_timeout": f"{limits.UNDER_PRESSURE_SECONDS}s",
                        }
                    ],
                },
            },
            at("stop_accepting_requests", {"threshold": {"value": 0.95}}),
        ],
    }


CONFIGURATION: Final = "envoy.json"
