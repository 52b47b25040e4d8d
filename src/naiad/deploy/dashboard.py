"""A Grafana dashboard of Naiad's metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from naiad.deploy.queries import QUEUE_QUANTILE, quantile, rate

_WIDTH = 24  # of Grafana's grid
_HEIGHT = 8
_WINDOW = "$__rate_interval"
_PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}

# Chosen from existing values. Outside of Kubernetes, Prometheus only has the last two, so "All"
# must also match series without the label.
_VARIABLES = ("namespace", "service", "model")
_SELECTOR = ",".join(f'{name}=~"${name}"' for name in _VARIABLES)
_PODS = ",".join(f'{name}=~"${name}"' for name in _VARIABLES[:2])  # Triton's have no model


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of the dashboard.

    Attributes:
        title: what it shows.
        about: its description.
        unit: as Grafana names it: s, reqps, short, percentunit, bytes.
        queries: PromQL by the legend of its series.
        stacked: whether the series add up to something.
        kind: Grafana's type of panel.
        width: of 24.
    """

    title: str
    about: str
    unit: str
    queries: Mapping[str, str]
    stacked: bool = False
    kind: Literal["timeseries", "stat"] = "timeseries"
    width: int = 12


def _rate(metric: str, *labels: str, by: str = "") -> str:
    return rate(metric, ",".join([*labels, _SELECTOR]), _WINDOW, by=by)


def _quantile(share: float, histogram: str, *labels: str, by: str = "") -> str:
    return quantile(share, histogram, ",".join([*labels, _SELECTOR]), _WINDOW, by=by)


_IN_QUEUE = 'stage="queue"'
_PER_REQUEST = 'dimension="requests"'
_REQUESTS = _rate("naiad_requests_total")
_BATCHES = f"clamp_min({_rate('naiad_batches_total')}, 1e-9)"

