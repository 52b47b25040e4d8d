"""The promises of `naiad serve` and `naiad.Server`, with the real Triton."""

import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.support.command import naiad_serve, shown_when_ready, urls_shown
from tests.support.forks import new_processes
from tests.support.triton import FREE, Belongings, copy_model, write_model

import naiad
from naiad import testing
from naiad.core.settings import EngineSettings
from naiad.errors import EngineError
from naiad.triton.engine import assemble, find_engine
from naiad.triton.lint.repository import check_repository
from naiad.triton.log_entries import LogEvent
from naiad.triton.python_environment import default_python
from naiad.triton.server import Server

pytestmark = new_processes

X = np.arange(5, dtype=np.float32)

DOUBLE = """
import naiad


class Double(naiad.Pipeline):
    inputs = {"x": naiad.Tensor("float32", ("n",))}
    outputs = {"y": naiad.Tensor("float32", ("n",))}
    arrays = "numpy"

    def forward(self, batch):
        return {"y": 2 * batch["x"]}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy_model(tmp_path / "models", "identity")
    return tmp_path / "models"


def answers(server: Server) -> bool:
    return np.array_equal(server.client().infer("identity", x=X)["y"], X)


def test_a_started_server_answers_over_grpc_and_http(triton: Server):
    assert "identity" in triton.models
    assert answers(triton)
    with naiad.Client(triton.http_url) as client:
        assert np.array_equal(client.infer("identity", x=X)["y"], X)


def test_the_embedded_engine_has_neither_dali_nor_tensorrt_nor_mlflow():
    home = find_engine().home
    assert [path.name for path in (home / "backends").iterdir()] == ["python"]
    assert not [path for path in home.rglob("*") if "mlflow" in path.name.lower()]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Lay out the embedded Triton as in NVIDIA's containers."""
    engine = find_engine()
    if not engine.is_embedded or engine.stub is None or engine.libraries is None:
        pytest.skip("needs the embedded Triton, and a Python that it has a stub for")
    root = tmp_path / "opt" / "tritonserver"
    shutil.copytree(engine.home / "backends", root / "backends")
    shutil.copytree(engine.home / "bin", root / "bin")
    shutil.copytree(engine.home / "caches", root / "caches")
    shutil.copy(engine.stub, root / "backends" / "python")
    (root / "lib").symlink_to(engine.libraries)
    return root


def test_an_installed_triton_serves_the_same(installed: Path, repository: Path):
    settings = EngineSettings(engine=installed)
    with testing.serve("simple", model_repository=repository, engine=settings) as server:
        assert psutil.Process(server.pid).exe() == str(installed / "bin" / "tritonserver")
        assert answers(server)
        row = np.ones((1, 16), np.int32)
        sums = server.client().infer("simple", INPUT0=row, INPUT1=row)
        assert np.array_equal(sums["OUTPUT0"], row + row)


@pytest.fixture
def with_numpy_2(tmp_path: Path) -> Path:
    """Make an environment that has NumPy 2, or claims to."""
    folder = tmp_path / "numpy2"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python3*/site-packages"))
    (site / "numpy.py").write_text('__version__ = "2.4.6"')
    (site / "numpy-2.4.6.dist-info").mkdir()
    (site / "numpy-2.4.6.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 2.4.6\n")
    return folder


def test_a_model_py_is_refused_if_its_python_has_numpy_2(repository: Path, with_numpy_2: Path):
    wrong = (
        r"identity: its model\.py needs Triton's Python stub: .*/numpy2/bin/python3 has NumPy "
        r"2\.4\.6, .* wrong answers; it needs NumPy 1\. `naiad engine python-environment DIR` makes"
    )
    settings = EngineSettings(python_environment=with_numpy_2)
    with pytest.raises(EngineError, match=wrong):
        Server(repository, **FREE, engine=settings).start()
    report = check_repository(repository, python_environment=with_numpy_2)
    assert [re.match(wrong, f"identity: {one.message}") is None for one in report.findings] == [
        False
    ]
    config = repository / "identity" / "config.pbtxt"
    parameter = f'key: "EXECUTION_ENV_PATH" value {{ string_value: "{with_numpy_2}" }}'
    config.write_text(f"{config.read_text()}\nparameters {{ {parameter} }}")
    with pytest.raises(EngineError, match=wrong):
        Server(repository, **FREE).start()


