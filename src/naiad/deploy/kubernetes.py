"""A Helm chart for a Kubernetes cluster, and values for a release.

The chart is the folder ``chart`` beside this file; the dashboard and Envoy's configuration are
generated here.
"""

from __future__ import annotations

import json
import re
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from naiad.application import application, applications
from naiad.deploy.dashboard import dashboard
from naiad.deploy.queries import queue_milliseconds
from naiad.deploy.release import Release, value_schema
from naiad.errors import NaiadError
from naiad.gate.balancer import balancer

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")  # with the chart's suffixes at most 63
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_MODELS = "/models"  # where pods have the repository

_SCHEMA = "values.schema.json"

_HEADER = "# {}\n# Written by: naiad deploy kubernetes\n"


def write_chart(release: Release, directory: Path) -> list[Path]:
    """Write the chart for ``release`` to ``directory``; replace an old one.

    Returns:
        ``chart``, a folder; ``values.yaml`` for it; and ``supersonic.yaml``, for the chart of
        SuperSONIC, unless that cannot read the repository.

    Raises:
        NaiadError: a name, an image, a pipeline or a repository cannot be used in a cluster.
    """
    chart, written = directory / "chart", {"values.yaml": chart_values(release)}
    if _storage(release.repository) in ("", "pvc"):
        written["supersonic.yaml"] = supersonic_values(release)
    directory.mkdir(parents=True, exist_ok=True)
    if chart.exists():
        shutil.rmtree(chart)
    with as_file(files("naiad.deploy") / "chart") as source:
        shutil.copytree(source, chart)
    (chart / "files").mkdir()
    # Helm fills in the name.
    pods = "{{ .Release.Name }}-headless"
    made = {
        "dashboard.json": dashboard(),
        "envoy.json": balancer(pods, tls=False),
        "envoy-tls.json": balancer(pods, tls=True),
    }
    for name, content in made.items():
        (chart / "files" / name).write_text(json.dumps(content, indent=1) + "\n")
    schema = json.loads((chart / _SCHEMA).read_text("utf-8"))
    schema["properties"] |= value_schema()
    (chart / _SCHEMA).write_text(json.dumps(schema, indent=2) + "\n", "utf-8")
    about = {
        "values.yaml": "Values that differ from chart/values.yaml, which has all of them.",
        "supersonic.yaml": "Values for SuperSONIC's chart, 0.3.1 (its key triton).",
    }
    for name, values in written.items():
        text = yaml.safe_dump(values, sort_keys=False, width=100)
        (directory / name).write_text(_HEADER.format(about[name]) + text)
    return [chart, *(directory / name for name in written)]


def chart_values(release: Release) -> dict[str, Any]:
    """Return the values of ``release`` for our chart.

    Raises:
        NaiadError: as for :func:`write_chart`.
    """
    check(release)
    repository, _, tag = release.image.rpartition(":")
    values: dict[str, Any] = {
        "image": {"repository": repository, "tag": tag},
        "pipelines": list(release.pipelines),
        "instances": release.instances,
        "resources": {"requests": {"cpu": str(release.instances)}},
        "replicas": release.replicas,
    }
    if release.repository:
        values["repository"] = _repository_values(release.repository)
    if release.gpus:
        values["gpus"] = release.gpus
    if release.settings:
        values["settings"] = release.settings
    if _scales(release):
        values["autoscaling"] = {
            "kind": release.autoscaling,
            "minReplicas": release.replicas,
            "maxReplicas": release.max_replicas,
            "queueMilliseconds": release.queue_milliseconds,
            **({"prometheus": release.prometheus} if release.prometheus else {}),
        }
    if release.service_monitor:
        values["serviceMonitor"] = {"enabled": True}
    if release.ui:
        values["ui"] = {"enabled": True}
    if release.kserve:
        values["kserve"] = {"enabled": True}
    return values