PANELS = (
    Panel(
        "Requests",
        "Requests answered per second, including errors.",
        "reqps",
        {"": _REQUESTS},
        kind="stat",
        width=6,
    ),
    Panel(
        "Errors",
        "Share of requests answered with an error.",
        "percentunit",
        {"": f"({_rate('naiad_errors_total')} or vector(0)) / clamp_min({_REQUESTS}, 1e-9)"},
        kind="stat",
        width=6,
    ),
    Panel(
        "Time of a request",
        "Time from a request's arrival to its answer that 99% stay below.",
        "s",
        {"": _quantile(0.99, "naiad_request_seconds")},
        kind="stat",
        width=6,
    ),
    Panel(
        "Requests per batch",
        "Mean number of requests that share a forward pass.",
        "short",
        {"": f"{_rate('naiad_batch_items_sum', _PER_REQUEST)} / {_BATCHES}"},
        kind="stat",
        width=6,
    ),
    Panel(
        "Latency",
        "Time from a request's arrival to its answer that a share of requests stay below.",
        "s",
        {
            "p50": _quantile(0.5, "naiad_request_seconds"),
            "p90": _quantile(0.9, "naiad_request_seconds"),
            "p99": _quantile(0.99, "naiad_request_seconds"),
            "mean": f"{_rate('naiad_request_seconds_sum')}"
            f" / clamp_min({_rate('naiad_request_seconds_count')}, 1e-9)",
        },
    ),
    Panel(
        "Slowest stages",
        "Time of each stage that 99% of requests stay below.",
        "s",
        {"{{stage}}": _quantile(0.99, "naiad_stage_seconds", by="stage")},
    ),
    Panel(
        "Where a request's time goes",
        "Mean seconds per stage; they add up to the time of a request. If most of it is in the "
        "queue, add pods or instances.",
        "s",
        {
            "{{stage}}": f"{_rate('naiad_stage_seconds_sum', by='stage')}"
            f" / on () group_left () clamp_min({_REQUESTS}, 1e-9)"
        },
        stacked=True,
    ),
    Panel(
        "Requests under way",
        "Mean number of requests in each stage (Little's law).",
        "short",
        {"{{stage}}": _rate("naiad_stage_seconds_sum", by="stage")},
        stacked=True,
    ),
    Panel(
        "Requests by model",
        "Requests answered per second.",
        "reqps",
        {"{{model}}": _rate("naiad_requests_total", by="model")},
        stacked=True,
    ),
    Panel(
        "Errors by kind",
        "Requests answered with an error, per second.",
        "reqps",
        {"{{model}} {{kind}}": _rate("naiad_errors_total", by="model,kind")},
        stacked=True,
    ),
    Panel(
        "Rows per batch",
        "Mean rows of each named dimension, such as nodes, edges and requests, within the budget.",
        "short",
        {
            "{{dimension}}": f"{_rate('naiad_batch_items_sum', by='dimension')}"
            f" / on () group_left () {_BATCHES}"
        },
    ),
    Panel(
        "Largest batches",
        "Rows of each named dimension that 99% of batches stay below.",
        "short",
        {"{{dimension}}": _quantile(0.99, "naiad_batch_items", by="dimension")},
    ),
    Panel(
        "Time in the queue by pod",
        "Metric for autoscaling, which 90% of requests stay below. If pods differ much, requests "
        "are not balanced: check Envoy.",
        "s",
        {"{{pod}}": _quantile(QUEUE_QUANTILE, "naiad_stage_seconds", _IN_QUEUE, by="pod")},
    ),
    Panel(
        "Requests by pod",
        "Requests answered per second.",
        "reqps",
        {"{{pod}}": _rate("naiad_requests_total", by="pod")},
    ),
    Panel(
        "Workers lost",
        "Workers restarted, by reason; their requests were run again.",
        "short",
        {
            "{{model}} {{reason}}": "sum by (model,reason)"
            f"(increase(naiad_worker_restarts_total{{{_SELECTOR}}}[{_WINDOW}]))"
        },
    ),
    Panel(
        "Servers",
        "Servers that are ready, models and gates that are not, and restarts of whole servers, as "
        "the health port reports them.",
        "short",
        {
            "ready": f"sum(naiad_server_ready{{{_PODS}}})",
            "restarts": f"sum(increase(naiad_server_restarts_total{{{_PODS}}}[{_WINDOW}]))",
            "{{model}} not ready": f"sum by (model) (1 - naiad_model_ready{{{_SELECTOR}}})",
            "gates not ready": f"sum(1 - naiad_gate_ready{{{_PODS}}})",
        },
    ),
    Panel(
        "Processors",
        "Utilization of the node's CPUs and of each GPU, from Triton's metrics.",
        "percentunit",
        {
            "{{pod}} CPU": f"nv_cpu_utilization{{{_PODS}}}",
            "{{pod}} GPU {{gpu_uuid}}": f"nv_gpu_utilization{{{_PODS}}}",
        },
    ),
    Panel(
        "Memory",
        "Memory used on the node and on each GPU, from Triton's metrics.",
        "bytes",
        {
            "{{pod}} CPU": f"nv_cpu_memory_used_bytes{{{_PODS}}}",
            "{{pod}} GPU {{gpu_uuid}}": f"nv_gpu_memory_used_bytes{{{_PODS}}}",
        },
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard in Grafana's format (schema version 39, of Grafana 10.4)."""
    return {
        "uid": "naiad",
        "title": "Naiad",
        "tags": ["naiad", "triton"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_data_source(), *map(_variable, _VARIABLES)]},
        "panels": [
            _panel(number, panel, place)
            for number, (panel, place) in enumerate(zip(PANELS, _places(PANELS), strict=True), 1)
        ],
    }


def _places(panels: Sequence[Panel]) -> list[tuple[int, int]]:
    """Return the x and y of each panel, row after row."""
    places: list[tuple[int, int]] = []
    x = y = 0
    for panel in panels:
        if x + panel.width > _WIDTH:
            x, y = 0, y + _HEIGHT
        places.append((x, y))
        x += panel.width
    return places


def _panel(number: int, panel: Panel, place: tuple[int, int]) -> dict[str, Any]:
    custom = {"fillOpacity": 25, "stacking": {"mode": "normal"}} if panel.stacked else {}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _PROMETHEUS,
        "gridPos": {"x": place[0], "y": place[1], "w": panel.width, "h": _HEIGHT},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "custom": custom},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + number), "expr": query, "legendFormat": legend}
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _data_source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }


def _variable(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _PROMETHEUS,
        "query": f"label_values(naiad_requests_total, {name})",
        "refresh": 2,  # when the time range changes
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
