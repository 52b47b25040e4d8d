"""Versions, queues, instances, caches and ensembles in a plain repository's configs, on the
embedded Triton; and the commands that list, load and unload its models.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from tests.support.command import naiad_serve, shown_when_ready, urls_shown
from tests.support.triton import FREE, write_model
from typer.testing import CliRunner

import naiad
from naiad import console
from naiad.cli.main import app
from naiad.errors import ModelNotFound
from naiad.triton.repository import export
from naiad.triton.server import Server

TIMES = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    calls = 0

    def execute(self, requests):
        import time
        type(self).calls += 1
        time.sleep(SECONDS)
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(
                "y", FACTOR * pb_utils.get_input_tensor_by_name(request, "x").as_numpy() + EXTRA
            )])
            for request in requests
        ]
"""

PIPE = """
import naiad


class Pipe(naiad.Pipeline):
    inputs = {"x": naiad.Tensor("float32", ("n",))}
    outputs = {"y": naiad.Tensor("float32", ("n",))}
    arrays = "numpy"

    def forward(self, batch):
        if (batch["x"] == 26).any():
            raise ValueError("unlucky")
        return {"y": 10 * batch["x"]}
"""

BOTH = """
platform: "ensemble"
input { name: "raw" data_type: TYPE_FP32 dims: -1 }
output { name: "cooked" data_type: TYPE_FP32 dims: -1 }
ensemble_scheduling {
  step {
    model_name: "prepare" model_version: -1
    input_map { key: "x" value: "raw" } output_map { key: "y" value: "prepared" }
  }
  step {
    model_name: "pipe" model_version: -1
    input_map { key: "x" value: "prepared" } output_map { key: "y" value: "cooked" }
  }
}
"""

QUEUE = "dynamic_batching { default_queue_policy { %s } }"
GROUP = "instance_group { kind: KIND_CPU count: %d %s }"


def write(
    repository: Path,
    name: str,
    config: str = "",
    factor: int = 1,
    seconds: float = 0.0,
    extra: str = "0",
) -> Path:
    code = TIMES.replace("FACTOR", str(factor)).replace("SECONDS", str(seconds))
    model = write_model(repository, name, code.replace("EXTRA", extra))
    file = model / "config.pbtxt"
    text = file.read_text()
    if "instance_group" in config:
        text = re.sub(r"instance_group \[.*\]\n", "", text)
    file.write_text(f"{text}\n{config}\n")
    return model


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("control")
    repository = home / "models"
    for policy in ("all {}", "specific { versions: [1] }", "latest { num_versions: 2 }"):
        model = write(repository, policy.partition(" ")[0], f"version_policy {{ {policy} }}")
        for version in (2, 3):
            shutil.copytree(model / "1", model / str(version))
            code = model / str(version) / "model.py"
            code.write_text(code.read_text().replace("1 *", f"{version} *"))
    write(repository, "short", QUEUE % "max_queue_size: 2", seconds=0.4)
    impatient = "timeout_action: REJECT default_timeout_microseconds: 100000"
    write(repository, "impatient", QUEUE % impatient, seconds=0.4)
    write(repository, "three", GROUP % (3, ""), seconds=0.4)
    limited = 'rate_limiter { resources { name: "gpu" count: 1 } }'
    write(repository, "limited", GROUP % (3, limited), seconds=0.4)
    write(repository, "cached", "response_cache { enable: true }", extra="type(self).calls")
    write(repository, "prepare", factor=2)
    (home / "pipe.py").write_text(PIPE)
    export(f"{home / 'pipe.py'}:Pipe", repository, instances=1)
    (repository / "both" / "1").mkdir(parents=True)
    (repository / "both" / "config.pbtxt").write_text(BOTH)
    write(repository, "spare")
    cached = export(f"{home / 'pipe.py'}:Pipe", home / "elsewhere", instances=1).path
    shutil.copytree(cached, repository / "pipe_cached")
    config = repository / "pipe_cached" / "config.pbtxt"
    text = config.read_text().replace('"pipe"', '"pipe_cached"')
    config.write_text(f"{text}\nresponse_cache {{ enable: true }}\n")
    return repository


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    off = {"spare", "pipe_cached"}
    with Server(
        repository,
        **FREE,
        model_control="explicit",
        load=sorted(path.name for path in repository.iterdir() if path.name not in off),
        response_cache=2**20,
        arguments=("--rate-limit=execution_count", "--rate-limit-resource=gpu:1"),
    ) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[naiad.Client]:
    with naiad.Client(server.grpc_url, retries=0) as client:
        yield client


def asked_at_once(client: naiad.Client, model: str, requests: int) -> tuple[list[Any], float]:
    """Send requests at once; return their answers or errors, and the seconds in all."""

    def ask(number: int) -> Any:
        try:
            return client.infer(model, x=[float(number)])["y"][0]
        except naiad.NaiadError as error:
            return error

    with ThreadPoolExecutor(requests) as pool:
        began = time.monotonic()
        return list(pool.map(ask, range(requests))), time.monotonic() - began


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
@pytest.mark.parametrize(
    ("policy", "served"), [("all", [1, 2, 3]), ("specific", [1]), ("latest", [2, 3])]
)
def test_the_versions_of_the_policy_are_served_and_the_newest_by_default(
    server: Server, url: str, policy: str, served: list[int]
):
    with naiad.Client(getattr(server, url), retries=0) as client:
        assert client.infer(policy, x=[1.0])["y"] == [max(served)]
        for version in (1, 2, 3):
            if version in served:
                assert client.infer(policy, x=[1.0], version=version)["y"] == [version]
                assert client.model(policy, version).infer(x=[2.0])["y"] == [2 * version]
            else:
                with pytest.raises(ModelNotFound, match=f"no version {version}; it has"):
                    client.infer(policy, x=[1.0], version=version)


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
def test_an_ensemble_of_a_plain_model_and_a_pipeline_answers(server: Server, url: str):
    with naiad.Client(getattr(server, url), retries=0) as client:
        assert client.infer("both", raw=[1.0, 2.0])["cooked"].tolist() == [20, 40]
        requests = [{"raw": [float(number)]} for number in range(10)]
        answers = [answer["cooked"][0] for answer in client.infer_many("both", requests)]
        assert answers == [20.0 * number for number in range(10)]
        with pytest.raises(naiad.NaiadError, match="unlucky"):
            client.infer("both", raw=[13.0])