def test_a_model_py_that_comes_later_is_refused_as_well(tmp_path: Path, with_numpy_2: Path):
    (tmp_path / "models").mkdir()
    events: list[LogEvent] = []
    with Server(
        tmp_path / "models",
        **FREE,
        model_control="poll",
        poll_seconds=1,
        engine=EngineSettings(python_environment=with_numpy_2),
        on_event=events.append,
    ):
        copy_model(tmp_path / "models", "identity")
        deadline = time.monotonic() + 60
        while not (failed := [event for event in events if event.kind == "failed"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert "has NumPy 2.4.6, with which the stub of Triton 24.10 gives wrong" in failed[0].text


def test_a_model_py_runs_in_the_environment_that_its_config_names(repository: Path):
    python = default_python().executable.parents[1]
    config = repository / "identity" / "config.pbtxt"
    parameter = f'key: "EXECUTION_ENV_PATH" value {{ string_value: "{python}" }}'
    config.write_text(f"{config.read_text()}\nparameters {{ {parameter} }}")
    with Server(repository, **FREE) as server:
        assert answers(server)


def test_metrics_count_the_requests(triton: Server):
    before = triton.metric("nv_inference_request_success", model="identity")
    assert answers(triton)
    deadline = time.monotonic() + 10  # Triton counts a little after answering
    while triton.metric("nv_inference_request_success", model="identity") == before:
        assert time.monotonic() < deadline
    assert triton.metric("nv_inference_request_success", model="identity") == before + 1
    assert triton.metric("nv_inference_request_success", model="nobody") == 0


def test_only_this_machine_can_reach_it_by_default(triton: Server):
    connections = psutil.Process(triton.pid).net_connections("tcp")
    listening = [c.laddr for c in connections if c.status == psutil.CONN_LISTEN]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert len({address.port for address in listening}) == 3


def test_a_stopped_server_leaves_nothing(repository: Path):
    server = Server(repository, **FREE)
    with server:
        belongings = Belongings.of(server)
        assert answers(server)
        assert belongings.left()
    assert belongings.left() == []
    server.stop()  # a second time, without effect
    with pytest.raises(EngineError, match="not running"):
        server.client()


def test_a_server_can_be_started_again(repository: Path):
    server = Server(repository, **FREE)
    for _ in range(2):
        with server:
            assert answers(server)
            assert not server.wait(0)
        assert server.wait(0)


def test_progress_is_reported_per_model_and_the_log_is_in_the_chosen_place(
    repository: Path, tmp_path: Path
):
    write_model(repository, "second", (repository / "identity/1/model.py").read_text())
    events: list[LogEvent] = []
    with Server(repository, **FREE, log_dir=tmp_path / "my logs", on_event=events.append) as server:
        log = server.log_path
        assert 0 < server.started_in < 60
    assert log is not None
    assert log.parent == tmp_path / "my logs"
    assert "Started HTTPService" in log.read_text()
    for model in ("identity", "second"):
        assert [e.kind for e in events if e.model == model] == ["loading", "ready"]
    noise = [event for event in events if event.kind in ("warning", "error")]
    assert noise == []


def test_a_request_in_flight_when_the_server_stops_gets_its_answer(repository: Path):
    code = (repository / "identity/1/model.py").read_text()
    arrived = "    def execute(self, requests):\n"
    slow = code.replace(
        arrived,
        f'{arrived}        import pathlib, time; pathlib.Path(__file__ + ".asked").touch()\n'
        "        time.sleep(1.5)\n",
    )
    model = write_model(repository, "slow", slow)
    answer: dict[str, np.ndarray] = {}
    with Server(repository, **FREE) as server:
        client = server.client()
        asking = threading.Thread(target=lambda: answer.update(client.infer("slow", x=X)))
        asking.start()
        while not (model / "1" / "model.py.asked").exists():
            assert asking.is_alive()
    asking.join()
    assert np.array_equal(answer["y"], X)


def test_two_servers_live_side_by_side(repository: Path):
    with Server(repository, **FREE) as first, Server(repository, **FREE) as second:
        assert first.grpc_url != second.grpc_url
        assert answers(first)
        assert answers(second)
        first.stop()
        assert answers(second)


def test_paths_with_spaces_and_quotes_work(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    odd = repository.rename(tmp_path / "Lena's models (new)")
    monkeypatch.setenv("NAIAD_CACHE", str(tmp_path / "a cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the cache's other place
    with Server(odd, **FREE) as server:
        assert answers(server)


def test_every_model_that_does_not_load_is_named_with_its_reason(repository: Path):
    write_model(repository, "unlucky", "class TritonPythonModel:\n  def initialize(self, _): 1 / 0")
    write_model(repository, "needy", "import torchy")
    write_model(repository, "garbled", "def (")
    (write_model(repository, "absent", "") / "1" / "model.py").unlink()
    config = write_model(repository, "misspelt", "") / "config.pbtxt"
    config.write_text(config.read_text() + "\ninputt: 3\n")
    with pytest.raises(EngineError) as caught:
        Server(repository, **FREE).start()
    message = str(caught.value)
    for part in (
        "5 of 6 models did not load",
        r"unlucky: ZeroDivisionError: division by zero\n  at .*/unlucky/1/model\.py:2, in init",
        r"needy: ModuleNotFoundError: No module named 'torchy'",
        r"package torchy is not installed in",
        r"garbled: SyntaxError: invalid syntax \(model\.py, line 1\)",
        r"absent: .*/absent/1/model\.py not found",
        r'misspelt: config.pbtxt, line 8, column 7: .*no field named "inputt"',
    ):
        assert re.search(part, message), f"{part}\n is not in\n{message}"
    log = Path(message.rpartition(" ")[2])
    assert "loading: needy" in log.read_text()  # kept, as the start failed
    log.unlink()
    log.parent.rmdir()  # and nothing else was


def test_a_model_whose_process_dies_while_it_starts_does_not_hang_the_start(
    repository: Path, tmp_path: Path
):
    write_model(repository, "dying", "import os\nos._exit(3)")
    # Triton notices by itself, or waits forever: that depends on how far the process came.
    why = r"dying: .*(exit status 3|\n.*process ended unexpectedly)"
    with pytest.raises(EngineError, match=why):
        Server(repository, **FREE, log_dir=tmp_path / "logs").start()


def test_a_model_that_loads_and_does_not_answer_is_an_error(repository: Path, tmp_path: Path):
    probes = {"identity": {"x": np.zeros(3, np.int64), "y": X}}
    with pytest.raises(EngineError, match="identity has loaded but does not answer its example"):
        Server(repository, **FREE, probes=probes, log_dir=tmp_path).start()


@pytest.fixture
def taken_port() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    with server:
        yield server.server_address[1]


def test_a_port_in_use_is_named_with_its_owner(repository: Path, taken_port: int):
    who = rf"HTTP port {taken_port} is in use by \S+ \(process {os.getpid()}\)"
    with pytest.raises(EngineError, match=who):
        Server(repository, **FREE | {"http_port": taken_port}).start()


def test_a_port_that_is_taken_while_triton_starts_is_named_and_a_free_one_is_replaced(
    repository: Path, taken_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("naiad.triton.ports.is_free", lambda host, port: True)
    with pytest.raises(EngineError, match=f"gRPC port {taken_port} is in use by"):
        Server(repository, **FREE | {"grpc_port": taken_port}, log_dir=tmp_path).start()
    from naiad.triton import ports

    found = ports.free_ports
    answers_to_give = [[taken_port]]

    def unlucky_once(host: str, count: int) -> list[int]:
        return answers_to_give.pop() if answers_to_give else found(host, count)

    monkeypatch.setattr("naiad.triton.ports.free_ports", unlucky_once)
    with Server(repository, **FREE) as server:
        assert answers(server)
    assert not answers_to_give


def test_nothing_to_serve_is_an_error_that_says_so(tmp_path: Path):
    with pytest.raises(EngineError, match="has no models"):
        Server(tmp_path, **FREE).start()
    with pytest.raises(EngineError, match="no such folder"):
        Server(tmp_path / "absent", **FREE).start()


def test_processes_that_make_the_layout_at_once_agree(tmp_path: Path):
    code = (
        "from pathlib import Path; from naiad.triton.engine import assemble, find_engine;"
        f"print(assemble(find_engine(), cache=Path({str(tmp_path)!r})).root)"
    )
    makers = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    roots = {maker.communicate()[0].strip() for maker in makers}
    assert roots == {str(assemble(find_engine(), cache=tmp_path).root)}
    assert [path.name for path in (tmp_path / "engine").iterdir()] == [Path(*roots).name]


def test_a_pipeline_in_a_file_is_served_from_python(tmp_path: Path):
    (tmp_path / "double.py").write_text(DOUBLE)
    with testing.serve(f"{tmp_path / 'double.py'}:Double") as server:
        belongings = Belongings.of(server)
        assert server.models == ("double",)
        assert np.array_equal(server.client().infer("double", x=X)["y"], 2 * X)
    assert belongings.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal_and_then_exits_with_0(
    repository: Path, number: signal.Signals
):
    with naiad_serve("--model-repository", repository) as command:
        urls = urls_shown(shown_when_ready(command))
        uses = ("gRPC", "HTTP", "metrics", "health")
        ports = tuple(int(urls[use].rpartition(":")[2]) for use in uses)
        descendants = psutil.Process(command.pid).children(recursive=True)
        triton = next(process for process in descendants if process.name() == "tritonserver")
        belongings = Belongings.found(triton.pid, ports, Path(urls["log"]).parent)
        with naiad.Client(urls["gRPC"]) as client:
            assert np.array_equal(client.infer("identity", x=X)["y"], X)
        command.send_signal(number)
        _, told = command.communicate(timeout=60)
    assert command.returncode == 0, told
    assert re.search(r"identity loading\n.*identity loaded\n", told, re.DOTALL)
    assert told.rstrip().endswith("stopped")
    assert belongings.left() == []


def test_the_command_shows_an_example_call_that_runs(tmp_path: Path):
    (tmp_path / "double.py").write_text(DOUBLE)
    with naiad_serve(f"{tmp_path / 'double.py'}:Double") as command:
        shown = shown_when_ready(command)
        call = shown[shown.index("import ") : shown.index("Ctrl-C")]
        answer = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True)
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=60)
    assert answer.returncode == 0, f"{call}\n{answer.stderr}"
    assert answer.stdout.startswith("{'y': array([")


def test_the_command_fails_with_one_plain_message(repository: Path, tmp_path: Path):
    write_model(repository, "needy", "import torchy")
    logs = tmp_path / "logs"
    with naiad_serve("--model-repository", repository, "--log-dir", logs) as command:
        _, told = command.communicate(timeout=60)
    assert command.returncode == 1
    assert "error: 1 of 2 models did not load:" in told
    assert "Traceback" not in told
