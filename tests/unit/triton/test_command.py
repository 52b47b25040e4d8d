from pathlib import Path
from typing import Any

import pytest
from tests.support.triton import copy_model

from naiad.core.settings import ServeSettings
from naiad.errors import EngineError
from naiad.triton import command
from naiad.triton.command import (
    asks_for_tls,
    check_repositories,
    check_settings,
    command_line,
    exits_on_error,
    is_complete,
    model_directories,
    services,
)
from naiad.triton.endpoints import Endpoints, TritonSockets
from naiad.triton.engine import Engine, Layout
from naiad.triton.python_environment import running_python

PORTS = {"HTTP": 1, "gRPC": 2, "metrics": 3}
ENDPOINTS = Endpoints("127.0.0.1", PORTS, control_key="the-key")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy_model(tmp_path / "models", "identity")
    return tmp_path / "models"


EMBEDDED = Engine("2.51.0", Path("/triton"), Path("/libs"), running_python(), Path("/stub"))


def line_for(
    repository: Path,
    tmp_path: Path,
    endpoints: Endpoints = ENDPOINTS,
    engine: Engine = EMBEDDED,
    **changes: object,
) -> list[str]:
    return command_line(
        Layout(engine, Path("/layout")),
        [repository],
        ServeSettings(**changes),
        endpoints,
        shared_memory="naiad-1-",
        links=tmp_path,
    )


def test_triton_listens_only_where_it_is_told(repository: Path, tmp_path: Path):
    line = line_for(repository, tmp_path, Endpoints("10.0.0.1", PORTS))
    for service, port in (("http", 1), ("grpc", 2), ("metrics", 3)):
        assert f"--{service}-address=10.0.0.1" in line
        assert f"--{service}-port={port}" in line


def test_ipv6_is_written_as_each_of_tritons_servers_reads_it(repository: Path, tmp_path: Path):
    line = line_for(repository, tmp_path, Endpoints("::1", PORTS))
    assert {"--http-address=ipv6:::1", "--grpc-address=[::1]", "--metrics-address=ipv6:::1"} <= {
        *line
    }


def test_behind_a_gate_triton_listens_on_sockets_alone(repository: Path, tmp_path: Path):
    sockets = TritonSockets(Path("/run/triton"))
    line = line_for(repository, tmp_path, Endpoints("0.0.0.0", PORTS, sockets=sockets))
    assert "--http-address=unix:/run/triton/http" in line
    assert {"--grpc-address=unix:/run/triton/grpc", "--grpc-port=8001"} <= {*line}
    assert "--metrics-address=unix:/run/triton/metrics" in line
    assert not [option for option in line if "0.0.0.0" in option]


def test_administration_asks_for_the_key_and_other_front_ends_are_off(
    repository: Path, tmp_path: Path
):
    line = line_for(repository, tmp_path)
    groups = "shared-memory,model-repository,logging,trace"
    assert f"--http-restricted-api={groups}:naiad-control-key=the-key" in line
    assert f"--grpc-restricted-protocol={groups}:naiad-control-key=the-key" in line
    assert {"--allow-sagemaker=false", "--allow-vertex-ai=false"} <= {*line}


def test_what_the_user_adds_comes_last_so_that_it_wins(repository: Path, tmp_path: Path):
    line = line_for(repository, tmp_path, arguments=("--log-verbose=1",))
    assert line[-1] == "--log-verbose=1"
    assert line[0] == "/triton/bin/tritonserver"


def test_a_machine_without_gpu_is_not_asked_for_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for has_gpu in (False, True):
        monkeypatch.setattr(command, "has_gpu", lambda found=has_gpu: found)
        assert ("--allow-gpu-metrics=false" in line_for(repository, tmp_path)) is not has_gpu


def test_explicit_control_loads_every_model_at_the_start(repository: Path, tmp_path: Path):
    assert "--load-model=*" in line_for(repository, tmp_path, model_control="explicit")
    assert "--load-model=*" not in line_for(repository, tmp_path)


def test_a_repository_with_spaces_in_its_path_is_linked(repository: Path, tmp_path: Path):
    odd = repository.rename(tmp_path / "my models")
    (argument,) = [
        part.partition("=")[2]
        for part in line_for(odd, tmp_path)
        if part.startswith("--model-repository=")
    ]
    assert " " not in argument
    assert Path(argument).resolve() == odd


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('backend: "python"', 'platform: "tensorrt_plan"'),
        ('output [ { name: "y" data_type: TYPE_FP32 dims: [ -1 ] } ]', ""),
        ("name:", "nom:"),
    ],
)
def test_triton_completes_configurations_only_where_something_is_missing(
    repository: Path, tmp_path: Path, before: str, after: str
):
    assert is_complete(repository)
    assert "--disable-auto-complete-config" in line_for(repository, tmp_path)
    config = repository / "identity" / "config.pbtxt"
    assert before in config.read_text()
    config.write_text(config.read_text().replace(before, after))
    assert not is_complete(repository)
    assert "--disable-auto-complete-config" not in line_for(repository, tmp_path)


