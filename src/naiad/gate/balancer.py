"""Envoy's configuration in a cluster, which spreads the requests of each connection over pods.

Keys and tokens pass through: each pod has its own gate, which checks them.
"""

from __future__ import annotations

from typing import Any, Final

from naiad.gate.filters import bounded_connections

CERTIFICATE: Final = "/etc/naiad/tls/tls.crt"
PRIVATE_KEY: Final = "/etc/naiad/tls/tls.key"
"""Mount point of a Secret of type ``kubernetes.io/tls``."""

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_TLS = f"{_EXTENSIONS}.transport_sockets.tls.v3"
_ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"},
}
_ADMIN = {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}


def balancer(host: str, *, tls: bool) -> dict[str, Any]:
    """Return the configuration of a balancer for the pods behind ``host``.

    Args:
        host: a name that resolves to the pods themselves.
        tls: clients and pods use TLS, both with the certificate of one Secret.
    """
    previous = "envoy.retry_host_predicates.previous_hosts"
    retry = {
        # Another pod, if one is ending or gone; the client must retry requests over 1 MB.
        "retry_on": "connect-failure,refused-stream,reset,unavailable",
        "num_retries": 3,
        "retry_host_predicate": [
            {
                "name": previous,
                "typed_config": {
                    "@type": f"{_EXTENSIONS}.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }
    # The client's deadline applies.
    to_pods = {"cluster": "naiad", "timeout": "0s", "retry_policy": retry}
    own = [
        # Nothing else of the admin interface, which can also stop Envoy.
        {"match": {"path": path}, "route": {"cluster": "admin"}}
        for path in ("/ready", "/stats/prometheus")
    ]
    grpc = _listener("grpc", 8001, [{"match": {"prefix": "/"}, "route": to_pods}])
    manager = grpc["filter_chains"][0]["filters"][0]["typed_config"]
    manager |= {"codec_type": "HTTP2", "stream_idle_timeout": "0s"}
    if tls:
        grpc["filter_chains"][0]["transport_socket"] = _server_tls()
    return {
        "admin": {"address": _ADMIN},
        "static_resources": {
            "listeners": [grpc, _listener("status", 8003, own)],
            "clusters": [_pods(host, tls), _itself()],
        },
    }


def _listener(name: str, port: int, routes: list[dict[str, Any]]) -> dict[str, Any]:
    manager = {
        **bounded_connections(name),
        "http_filters": [_ROUTER],
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}]},
    }
    chain = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
        "filter_chains": [chain],
    }


def _pods(host: str, tls: bool) -> dict[str, Any]:
    health: dict[str, Any] = {
        "timeout": "2s",
        "interval": "2s",
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/readyz"},
    }
    endpoint = {
        "address": {"socket_address": {"address": host, "port_value": 8001}},
        "health_check_config": {"port_value": 8003},
    }
    cluster: dict[str, Any] = {
        "name": "naiad",
        "type": "STRICT_DNS",
        "dns_refresh_rate": "2s",
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        # A pod that left the name is gone, whatever its last health check said.
        "ignore_health_on_host_removal": True,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": 10_000,
                    "max_pending_requests": 100_000,
                    "max_requests": 100_000,
                    "max_retries": 1000,
                }
            ]
        },
        "health_checks": [health],
        "load_assignment": {
            "cluster_name": "naiad",
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
    }
    if tls:
        context = {
            "@type": f"{_TLS}.UpstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                # The pods present this very certificate, whatever its authority.
                "validation_context": {"trusted_ca": {"filename": CERTIFICATE}},
            },
        }
        cluster["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": context,
        }
        # The health port has no TLS.
        plain = {"@type": f"{_EXTENSIONS}.transport_sockets.raw_buffer.v3.RawBuffer"}
        socket = {"name": "envoy.transport_sockets.raw_buffer", "typed_config": plain}
        match = {"plain": True}
        cluster["transport_socket_matches"] = [
            {"name": "plain", "match": match, "transport_socket": socket}
        ]
        health["transport_socket_match_criteria"] = match
    return cluster


def _itself() -> dict[str, Any]:
    return {
        "name": "admin",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "admin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _ADMIN}}]}],
        },
    }


def _server_tls() -> dict[str, Any]:
    pair = {
        "certificate_chain": {"filename": CERTIFICATE},
        "private_key": {"filename": PRIVATE_KEY},
        "watched_directory": {"path": "/etc/naiad/tls"},  # the Secret may be renewed
    }
    context = {
        "@type": f"{_TLS}.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "tls_certificates": [pair],
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}
