"""Models change under load: no request fails, and a bad version changes nothing."""

import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.faults.test_supervisor import health, until
from tests.support.triton import FREE, Belongings, write_model

import naiad
from naiad.triton.log_entries import LogEvent
from naiad.triton.repository import export, naiad_models
from naiad.triton.server import Server
from naiad.triton.supervisor import Supervision

PLAIN = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(
                "y", 1 * pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            )])
            for request in requests
        ]
"""

PIPE = """
import time

import naiad


class Pipe(naiad.Pipeline):
    inputs = {"x": naiad.Tensor("float32", ("n",))}
    outputs = {"y": naiad.Tensor("float32", ("n",))}
    budget = naiad.Budget(requests=3)
    arrays = "numpy"

    def forward(self, batch):
        time.sleep(float(batch["x"].max()) / 100)
        return {"y": 1 * batch["x"]}
"""

BOTH = """
platform: "ensemble"
input { name: "x" data_type: TYPE_FP32 dims: -1 }
output { name: "y" data_type: TYPE_FP32 dims: -1 }
ensemble_scheduling {
  step {
    model_name: "plain" model_version: -1
    input_map { key: "x" value: "x" } output_map { key: "y" value: "between" }
  }
  step {
    model_name: "pipe" model_version: -1
    input_map { key: "x" value: "between" } output_map { key: "y" value: "y" }
  }
}
"""

MODELS = ("plain", "pipe")
CALM = Supervision(interval=0.5, deadline=10.0, silence=60.0, first_pause=0.1)


class Crowd:
    """Clients of all models and both protocols, without retries, and their answers."""

    def __init__(self, server: Server, models: tuple[str, ...] = MODELS) -> None:
        self.answers = {model: Counter[str]() for model in models}
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(url, model))
            for url in (server.grpc_url, server.http_url)
            for model in models
            for _ in range(3)
        ]

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, url: str, model: str) -> None:
        x = np.ones(3, np.float32)
        with naiad.Client(url, retries=0, timeout=30) as client:
            while not self._over.is_set():
                try:
                    answer = str(client.infer(model, x=x)["y"][0])
                except naiad.NaiadError as error:
                    answer = str(error)
                    time.sleep(0.05)
                self.answers[model][answer] += 1


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    write_model(tmp_path / "models", "plain", PLAIN)
    (tmp_path / "pipe.py").write_text(PIPE)
    export(f"{tmp_path / 'pipe.py'}:Pipe", tmp_path / "models", instances=1)
    return tmp_path / "models"


@contextmanager
def serving(repository: Path, control: str, **options: object) -> Iterator[Server]:
    with Server(
        repository,
        **FREE,
        model_control=control,
        poll_seconds=1,
        health_port=0,
        supervision=CALM,
        probes={model.name: model.example() for model in naiad_models(repository)},
        **options,
    ) as server:
        belongings = Belongings.of(server)
        yield server
    assert belongings.left() == []


def add_version(repository: Path, model: str, version: int, old: str, new: str) -> None:
    """Add a version with other code beside version 1, atomically."""
    draft = repository.parent / f"{model}-{version}"
    shutil.copytree(repository / model / "1", draft)
    code = draft / ("model.py" if model == "plain" else "pipeline.py")
    assert old in code.read_text()
    code.write_text(code.read_text().replace(old, new))
    draft.rename(repository / model / str(version))


def take_up(server: Server, control: str, model: str) -> None:
    """Have the server check a model again, if it does not do so itself."""
    if control == "explicit":
        server.client().load(model)


@pytest.mark.parametrize("control", ["poll", "explicit"])
def test_no_request_fails_while_version_2_replaces_version_1(repository: Path, control: str):
    slow: dict[str, object] = {}

    def ask_slowly(server: Server) -> None:
        x = np.full(2, 200, np.float32)  # 2 s
        with naiad.Client(server.grpc_url, retries=0, timeout=30) as client:
            slow.update(client.infer("pipe", x=x))

    (repository / "both" / "1").mkdir(parents=True)
    (repository / "both" / "config.pbtxt").write_text(BOTH)
    with serving(repository, control) as server, Crowd(server, (*MODELS, "both")) as crowd:
        until(lambda: all(crowd.answers[model]["1.0"] > 10 for model in MODELS))
        waiting = threading.Thread(target=ask_slowly, args=(server,))
        waiting.start()
        time.sleep(0.2)
        for model in MODELS:
            add_version(repository, model, 2, "1 *", "2 *")
            take_up(server, control, model)
        until(lambda: all(crowd.answers[model]["2.0"] > 20 for model in MODELS))
        waiting.join()
        assert np.array_equal(slow["y"], [200, 200])  # by version 1, which had the request
        # The same number again: files replaced in place, as by `naiad export`.
        code = repository.parent / "pipe.py"
        code.write_text(PIPE.replace("1 *", "3 *"))
        export(f"{code}:Pipe", repository, instances=1)
        take_up(server, control, "pipe")
        until(lambda: crowd.answers["pipe"]["3.0"] > 20)
        until(lambda: health(server)[0] == 200)
        assert health(server)[1]["restarts"] == 0
        models = server.client().models()
    assert set(crowd.answers["plain"]) == {"1.0", "2.0"}
    assert set(crowd.answers["pipe"]) == {"1.0", "2.0", "3.0"}
    assert set(crowd.answers["both"]) <= {"1.0", "2.0", "4.0", "6.0"}
    assert crowd.answers["both"]["6.0"] > 0
    ready = {(m.name, m.version) for m in models if m.ready and m.name in MODELS}
    assert ready == {("plain", "2"), ("pipe", "1")}


@pytest.mark.parametrize("control", ["poll", "explicit"])
def test_a_version_that_does_not_load_leaves_the_previous_one_serving(
    repository: Path, control: str
):
    told: list[LogEvent] = []

    def failures() -> list[str]:
        return [event.text.splitlines()[0] for event in told if event.kind == "failed"]

    bad = {"raise RuntimeError('not today')": "not today", "import os; os._exit(3)": "not healthy"}
    with serving(repository, control, on_event=told.append) as server, Crowd(server) as crowd:
        for version, (code, reason) in enumerate(bad.items(), 2):
            add_version(repository, "plain", version, "import triton", f"{code}\nimport triton")
            if control == "explicit":
                with pytest.raises(naiad.NaiadError, match=reason):
                    server.client().load("plain")
            until(lambda reason=reason: any(reason in failure for failure in failures()))
            time.sleep(2)  # long enough to notice a dead process
            shutil.rmtree(repository / "plain" / str(version))
        until(lambda: health(server)[0] == 200)
        assert health(server)[1]["restarts"] == 0
    assert [set(crowd.answers[model]) for model in MODELS] == [{"1.0"}, {"1.0"}]
    assert len(failures()) == 2, "each is told once, however often it is tried"


def test_models_are_loaded_and_unloaded_on_request_and_restored_after_a_restart(repository: Path):
    with serving(repository, "explicit", load=("pipe",)) as server:
        client = server.client()
        assert server.models == ("pipe",)
        assert health(server)[1]["models"].keys() == {"pipe"}
        client.load("plain")
        until(lambda: server.models == ("pipe", "plain"))
        client.unload("pipe")
        until(lambda: server.models == ("plain",))
        until(lambda: health(server)[1]["models"].keys() == {"plain"})
        until(lambda: health(server)[0] == 200)
        with (
            naiad.Client(server.grpc_url, retries=0) as impatient,
            pytest.raises(naiad.Unavailable, match="no available versions"),
        ):
            impatient.infer("pipe", x=[1.0])
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: health(server)[1]["restarts"] == 1 and health(server)[0] == 200)
        assert server.models == ("plain",)
        assert health(server)[1]["models"].keys() == {"plain"}
        client.load("pipe")
        assert client.infer("pipe", x=[1.0])["y"] == [1]


def test_a_model_with_bad_files_at_a_restart_is_reported_and_the_others_serve(repository: Path):
    with serving(repository, "explicit") as server:
        add_version(repository, "plain", 2, "import triton", "raise KeyError\nimport triton")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: health(server)[1]["restarts"] == 1)
        until(lambda: health(server)[1]["state"] == "serving")
        client = server.client()
        assert client.infer("pipe", x=[1.0])["y"] == [1]
        until(lambda: health(server)[0] == 503)
        assert "KeyError" in health(server)[1]["models"]["plain"]["reason"]
        shutil.rmtree(repository / "plain" / "2")
        client.load("plain")
        until(lambda: health(server)[0] == 200)


def test_a_model_that_is_replaced_again_and_again_under_load_answers_and_counts(repository: Path):
    with serving(repository, "explicit") as server, Crowd(server, ("pipe",)) as crowd:
        for _ in range(12):
            server.client().load("pipe")
        counted = server.metric("naiad_requests_total", model="pipe")
        until(lambda: server.metric("naiad_requests_total", model="pipe") > counted > 0)
    assert set(crowd.answers["pipe"]) == {"1.0"}