def supersonic_values(release: Release) -> dict[str, Any]:
    """Return values with which SuperSONIC's chart serves ``release``: its Triton is Naiad's image.

    Probes go to Naiad's supervisor, and load is the time in Naiad's queue.

    Raises:
        NaiadError: as for :func:`write_chart`.
    """
    check(release)
    url = urlsplit(release.repository)
    model = ["--model-repository", f"{_MODELS}{url.path}"] if release.repository else []
    device = ["--device", "cuda:0"] if release.gpus else []
    # Its chart limits the CPU to 1 by default, less than requested here.
    limits: dict[str, Any] = {"cpu": release.instances, "memory": "4Gi"}
    if release.gpus:
        limits["nvidia.com/gpu"] = release.gpus
    ready = "import urllib.request as u; u.urlopen('http://localhost:8003/readyz', timeout=4)"
    ports = {"http": 8000, "grpc": 8001, "metrics": 8002, "health": 8003}
    values: dict[str, Any] = {
        "serverLoadMetric": queue_milliseconds(f'release="{release.name}"', "30s"),
        "serverLoadThreshold": release.queue_milliseconds,
        "triton": {
            "replicas": release.replicas,
            "image": release.image,
            "command": ["naiad"],
            "args": [
                *("serve", *release.pipelines, *model, "--host", "0.0.0.0", "--insecure"),
                # Its own Envoy checks tokens; these ports are for the cluster only.
                *("--metrics-host", "0.0.0.0", "--health-host", "0.0.0.0"),
                *("--instances", str(release.instances), "--exit-timeout", "20", *device),
                *(["--ui"] if release.ui else []),
                *release.options,
            ],
            "resources": {
                "requests": {"cpu": release.instances, "memory": "4Gi"},
                "limits": limits,
            },
            "service": {
                "ports": [
                    {"name": name, "port": port, "targetPort": port, "protocol": "TCP"}
                    for name, port in ports.items()
                ]
            },
            "startupProbe": {
                "failureThreshold": 60,
                "httpGet": {"path": "/livez", "port": "health"},
            },
            "readinessProbe": {
                "initialDelaySeconds": 0,
                "periodSeconds": 2,
                "failureThreshold": 1,
                "command": ["python3", "-c", ready],
            },
        },
        "envoy": {"enabled": True},
    }
    if release.repository:
        values["triton"]["modelRepository"] = {
            "enabled": True,
            "mountPath": _MODELS,
            "storageType": "pvc",
            "pvc": {"claimName": url.netloc},
        }
    if _scales(release):
        values["keda"] = {
            "enabled": True,
            "minReplicaCount": release.replicas,
            "maxReplicaCount": release.max_replicas,
        }
        if release.prometheus:
            prometheus = urlsplit(release.prometheus)
            port = prometheus.port or {"http": 80, "https": 443}[prometheus.scheme]
            values["prometheus"] = {
                "external": {
                    "enabled": True,
                    "url": prometheus.hostname,
                    "port": port,
                    "scheme": prometheus.scheme,
                }
            }
    return values


def check(release: Release) -> None:
    """Check for errors that Kubernetes would refuse, or find only when a pod starts.

    Raises:
        NaiadError: names the setting, its value, and what it must be.
    """
    if not _NAME.fullmatch(release.name):
        raise NaiadError(
            f"the name {release.name!r} must be up to 40 lower-case letters, digits and -, "
            f"beginning with a letter"
        )
    if not re.fullmatch(r"[^\s:@]+(:\d+/[^\s:@]+)?:[\w][\w.-]*", release.image):
        raise NaiadError(
            f"the image {release.image!r} must be REPOSITORY:TAG, such as "
            "registry.example.org/naiad:1"
        )
    if not release.pipelines and not release.repository:
        raise NaiadError("nothing to serve: give a pipeline or a --repository")
    for pipeline in release.pipelines:
        _check_pipeline(pipeline)
    _storage(release.repository)
    if release.max_replicas is not None and release.max_replicas < release.replicas:
        raise NaiadError(
            f"--max-replicas is {release.max_replicas}; it must be at least --replicas, "
            f"{release.replicas}"
        )
    if release.prometheus and urlsplit(release.prometheus).scheme not in ("http", "https"):
        raise NaiadError(
            f"the Prometheus {release.prometheus!r} must be an http:// or https:// URL"
        )


def _check_pipeline(pipeline: str) -> None:
    module, _, name = pipeline.partition(":")
    if module.endswith(".py"):
        raise NaiadError(
            f"a pod does not have {pipeline}: export it to a model repository with `naiad export` "
            f"and give that as --repository, or install it as a package in your own image"
        )
    if not name and application(pipeline) is None:
        known = ", ".join(app.name for app in applications())
        raise NaiadError(f"no pipeline {pipeline!r}; built-in pipelines: {known}")


def _storage(repository: str) -> str:
    """Return the kind of a repository in the chart: pvc, s3, image or ""."""
    if not repository:
        return ""
    try:
        url = urlsplit(repository)
    except ValueError:
        url = urlsplit("")
    kind = {"pvc": "pvc", "s3": "s3", "oci": "image"}.get(url.scheme, "")
    good = bool(kind and url.netloc) and not re.search(r"\s", repository)
    if not good or (kind == "pvc" and not _CLAIM.fullmatch(url.netloc)):
        raise NaiadError(
            f"the repository {repository!r} must be pvc://CLAIM/PATH, s3://BUCKET/PREFIX or "
            f"oci://IMAGE with the folder {_MODELS}"
        )
    return kind


def _repository_values(repository: str) -> dict[str, Any]:
    url = urlsplit(repository)
    kind = _storage(repository)
    where = {
        "pvc": {"claim": url.netloc, "path": url.path.strip("/")},
        "s3": {"uri": repository},
        "image": {"reference": repository.removeprefix("oci://")},
    }
    return {"kind": kind, kind: where[kind]}


def _scales(release: Release) -> bool:
    return release.max_replicas is not None and release.max_replicas > release.replicas
