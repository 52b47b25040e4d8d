"""The chart, rendered by Helm, is what Kubernetes takes; and what it promises is in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import promql_parser
import pytest
import yaml
from tests.support.chart import NAMESPACE, RELEASE, rendered
from tests.support.command import subcommands

import naiad
from naiad.deploy.kubernetes import Release, supersonic_values, write_chart
from naiad.deploy.queries import queue_milliseconds
from naiad.errors import NaiadError
from naiad.gate.balancer import CERTIFICATE, PRIVATE_KEY
from naiad.gate.certificates import make_certificate

# The oldest that the chart admits, and the newest whose schemas the validator has.
OLDEST, NEWEST = "1.25", kubernetes_validate.latest_version()
# Their schemas are in the operators' own repositories.
CUSTOM = {"ScaledObject", "ServiceMonitor", "InferenceService", "ServingRuntime"}

RELEASES = {
    "bare": RELEASE,
    "keda": replace(RELEASE, max_replicas=6, service_monitor=True, gpus=1),
    "hpa": replace(RELEASE, max_replicas=6, autoscaling="hpa", repository="pvc://models/a/b"),
    "ui": replace(RELEASE, ui=True),
    "s3": replace(RELEASE, pipelines=[], repository="s3://bucket/models", replicas=1),
    "image": replace(RELEASE, repository="oci://registry.example.org:5000/models:3"),
    "kserve": replace(RELEASE, kserve=True, repository="s3://bucket/models", max_replicas=4),
    "kserve, no repository": replace(RELEASE, kserve=True),
}
EVERYTHING: dict[str, Any] = {
    "env": [{"name": "A", "value": "b"}],
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "arguments": ["--latency-target-ms", "50"],
    "settings": {"queueCapacity": 2000000, "watchdog": "2m"},
    "serviceAccount": {"annotations": {"a": "b"}},
    "gate": {
        "apiKeysSecret": "naiad-keys",
        "tlsSecret": "naiad-tls",
        "jwt": {"issuer": "https://i.example", "jwks": "https://i.example/jwks", "audience": "x"},
    },
}

every_release = pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)


def pods(made: dict[tuple[str, str], Any]) -> Iterator[dict[str, Any]]:
    """The pod specs of Deployments and of a ServingRuntime with its InferenceService."""
    for (kind, name), document in made.items():
        if kind == "Deployment":
            yield document["spec"]["template"]["spec"]
        elif kind == "ServingRuntime":
            yield made["InferenceService", name]["spec"]["predictor"] | document["spec"]


@every_release
@pytest.mark.parametrize(
    ("version", "changes"), [(OLDEST, {}), (NEWEST, EVERYTHING)], ids=["oldest", "newest"]
)
def test_kubernetes_takes_what_is_rendered(
    release: Release, version: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    for document in rendered(tmp_path, release, changes).values():
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, version, strict=True)


@every_release
def test_helm_finds_no_fault_with_the_chart(release: Release, tmp_path: Path) -> None:
    chart, values = write_chart(release, tmp_path)[:2]
    report = helm_python.lint(chart, yaml.safe_load(values.read_text()), strict=True)
    assert report["errors"] == []
    assert [m["error"] for m in report["messages"] if "icon" not in m["error"]] == []


@every_release
def test_pods_may_do_nothing_but_serve(release: Release, tmp_path: Path) -> None:
    for pod in pods(rendered(tmp_path, release)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]
            assert ":" in container["image"].rpartition("/")[2], "an image without a tag"
            writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
            assert writable <= {"/tmp", "/cache", "/dev/shm", "/models", "/naiad-models"}


@every_release
def test_probes_ask_the_supervisor_and_stopping_has_its_time(
    release: Release, tmp_path: Path
) -> None:
    made = rendered(tmp_path, release)
    pod = next(pod for pod in pods(made) if "naiad" in pod["containers"][0]["image"])
    server = pod["containers"][0]
    assert server["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8003}
    assert server["livenessProbe"]["httpGet"] == {"path": "/livez", "port": 8003}
    exit_timeout = int(argument(server, "--exit-timeout"))
    sleep = int(server["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= exit_timeout + sleep + 5


def argument(container: dict[str, Any], name: str) -> str:
    (value,) = [text.partition("=")[2] for text in container["args"] if text.startswith(f"{name}=")]
    return value


@every_release
def test_the_arguments_are_those_of_naiad_serve(release: Release, tmp_path: Path) -> None:
    from typer.main import get_command

    from naiad.cli.main import app

    settings = {"queueCapacity": 2_000_000, "probeInterval": 2.5, "memoryLimit": "8GB"}
    release = replace(release, latency_target=0.05)
    made = rendered(tmp_path, release, {"settings": settings | release.settings})
    for pod in pods(made):
        command, *arguments = pod["containers"][0]["args"]
        if command.startswith("--"):
            continue  # Envoy's
        serve = subcommands(get_command(app))[command]
        given = serve.make_context(command, arguments).params
        assert list(given["pipelines"] or ()) == list(release.pipelines)
        assert given["host"] == "0.0.0.0"
        assert given["instances"] == release.instances
        assert given["device"] == ("cuda:0" if release.gpus else "cpu")
        assert (given["model_repository"] is not None) == bool(release.repository)
        assert given["insecure"] is True  # the NetworkPolicy says who may ask
        assert given["metrics_host"] == given["health_host"] == "0.0.0.0"
        assert given["ui"] is release.ui
        assert given["latency_target"] == 0.05
        assert given["queue_capacity"] == 2_000_000
        assert (given["interval"], given["memory_limit"]) == (2.5, 8_000_000_000)


@pytest.mark.parametrize(
    ("repository", "mounted"),
    [
        ("pvc://models/a/b", {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}),
        ("s3://bucket/m", {"emptyDir": {"sizeLimit": "10Gi"}}),
        ("oci://registry/models:3", {"emptyDir": {"sizeLimit": "10Gi"}}),
    ],
)
def test_a_repository_is_mounted_where_it_is_served(
    repository: str, mounted: dict[str, Any], tmp_path: Path
) -> None:
    made = rendered(tmp_path, replace(RELEASE, repository=repository))
    pod = made["Deployment", "nu"]["spec"]["template"]["spec"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "models"]
    (server,) = pod["containers"]
    (mount,) = [mount for mount in server["volumeMounts"] if mount["name"] == "models"]
    assert {key: value for key, value in volume.items() if key != "name"} == mounted
    assert mount["mountPath"] == argument(server, "--model-repository")
    assert mount["readOnly"] is True
    if repository.startswith("pvc"):
        assert mount["subPath"] == "a/b"
    else:
        (fetch,) = pod["initContainers"]
        words = [*fetch.get("command", []), *fetch.get("args", [])]
        assert repository.removeprefix("oci://") in [*words, fetch["image"]]


def test_selectors_find_the_pods_and_ports_that_they_mean(tmp_path: Path) -> None:
    made = rendered(tmp_path, RELEASES["keda"])
    deployments = [document for (kind, _), document in made.items() if kind == "Deployment"]
    labels = {
        d["metadata"]["name"]: d["spec"]["template"]["metadata"]["labels"] for d in deployments
    }
    meant = {"nu": "nu", "nu-headless": "nu", "nu-envoy": "nu-envoy"}

    def found(selector: dict[str, str]) -> set[str]:
        return {name for name, has in labels.items() if selector.items() <= has.items()}

    for kind, name in made:
        spec = made[kind, name].get("spec")
        if kind == "Service":
            assert found(spec["selector"]) == {meant[name]}
            ports = {
                port["name"]
                for d in deployments
                if d["metadata"]["name"] == meant[name]
                for port in d["spec"]["template"]["spec"]["containers"][0]["ports"]
            }
            assert {port["targetPort"] for port in spec["ports"]} <= ports
        elif kind == "PodDisruptionBudget":
            assert found(spec["selector"]["matchLabels"]) == {name}
        elif kind == "NetworkPolicy":
            assert found(spec["podSelector"]["matchLabels"]) == {"nu"}
    # Metrics are read once: of the Services, one is selected.
    monitor = made["ServiceMonitor", "nu"]["spec"]
    chosen = [
        name
        for (kind, name), document in made.items()
        if kind == "Service"
        and monitor["selector"]["matchLabels"].items() <= document["metadata"]["labels"].items()
    ]
    assert chosen == ["nu"]
    assert made["ScaledObject", "nu"]["spec"]["scaleTargetRef"]["name"] == "nu"


def test_scaling_goes_by_the_time_in_naiads_queue(tmp_path: Path) -> None:
    expected = queue_milliseconds(f'namespace="{NAMESPACE}",service="nu"', "1m")
    promql_parser.parse(expected)
    release = replace(RELEASES["keda"], queue_milliseconds=80, prometheus="http://p.example:9090")
    spec = rendered(tmp_path, release)["ScaledObject", "nu"]["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["query"] == expected
    assert trigger["metadata"]["threshold"] == "80"
    assert trigger["metadata"]["serverAddress"] == "http://p.example:9090"
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 6)
    hpa = rendered(tmp_path, replace(release, autoscaling="hpa"))["HorizontalPodAutoscaler", "nu"]
    (metric,) = hpa["spec"]["metrics"]
    assert metric["external"]["target"] == {"type": "Value", "value": "80m"}
    kserve = rendered(tmp_path, replace(release, kserve=True))["InferenceService", "nu"]
    (metric,) = kserve["spec"]["predictor"]["autoScaling"]["metrics"]
    assert metric["external"]["metric"]["query"] == expected


def test_where_pods_come_and_go_their_number_is_not_set(tmp_path: Path) -> None:
    assert "replicas" not in rendered(tmp_path, RELEASES["keda"])["Deployment", "nu"]["spec"]
    assert rendered(tmp_path)["Deployment", "nu"]["spec"]["replicas"] == 2


def test_kserve_takes_the_place_of_what_it_makes_itself(tmp_path: Path) -> None:
    kinds = {kind for kind, _ in rendered(tmp_path, RELEASES["kserve"])}
    assert kinds == {"InferenceService", "ServingRuntime", "ServiceAccount", "ConfigMap"}


@pytest.mark.parametrize(
    ("repository", "uri"),
    [
        ("pvc://models/a", "pvc://models/a"),
        ("s3://b/m", "s3://b/m"),
        ("oci://x/m:1", "oci://x/m:1"),
    ],
)
def test_kserve_is_given_the_repository(repository: str, uri: str, tmp_path: Path) -> None:
    release = replace(RELEASE, kserve=True, repository=repository)
    made = rendered(tmp_path, release)
    assert made["InferenceService", "nu"]["spec"]["predictor"]["model"]["storageUri"] == uri
    (container,) = made["ServingRuntime", "nu"]["spec"]["containers"]
    assert argument(container, "--model-repository") == "/mnt/models"


def test_a_claim_is_made_where_none_is_named_and_outlives_the_release(tmp_path: Path) -> None:
    made = rendered(tmp_path, changes={"repository": {"kind": "pvc"}})
    claim = made["PersistentVolumeClaim", "nu-models"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_policy_lets_in_clients_envoy_and_monitoring_and_nothing_out(tmp_path: Path) -> None:
    policy = rendered(tmp_path)["NetworkPolicy", "nu"]["spec"]
    ports = [{port["port"] for port in rule["ports"]} for rule in policy["ingress"]]
    assert ports == [{"http", "grpc"}, {"grpc", "health"}, {"metrics", "health"}]
    assert policy["egress"] == []
    fetching = {
        "repository": {"kind": "s3", "s3": {"uri": "s3://b", "endpoint": "http://minio:9000"}}
    }
    policy = rendered(tmp_path, changes=fetching)["NetworkPolicy", "nu"]["spec"]
    assert {p["port"] for rule in policy["egress"] for p in rule["ports"]} == {53, 443, 9000}


def test_keys_and_certificates_come_from_secrets(tmp_path: Path) -> None:
    made = rendered(tmp_path, changes=EVERYTHING)
    pod = made["Deployment", "nu"]["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    assert "--insecure" not in server["args"]
    mounts = {mount["name"]: mount for mount in server["volumeMounts"]}
    secrets = {
        volume["name"]: volume["secret"]["secretName"]
        for volume in pod["volumes"]
        if "secret" in volume
    }
    assert secrets == {"keys": "naiad-keys", "tls": "naiad-tls"}
    for name, option in (("keys", "--api-keys"), ("tls", "--tls-cert"), ("tls", "--tls-key")):
        assert mounts[name]["readOnly"] is True
        assert argument(server, option).startswith(mounts[name]["mountPath"])
    assert argument(server, "--jwt-issuer") == "https://i.example"
    # Envoy shows clients the same certificate, and nobody asks it without TLS.
    balancer = made["Deployment", "nu-envoy"]["spec"]["template"]["spec"]
    assert {"secretName": "naiad-tls", "defaultMode": 0o440} in [
        volume.get("secret") for volume in balancer["volumes"]
    ]
    config = made["ConfigMap", "nu-envoy"]["data"]["envoy.yaml"]
    assert "DownstreamTlsContext" in config
    assert "nu-headless" in config
    # The gate fetches the issuer's keys.
    egress = made["NetworkPolicy", "nu"]["spec"]["egress"]
    assert {port["port"] for rule in egress for port in rule["ports"]} == {53, 443}


def test_the_page_is_at_the_http_port_and_off_by_default(tmp_path: Path) -> None:
    made = rendered(tmp_path, RELEASES["ui"], {"ui": {"enabled": True, "maxUploadMb": 64}})
    (server,) = made["Deployment", "nu"]["spec"]["template"]["spec"]["containers"]
    assert {"--ui", "--max-upload-mb=64"} <= {*server["args"]}
    assert made["Service", "nu"]["spec"]["sessionAffinity"] == "ClientIP"
    assert "--ui" in supersonic_values(RELEASES["ui"])["triton"]["args"]
    without = rendered(tmp_path)
    assert "--ui" not in str(without["Deployment", "nu"])
    assert "sessionAffinity" not in without["Service", "nu"]["spec"]


@pytest.mark.parametrize(
    "gate", [{}, {"apiKeysSecret": "k"}, {"tlsSecret": "t"}, {"jwt": EVERYTHING["gate"]["jwt"]}]
)
def test_without_credentials_and_tls_the_policy_alone_says_who_may_ask(
    gate: dict[str, Any], tmp_path: Path
) -> None:
    made = rendered(tmp_path, changes={"gate": gate})
    (server,) = made["Deployment", "nu"]["spec"]["template"]["spec"]["containers"]
    assert "--insecure" in server["args"]


@pytest.mark.parametrize("tls", [False, True])
def test_envoy_takes_its_configuration(tmp_path: Path, tls: bool) -> None:
    config = tmp_path / "envoy.yaml"
    changes = EVERYTHING if tls else {}
    text = rendered(tmp_path, changes=changes)["ConfigMap", "nu-envoy"]["data"]["envoy.yaml"]
    chain, key = make_certificate(["localhost"], tmp_path / "tls", 1)
    for name, path in ((CERTIFICATE, chain), (PRIVATE_KEY, key)):
        assert (name in text) == tls
        text = text.replace(name, str(path))
    config.write_text(text.replace("/etc/naiad/tls", str(tmp_path)))
    envoy = Path(sys.executable).parent / "envoy"
    checked = subprocess.run(
        [envoy, "--mode", "validate", "--config-path", config], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_the_dashboard_is_in_the_chart(tmp_path: Path) -> None:
    config = rendered(tmp_path)["ConfigMap", "nu-dashboard"]
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config["data"]["naiad.json"])["title"] == "Naiad"


def test_chart_and_package_have_one_version(tmp_path: Path) -> None:
    chart, *_ = write_chart(RELEASE, tmp_path)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())
    assert {about["version"], about["appVersion"], values["image"]["tag"]} == {naiad.__version__}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replica": 3}, "replica"),
        ({"repository": {"kind": "s3"}}, "s3"),
        ({"repository": {"kind": "nfs"}}, "kind"),
        ({"autoscaling": {"kind": "vpa"}}, "kind"),
        ({"instances": 0}, "instances"),
        ({"gate": {"jwt": {"issuer": "https://i.example"}}}, "jwks"),
        ({"gate": {"jwt": {"issuer": "i", "jwks": "http://i.example"}}}, "jwks"),
    ],
)
def test_helm_refuses_values_that_cannot_be(
    values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(helm_python.HelmError, match=message):
        rendered(tmp_path, changes=values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Nu"}, "the name 'Nu' must be"),
        ({"name": "n" * 41}, "up to 40"),
        ({"image": "naiad"}, "must be REPOSITORY:TAG"),
        ({"image": "host:5000/naiad"}, "must be REPOSITORY:TAG"),
        ({"pipelines": []}, "nothing to serve"),
        ({"pipelines": ["nugraph"]}, "no pipeline 'nugraph'; built-in pipelines: bundle, covid_ct"),
        ({"pipelines": ["my_model.py:MyModel"]}, "a pod does not have my_model.py:MyModel"),
        ({"repository": "/models"}, "must be pvc://CLAIM/PATH, s3://BUCKET/PREFIX or oci://IMAGE"),
        ({"repository": "pvc://Models"}, "must be pvc://"),
        ({"repository": "s3://[b/m"}, "must be pvc://"),
        ({"max_replicas": 1}, "--max-replicas is 1; it must be at least --replicas, 2"),
        ({"prometheus": "p:9090"}, "must be an http:// or https:// URL"),
    ],
)
def test_what_a_cluster_would_refuse_is_refused_at_once(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(NaiadError, match=message):
        write_chart(replace(RELEASE, **change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_supersonic_is_told_of_probes_ports_and_load() -> None:
    release = replace(RELEASES["hpa"], prometheus="https://p.example")
    values = supersonic_values(release)
    triton = values["triton"]
    assert triton["args"][:4] == ["serve", "nugraph3", "--model-repository", "/models/a/b"]
    assert triton["modelRepository"]["pvc"] == {"claimName": "models"}
    assert "8003/readyz" in triton["readinessProbe"]["command"][-1]
    compile(triton["readinessProbe"]["command"][-1], "probe", "exec")
    assert triton["resources"]["requests"]["cpu"] <= triton["resources"]["limits"]["cpu"]
    assert values["serverLoadMetric"] == queue_milliseconds('release="nu"', "30s")
    assert values["keda"] == {"enabled": True, "minReplicaCount": 2, "maxReplicaCount": 6}
    assert values["prometheus"]["external"]["port"] == 443


def test_supersonic_has_no_values_for_a_repository_that_it_cannot_mount(tmp_path: Path) -> None:
    names = [path.name for path in write_chart(RELEASES["s3"], tmp_path)]
    assert names == ["chart", "values.yaml"]