def test_a_full_queue_refuses(client: naiad.Client):
    answers, _ = asked_at_once(client, "short", 6)
    refused = [answer for answer in answers if isinstance(answer, naiad.Unavailable)]
    assert len(refused) >= 2
    assert all("Exceeds maximum queue size" in str(error) for error in refused)
    assert [a for a in answers if a not in refused] == [
        float(number) for number, a in enumerate(answers) if a not in refused
    ]


def test_requests_that_wait_longer_than_the_queue_allows_are_refused(client: naiad.Client):
    answers, _ = asked_at_once(client, "impatient", 4)
    refused = [answer for answer in answers if isinstance(answer, naiad.Unavailable)]
    assert len(refused) == 3
    assert all("timeout expired" in str(error) for error in refused)


def test_instances_work_side_by_side_and_the_rate_limiter_one_by_one(client: naiad.Client):
    side_by_side = asked_at_once(client, "three", 3)
    one_by_one = asked_at_once(client, "limited", 3)
    assert side_by_side[0] == one_by_one[0] == [0, 1, 2]
    assert one_by_one[1] > 3 * 0.4 > side_by_side[1]


def test_an_answer_is_cached_for_equal_requests(server: Server, client: naiad.Client):
    first = client.infer("cached", x=[1.0])["y"]
    assert client.infer("cached", x=[1.0])["y"] == first
    assert client.infer("cached", x=[2.0])["y"] == first + 2  # the model was called once more
    assert server.metric("nv_cache_num_hits_per_model", model="cached") == 1


def test_a_pipeline_is_not_served_from_a_cache_that_keeps_errors(client: naiad.Client):
    with pytest.raises(naiad.NaiadError, match="remove response_cache"):
        client.load("pipe_cached")


def run(*arguments: str, code: int = 0) -> str:
    with patch.object(console.output, "_width", 200):  # COLUMNS is read on import
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_models_are_listed_with_their_statistics(server: Server, client: naiad.Client):
    for number in range(6):
        client.infer("pipe", x=[float(number)])
    with pytest.raises(naiad.PipelineError):
        client.infer("pipe", x=[26.0])
    given = ("models", "--url", server.grpc_url)
    models = {model["name"]: model for model in json.loads(run(*given, "--json"))}
    pipe = models["pipe"]
    assert (pipe["state"], pipe["backend"], pipe["instances"]) == ("READY", "naiad", 1)
    assert pipe["work"]["requests"] == server.metric("naiad_requests_total", model="pipe") >= 7
    assert pipe["work"]["errors"] >= 1
    assert pipe["work"]["batch_size"] >= 1
    assert models["three"]["instances"] == 3
    assert models["three"]["backend"] == "python"
    assert models["latest"]["versions"] == {"2": "READY", "3": "READY"}
    assert models["both"]["backend"] == "ensemble"
    assert (models["spare"]["state"], models["spare"]["work"]) == ("NOT LOADED", None)
    table = run(*given)
    assert re.search(r"latest +│ ready +│ 2, 3 +│ python +│ +1 │", table)
    assert re.search(r"spare +│ not loaded", table)


def test_models_are_loaded_and_unloaded_by_command(server: Server):
    url = ("--url", server.grpc_url)
    assert "spare version 1 loaded in" in run("load", "spare", *url)
    assert server.client().infer("spare", x=[1.0])["y"] == [1]
    assert "spare unloaded" in run("unload", "spare", *url)
    for command in ("load", "unload"):
        with pytest.raises(ModelNotFound, match='did you mean "spare"'):
            CliRunner().invoke(app, [command, "sparr", *url], catch_exceptions=False)


def test_a_server_without_model_control_says_how_to_get_it(triton: Server):
    for command in ("load", "unload"):
        with pytest.raises(naiad.InvalidInput, match="--model-control-mode explicit"):
            CliRunner().invoke(
                app, [command, "simple", "--url", triton.grpc_url], catch_exceptions=False
            )


def test_a_served_models_config_is_described_in_words(server: Server):
    words = run("config", "both", "--url", server.grpc_url)
    assert "an ensemble: a chain of other models" in words
    assert "prepare takes raw as x; returns prepared from y" in words
    assert "up to 2 requests wait" in run("config", "short", "--url", server.http_url)


def test_the_command_serves_before_there_is_a_model_and_says_how_to_load_one(repository: Path):
    arguments = ("--model-repository", repository, "--model-control-mode", "explicit")
    with naiad_serve(*arguments) as command:
        shown = shown_when_ready(command)
        url = urls_shown(shown)["gRPC"]
        assert re.search(rf"naiad load \w+ --url {url}", shown)
        assert "spare version 1 loaded" in run("load", "spare", "--url", url)
        command.send_signal(signal.SIGINT)
        _, told = command.communicate(timeout=30)
    assert command.returncode == 0, told