def test_models_are_folders_with_a_configuration_or_a_version(repository: Path):
    (repository / "plain" / "1").mkdir(parents=True)
    (repository / "notes").mkdir()
    (repository / "README.md").touch()
    assert [path.name for path in model_directories(repository)] == ["identity", "plain"]


def test_what_cannot_be_served_is_said_before_triton_starts(repository: Path, tmp_path: Path):
    check_repositories([repository])
    with pytest.raises(EngineError, match="no model repository"):
        check_repositories([])
    with pytest.raises(EngineError, match="absent: no such folder"):
        check_repositories([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineError, match="has no models"):
        check_repositories([repository, tmp_path / "empty"])


@pytest.mark.parametrize(
    ("settings", "exits"),
    [
        ({}, True),
        ({"exit_on_error": False}, False),
        ({"arguments": ("--exit-on-error=false",)}, False),
        ({"exit_on_error": False, "arguments": ("--exit-on-error=true",)}, True),
    ],
)
def test_a_model_that_does_not_load_stops_the_others_unless_asked(
    repository: Path, tmp_path: Path, settings: dict[str, Any], exits: bool
):
    assert exits_on_error(ServeSettings(**settings)) is exits
    given = [one for one in line_for(repository, tmp_path, **settings) if "exit-on-error" in one]
    assert given[-1:] == ([f"--exit-on-error={str(exits).lower()}"] if settings else [])


def test_a_configuration_that_its_model_py_completes_is_not_complete(repository: Path):
    assert is_complete(repository)
    with (repository / "identity" / "1" / "model.py").open("a") as file:
        file.write("\n\nclass Own:\n    @staticmethod\n    def auto_complete_config(config): ...\n")
    assert not is_complete(repository)


def test_models_are_loaded_and_polled_as_said(repository: Path, tmp_path: Path):
    line = line_for(repository, tmp_path, model_control="explicit", load=("a", "b"))
    assert [part for part in line if "load-" in part] == ["--load-model=a", "--load-model=b"]
    line = line_for(repository, tmp_path, model_control="poll", poll_seconds=3)
    assert "--repository-poll-secs=3" in line
    assert not any("load-model" in part for part in line)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_control": "sometimes"}, "must be none or poll or explicit"),
        ({"poll_seconds": 0}, "poll_seconds is 0 s; it must be at least 1"),
        ({"model_control": "explicit", "load": ("identiti",)}, "did you mean identity"),
    ],
)
def test_settings_that_cannot_be_are_refused(repository: Path, changes: dict, message: str):
    with pytest.raises(EngineError, match=message):
        check_settings([repository], ServeSettings(**changes))


def test_a_repository_may_be_empty_where_models_may_come_later(tmp_path: Path):
    for control in ("poll", "explicit"):
        check_settings([tmp_path], ServeSettings(model_control=control))
    with pytest.raises(EngineError, match="has no models"):
        check_settings([tmp_path], ServeSettings())


@pytest.mark.parametrize(
    ("arguments", "encrypted"),
    [
        ((), False),
        (("--grpc-use-ssl=true",), True),
        (("--grpc-use-ssl",), True),
        (("--log-verbose=1", "--grpc-use-ssl-mutual=1"), True),
        (("--grpc-use-ssl=false",), False),
        (("--grpc-server-cert=/a/server.pem",), False),
    ],
)
def test_whether_grpc_has_tls(arguments: tuple[str, ...], encrypted: bool) -> None:
    assert asks_for_tls(arguments) == encrypted


def test_a_service_that_is_off_is_not_waited_for() -> None:
    assert services(()) == {"http", "grpc", "metrics"}
    assert services(("--allow-metrics=false", "--allow-grpc=true")) == {"http", "grpc"}
    assert services(("--allow-metrics=0", "--log-verbose=0")) == {"http", "grpc"}
    assert services(("--allow-gpu-metrics=false",)) == {"http", "grpc", "metrics"}


def test_the_services_that_naiad_needs_cannot_be_off(repository: Path) -> None:
    settings = ServeSettings(arguments=("--allow-grpc=false",))
    with pytest.raises(EngineError, match="--allow-grpc=false: Naiad itself asks Triton over"):
        check_settings([repository], settings)


def test_later_versions_are_told_to_take_requests_as_large_as_2_51_does(
    repository: Path, tmp_path: Path
):
    option = "--http-max-input-size=2147483647"
    assert option not in line_for(repository, tmp_path)
    for name, known, given in (("newer", "--http-max-input-size", True), ("older", "--id", False)):
        program = tmp_path / name / "bin" / "tritonserver"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho '  {known} <integer>'\nexit 1\n")
        program.chmod(0o755)
        engine = Engine("unknown", tmp_path / name, None, running_python(), None)
        line = line_for(repository, tmp_path, engine=engine)
        assert (option in line) == given


def test_only_with_a_collector_are_headers_forwarded(repository: Path, tmp_path: Path):
    def forwarding(**settings: object) -> list[str]:
        line = line_for(repository, tmp_path, **settings)
        return [option for option in line if "header-forward-pattern" in option]

    assert not forwarding()
    assert forwarding(otlp="http://localhost:4318") == [
        "--http-header-forward-pattern=(?i)traceparent",
        "--grpc-header-forward-pattern=(?i)traceparent",
    ]
