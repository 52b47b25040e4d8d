"""The C++ client through the real Triton, built here if there is a compiler.

With NAIAD_FULL=1 in the environment it is built with the address and undefined-behaviour
sanitizers, and the threads send 1,000 events each, once more with the thread sanitizer. Each takes
a minute or two more to compile.
"""

from __future__ import annotations

import math
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import h5py
import numpy as np
import pytest
from tests.support.certificates import Authority
from tests.support.cpp import build, missing, run
from tests.support.forks import naiad
from tests.support.full import FULL
from tests.support.markdown import ROOT, blocks
from tests.support.ports import free_port, free_ports
from tests.support.proxy import proxy
from tritonclient.grpc import InferenceServerClient, service_pb2, service_pb2_grpc

from naiad import testing
from naiad.applications.nugraph.events import Event, open_events, write_events
from naiad.applications.nugraph.simulate import simulate
from naiad.control_key import GRPC_HEADER, VARIABLE, find_key
from naiad.core.schema import TRITON_NAMES
from naiad.core.settings import GateSettings
from naiad.gate.certificates import make_certificate
from naiad.gate.keys import add_key
from naiad.triton.server import Server

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.timeout(1200),  # the first test builds
]

CLIENT = ROOT / "clients" / "cpp"
EVERY_TYPE = f"{CLIENT / 'tests' / 'every_type.py'}:EveryType"
HOUR = 3_600_000
NAIAD = naiad()
# gRPC and protobuf are built without the sanitizer, which sees neither their inside nor their
# locks, so that it would report races. It sees all of our own code.
TSAN = "ignore_noninstrumented_modules=1 halt_on_error=1"


@pytest.fixture(scope="module")
def programs() -> Path:
    return build("address,undefined" if FULL else "")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    # With a health port it is supervised, and restarted when it dies.
    models = ("nugraph3", "nugraph2", "simple", EVERY_TYPE)
    with testing.serve(*models, instances=1, health_port=0) as server:
        yield server


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.h5"
    write_events(path, simulate(6, seed=3))
    return path


def taken(event: Event, hits: slice | np.ndarray, spacepoints: slice = slice(None)) -> Event:
    return Event(
        *event.id,
        {name: column[hits] for name, column in event.hits.items()},
        {name: column[spacepoints] for name, column in event.spacepoints.items()},
    )


def changed(event: Event, table: str, column: str, row: int, value: float) -> Event:
    tables = {"hits": dict(event.hits), "spacepoints": dict(event.spacepoints)}
    tables[table][column] = tables[table][column].copy()
    tables[table][column][row] = value
    return Event(*event.id, tables["hits"], tables["spacepoints"])


def words(*urls: str, **options: object) -> list[str]:
    """Return the driver's arguments."""
    given = [("url", url) for url in urls] + [*options.items()]
    return [word for name, value in given for word in (f"--{name.replace('_', '-')}", str(value))]


def driver(programs: Path, command: str, *given: str | dict[str, str], **options: object) -> str:
    """Run the driver with these URLs and environment; return its output."""
    urls = [url for url in given if isinstance(url, str)]
    environment = {
        name: value for more in given if isinstance(more, dict) for name, value in more.items()
    }
    return run(programs / "driver", command, *words(*urls, **options), **environment)


def test_the_unit_tests_pass_without_a_server(programs: Path) -> None:
    run(programs / "unit")


@pytest.mark.parametrize("way", [{}, {"gzip": 1}, {"shared_memory": 1}], ids=["", "gzip", "shared"])
def test_every_sample_has_the_bytes_of_the_python_client(
    programs: Path, server: Server, tmp_path: Path, way: dict[str, int]
) -> None:
    small = next(iter(simulate(1, seed=1)))
    nothing = slice(0, 0)
    samples = [
        *simulate(3, seed=11),
        next(iter(simulate(1, seed=12, size="large"))),
        taken(small, nothing, nothing),
        taken(small, nothing),
        taken(small, slice(0, 1)),
        taken(small, slice(None), nothing),
        taken(small, small.hits["local_plane"] != 1),
        changed(small, "spacepoints", "hit_id_v", 3, 99_999),
    ]
    files = [tmp_path / "samples.h5"]
    bare = [taken(event, slice(None)) for event in samples]  # without truth: some have it, some not
    write_events(files[0], bare)
    golden = ROOT.parent / "shared" / "data" / "nugraph3" / "event_small.h5"
    files += [golden] if golden.exists() else []
    client = server.client()
    for number, file in enumerate(files):
        (folder := tmp_path / str(number)).mkdir()
        driver(programs, "outputs", server.grpc_url, file=file, to=folder, **way)
        expected = {}
        with open_events(file, truth=False) as read:
            for place, event in enumerate(read):
                for name, array in client.infer("nugraph3", event.arrays()).items():
                    head = f"{TRITON_NAMES[array.dtype.name]} {list(array.shape)}\n"
                    expected[f"{place}.{name}"] = head.encode() + array.tobytes()
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected


def test_every_datatype_makes_the_round_trip_by_a_generated_header(
    programs: Path, server: Server
) -> None:
    assert driver(programs, "every", server.grpc_url) == "same, 10, 4\n"


def printed(*command: str | Path) -> tuple[str, str, int]:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "80"},
    )
    out = "\n".join(line.rstrip() for line in done.stdout.splitlines())
    out = re.sub(r" in [\d.]+ s, [\d.]+ per second", "", out)
    return out, done.stderr, done.returncode


@pytest.mark.parametrize("chosen", ["0", "1:3", ":"])
@pytest.mark.parametrize("model", ["nugraph3", "nugraph2"])
def test_the_example_prints_what_the_command_prints(
    programs: Path, server: Server, events: Path, tmp_path: Path, model: str, chosen: str
) -> None:
    with open_events(events, truth=False) as read:
        some = [taken(event, slice(None)) for event in read]
    some[1] = changed(some[1], "spacepoints", "hit_id_u", 0, 55_555)
    some[2] = changed(some[2], "hits", "local_plane", 4, 3)
    write_events(tmp_path / "some.h5", some)
    same = (
        tmp_path / "some.h5",
        "--events",
        chosen,
        "--url",
        server.grpc_url,
        "--concurrency",
        "1",
    )
    example = programs / "_deps" / "naiad-build" / "examples" / "nugraph_infer"
    ours = printed(example, "--model", model, *same)
    assert ours == printed(*NAIAD, "infer", model, *same)
    assert ours[2] == (0 if chosen == "0" else 1)  # the third is refused


def test_a_server_s_error_is_an_exception_with_its_code(
    programs: Path, server: Server, events: Path, tmp_path: Path
) -> None:
    with open_events(events, truth=False) as read:
        event = taken(read[0], slice(None))
    write_events(tmp_path / "bad.h5", [changed(event, "hits", "local_plane", 2, 3)])
    said = driver(programs, "error", server.grpc_url, file=tmp_path / "bad.h5")
    assert said == (
        "INVALID_ARGUMENT: hit_table_local_plane[2] is 3; it must be 0 (u), 1 (v) or 2 (y)\n"
    )
    said = driver(programs, "error", server.grpc_url, file=events, model="nugraph9")
    assert said.startswith("NOT_FOUND: Request for unknown model: 'nugraph9'")
    said = driver(programs, "error", server.grpc_url, file=events, timeout_ms=1)
    assert said.startswith("DEADLINE_EXCEEDED: no answer from grpc://")
    port = free_port()
    said = driver(programs, "error", f"127.0.0.1:{port}", file=events, rounds=0)
    assert said.startswith(f"UNAVAILABLE: no server answers at grpc://127.0.0.1:{port} (")


def test_another_server_answers_for_a_missing_one_and_the_fallback_for_all(
    programs: Path, server: Server, events: Path
) -> None:
    ports = free_ports(2)
    away = [f"127.0.0.1:{port}" for port in ports]
    said = driver(programs, "fallback", *away, server.grpc_url, file=events)
    assert said == "server\nserver\n"
    with open_events(events, truth=False) as read:
        hits = len(read[0].hits["hit_id"])
    said = driver(programs, "fallback", *away, file=events, rounds=1)
    assert said == f"UNAVAILABLE, {hits} hits: fallback\n" * 2


def test_threads_share_a_client(programs: Path, server: Server, events: Path) -> None:
    each = 1000 if FULL else 10
    said = driver(programs, "threads", server.grpc_url, file=events, threads=8, events=each)
    assert said == f"answered {8 * each}, wrong 0, failed 0\n"


@pytest.mark.skipif(not FULL, reason="takes minutes to build: NAIAD_FULL=1")
def test_threads_share_a_client_without_a_race(server: Server, events: Path) -> None:
    programs = build("thread", "driver", "unit")
    run(programs / "unit", TSAN_OPTIONS=TSAN)
    options = words(server.grpc_url, file=events, threads=8, events=1000, shared_memory=1)
    said = run(programs / "driver", "threads", *options, TSAN_OPTIONS=TSAN)
    assert said == "answered 8000, wrong 0, failed 0\n"


@contextmanager
def running(programs: Path, *urls: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """Run the driver's command `run`, and end it however the test ends."""
    command = [programs / "driver", "run", *words(*urls, **options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


def wait_for(program: subprocess.Popen[str], line: str) -> None:
    assert program.stdout is not None
    assert any(said == line for said in program.stdout), "it ended early"


def test_a_server_killed_and_restarted_loses_no_event(
    programs: Path, server: Server, events: Path
) -> None:
    # The waits are so short that a default number of attempts would end before it is back.
    waits = {"first_wait_ms": 5, "longest_wait_ms": 5}
    options = {"file": events, "events": 60, "timeout_ms": HOUR, **waits}
    with running(programs, server.grpc_url, **options) as program:
        wait_for(program, "answered 10, wrong 0\n")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        wait_for(program, "answered 60, wrong 0\n")
        assert program.wait(60) == 0


def test_keep_alive_notices_a_server_that_falls_silent(
    programs: Path, server: Server, events: Path
) -> None:
    with (
        proxy(server.grpc_url) as between,
        running(
            *(programs, between.url, server.grpc_url),
            file=events,
            events=40,
            keep_alive_ms=1000,
            timeout_ms=HOUR,
        ) as program,
    ):
        wait_for(program, "answered 5, wrong 0\n")
        between.freeze()
        wait_for(program, "answered 40, wrong 0\n")
        assert program.wait(60) == 0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def test_tls_with_certificates_of_both_sides(
    programs: Path, authority: Authority, tmp_path: Path
) -> None:
    (certificate, key), (own, own_key) = authority.issue("127.0.0.1"), authority.issue("client")
    options = (
        *("--grpc-use-ssl=true", "--grpc-use-ssl-mutual=true"),
        *(f"--grpc-server-cert={certificate}", f"--grpc-server-key={key}"),
        f"--grpc-root-cert={authority.ca}",
    )
    identity = {"certificate": own, "key": own_key}
    with testing.serve("simple", EVERY_TYPE, arguments=options) as server:
        url = server.grpc_url.replace("grpc://", "grpcs://")
        said = driver(programs, "every", url, ca=authority.ca, **identity)
        assert said == "same, 10, 4\n"
        said = driver(programs, "every", url, {"NAIAD_CA": str(authority.ca)}, **identity)
        assert said == "same, 10, 4\n"
        wrong = Authority(tmp_path, "wrong").ca
        for files in ({"ca": wrong, **identity}, {"ca": authority.ca}):
            with pytest.raises(AssertionError, match=r"Unavailable|ended with"):
                driver(programs, "every", url, rounds=0, **files)


class Inspector(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A server that refuses every request and records its metadata."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}
        self.registering: dict[str, str] = {}
        self.refusal = (grpc.StatusCode.UNAUTHENTICATED, "who is it")

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.seen = metadata_of(context)
        context.abort(*self.refusal)

    def SystemSharedMemoryRegister(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.registering = metadata_of(context)
        context.abort(grpc.StatusCode.UNAVAILABLE, "This protocol is restricted, expecting header")


def metadata_of(context: grpc.ServicerContext) -> dict[str, str]:
    return {name: str(value) for name, value in context.invocation_metadata() or ()}


@contextmanager
def inspected(
    *addresses: str, certificate: tuple[Path, Path] | None = None
) -> Iterator[tuple[Inspector, int]]:
    """Run an `Inspector` at some addresses; yield it and its port."""
    inspector = Inspector()
    with served(inspector, *addresses, certificate=certificate) as port:
        yield inspector, port


@contextmanager
def served(
    servicer: service_pb2_grpc.GRPCInferenceServiceServicer,
    *addresses: str,
    certificate: tuple[Path, Path] | None = None,
) -> Iterator[int]:
    """Serve on a free port and at some addresses; yield the port."""
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
        if certificate:
            pem, key = (path.read_bytes() for path in certificate)
            credentials = grpc.ssl_server_credentials([(key, pem)])
            port = server.add_secure_port("127.0.0.1:0", credentials)
        else:
            port = server.add_insecure_port("127.0.0.1:0")
        for address in addresses:
            server.add_insecure_port(address)
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


def said_by(programs: Path, events: Path, *given: str | dict[str, str], **options: object) -> str:
    return driver(programs, "error", *given, file=events, **{"rounds": 0, **options}).strip()


def test_an_api_key_is_sent_with_every_call_and_a_refusal_is_not_retried(
    programs: Path, events: Path
) -> None:
    with inspected() as (inspector, port):
        url = f"127.0.0.1:{port}"
        key = {"NAIAD_API_KEY": "of the environment"}
        said = said_by(programs, events, url, key, rounds=99, timeout_ms=HOUR)
        assert (said, inspector.seen["x-api-key"]) == (
            "UNAUTHENTICATED: who is it",
            "of the environment",
        )
        said_by(programs, events, url, key, api_key="given")
        assert inspector.seen["x-api-key"] == "given"
        said = said_by(programs, events, url)
        assert said.startswith("UNAUTHENTICATED: who is it; no API key was sent: set options.api_k")
        assert "x-api-key" not in inspector.seen
        inspector.refusal = (grpc.StatusCode.PERMISSION_DENIED, "not this model")
        said = said_by(programs, events, url, rounds=99, timeout_ms=HOUR)
        assert said == "PERMISSION_DENIED: not this model"
        inspector.refusal = (grpc.StatusCode.UNIMPLEMENTED, "grpc-encoding is not taken")
        said = said_by(programs, events, url, gzip=1)
        assert said.startswith(
            "UNIMPLEMENTED: the server does not take compressed messages: set options"
        )


def test_a_unix_socket_may_have_any_path(programs: Path, events: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a b:8001%41?#"
    with inspected(f"unix:{tmp_path}/plain") as (inspector, _):
        odd.symlink_to(tmp_path / "plain")
        for url in (f"unix:{odd}", f"unix://{odd}"):
            inspector.seen.clear()
            said = said_by(programs, events, url, {"NAIAD_API_KEY": "sesame"})
            assert (said, inspector.seen["x-api-key"]) == ("UNAUTHENTICATED: who is it", "sesame")
    said = said_by(programs, events, f"unix:{tmp_path}/nobody")
    assert said == (
        f"UNAVAILABLE: no server answers at unix:{tmp_path}/nobody (No such file or directory); "
        "is `naiad serve --socket` running there?"
    )


def test_this_machine_is_reached_without_the_proxy_and_an_error_elsewhere_names_it(
    programs: Path, events: Path, tmp_path: Path
) -> None:
    away = free_port()
    url = f"http://me:secret@127.0.0.1:{away}"
    environment = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), url)
    with inspected(f"unix:{tmp_path}/socket") as (_, port):
        for here in (f"127.0.0.1:{port}", f"unix:{tmp_path}/socket"):
            said = said_by(programs, events, here, environment)
            assert said.startswith("UNAUTHENTICATED: who is it")
    said = said_by(programs, events, "gpu.invalid:8001", environment)
    assert f"through the proxy 127.0.0.1:{away} (grpc_proxy); add gpu.invalid to no_proxy" in said
    assert "secret" not in said
    said = said_by(programs, events, "gpu.invalid:8001", {**environment, "no_proxy": ".invalid"})
    assert "no such host is known" in said
    assert "proxy" not in said


def test_a_wrong_certificate_is_named_with_the_remedy(
    programs: Path, events: Path, authority: Authority, tmp_path: Path
) -> None:
    ca, wrong = authority.ca, Authority(tmp_path, "wrong").ca
    with inspected(certificate=authority.issue("127.0.0.1")) as (_, port):
        url = f"grpcs://127.0.0.1:{port}"
        assert said_by(programs, events, url, ca=ca).startswith("UNAUTHENTICATED: who is it")
        said = said_by(programs, events, url, ca=wrong)
        assert said == (
            f"UNAVAILABLE: no connection to {url}: its certificate has expired, or is not signed "
            f"by an authority of {wrong}"
        )
        assert "give tls.ca_certificate, or NAIAD_CA" in said_by(programs, events, url)
        said = said_by(programs, events, f"127.0.0.1:{port}")
        assert "it does not speak gRPC, or only with TLS (grpcs://)" in said
    with inspected(certificate=authority.issue("gpu.example.org")) as (_, port):
        said = said_by(programs, events, f"grpcs://127.0.0.1:{port}", ca=ca)
        assert said.endswith("its certificate is not for this host")
    with inspected() as (_, port):
        said = said_by(programs, events, f"grpcs://127.0.0.1:{port}", ca=ca)
        assert said.endswith(
            f"it does not speak TLS; without it, the address is grpc://127.0.0.1:{port}"
        )
    certificate, key = authority.issue("client")
    for files, why in (
        ({"ca": events}, f"{events} has no CERTIFICATE in PEM format"),
        ({"ca": key}, f"{key} has no CERTIFICATE in PEM format"),
        (
            {"ca": ca, "certificate": certificate, "key": authority.issue("other")[1]},
            "private_key is not that of certificate",
        ),
    ):
        said = said_by(programs, events, "grpcs://127.0.0.1:1", **files)
        assert said.startswith("INVALID_ARGUMENT: ")
        assert said.endswith(why)


def regions(server: Server) -> int:
    """Return the number of the server's shared-memory regions."""
    key = find_key(port_of(server))
    with closing(InferenceServerClient(server.grpc_url.removeprefix("grpc://"))) as client:
        status = client.get_system_shared_memory_status(headers={GRPC_HEADER: str(key)})
    return len(cast("Any", status).regions)


def port_of(server: Server) -> int:
    return int(server.grpc_url.rpartition(":")[2])


def test_shared_memory_is_used_only_with_the_control_key(
    programs: Path,
    server: Server,
    events: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere = str(tmp_path)

    def shares(**environment: str) -> bool:
        options = words(server.grpc_url, file=events, events=30, shared_memory=1)
        command = [programs / "driver", "run", *options]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | environment
        ) as program:
            try:
                wait_for(program, "answered 5, wrong 0\n")
                found = regions(server) > 0
                wait_for(program, "answered 30, wrong 0\n")
                assert program.wait(60) == 0
            finally:
                program.kill()
        assert regions(server) == 0
        return found

    monkeypatch.delenv(VARIABLE, raising=False)
    assert shares()
    assert not shares(XDG_RUNTIME_DIR=nowhere)
    assert not shares(**{VARIABLE: "that-of-another-server"})
    key = find_key(port_of(server))
    assert key
    assert shares(XDG_RUNTIME_DIR=nowhere, **{VARIABLE: key})


def test_the_gate_admits_clients_with_a_key(programs: Path, events: Path, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.json", "somebody")
    certificate, private_key = make_certificate(["127.0.0.1"], tmp_path, days=2)
    gate = GateSettings(api_keys=tmp_path / "keys.json", tls_cert=certificate, tls_key=private_key)
    with testing.serve("simple", EVERY_TYPE, gate=gate) as server:
        url = server.grpc_url
        options = {"ca": certificate, "api_key": key}
        assert driver(programs, "every", url, **options) == "same, 10, 4\n"
        # A key without control rights gets answers, but shares no memory.
        environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
        said = driver(programs, "every", url, environment, **options, shared_memory=1)
        assert said == "same, 10, 4\n"
        said = said_by(programs, events, url, ca=certificate)
        assert said.startswith("UNAUTHENTICATED: ")
        assert "no API key was sent" in said
        said = said_by(programs, events, url, ca=certificate, api_key="naiad_" + "x" * 43)
        assert said.startswith("UNAUTHENTICATED: ")
        assert "xxx" not in said
        assert "set options.gzip = false" in said_by(programs, events, url, **options, gzip=1)


def test_shared_memory_also_works_through_a_unix_socket(programs: Path, tmp_path: Path) -> None:
    path = tmp_path / "naiad.sock"
    with testing.serve("simple", EVERY_TYPE, gate=GateSettings(socket=path)):
        assert driver(programs, "every", f"unix:{path}") == "same, 10, 4\n"
        assert driver(programs, "every", f"unix:{path}", shared_memory=1) == "same, 10, 4\n"


def test_the_control_key_goes_with_shared_memory_calls_only(programs: Path, events: Path) -> None:
    with inspected() as (inspector, port):
        url = f"127.0.0.1:{port}"
        said_by(programs, events, url, {VARIABLE: "key-of-the-test"}, shared_memory=1)
        assert inspector.registering[GRPC_HEADER] == "key-of-the-test"
        assert inspector.seen
        assert GRPC_HEADER not in inspector.seen


SIZES = (-(2**63), -1, 0, 1, 2, 3, 4, 7, 2**31, 2**32 + 1, 2**61, 2**62, 2**63 - 1)
TYPES = (
    "BOOL",
    "UINT8",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
    "BF16",
    "",
    "FP32" * 99,
)
OUTPUTS = {
    "e_evt": (1, 4),
    **{f"x_semantic_{plane}": (2, 7) for plane in "uvy"},
    **{f"x_filter_{plane}": (2,) for plane in "uvy"},
    "v_evt": (1, 3),
    "unknown_hits": (1,),
}


class Liar(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A server that answers like NuGraph3, except for a few things, different each time."""

    def __init__(self) -> None:
        self.random = random.Random(13)

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        reply = service_pb2.ModelInferResponse(model_name="nugraph3")
        for name, shape in OUTPUTS.items():
            datatype = "INT32" if name == "unknown_hits" else "FP32"
            reply.outputs.add(name=name, datatype=datatype, shape=shape)
            reply.raw_output_contents.append(bytes(4 * math.prod(shape)))
        for _ in range(self.random.randrange(4)):
            self.falsify(reply, context)
        return reply

    def falsify(self, reply: Any, context: grpc.ServicerContext) -> None:
        choose, number = self.random.choice, self.random.randrange(len(OUTPUTS))
        match self.random.randrange(8):
            case 0 if number < len(reply.outputs):
                reply.outputs[number].shape[:] = [
                    choose(SIZES) for _ in range(self.random.randrange(5))
                ]
            case 1 if number < len(reply.outputs):
                reply.outputs[number].datatype = choose(TYPES)
            case 2 if number < len(reply.raw_output_contents):
                reply.raw_output_contents[number] = self.random.randbytes(choose((0, 1, 3, 8, 999)))
            case 3 if number < len(reply.outputs):
                reply.outputs[number].datatype = "BYTES"
                length = choose((0, 1, 2**31, 2**32 - 1)).to_bytes(4, "little")
                reply.raw_output_contents[number] = length * self.random.randrange(9)
                reply.outputs[number].shape[:] = [choose(SIZES)]
            case 4:
                del reply.outputs[number:]
            case 5:
                del reply.raw_output_contents[number:]
            case 6 if number < len(reply.outputs):
                reply.outputs[number].name = choose((*OUTPUTS, "", "x" * 9999))
            case 7 if number == 0:
                said = choose(("", "\x1b[2J", "Stub process ", "[request id: ", "At:\n", "é" * 999))
                context.abort(choose(list(grpc.StatusCode)[1:]), said)
            case _:
                pass


def test_no_answer_of_a_server_harms_a_client(programs: Path, events: Path) -> None:
    with served(Liar()) as port:
        url = f"127.0.0.1:{port}"
        said = driver(programs, "hostile", url, file=events, events=2000, rounds=0, timeout_ms=HOUR)
    found = re.fullmatch(r"values, read (\d+), refused (\d+)\n", said)
    assert found
    assert min(int(found[1]), int(found[2])) > 200


HITS = ("hit_id", "local_plane", "local_time", "local_wire", "integral", "rms")
SPACEPOINTS = ("spacepoint_id", "hit_id_u", "hit_id_v", "hit_id_y")


def vast(group: h5py.Group, name: str, *shape: int, dtype: str = "i8") -> None:
    """Make a dataset that claims to be large, and is empty."""
    group.create_dataset(
        *(name, shape, dtype), maxshape=(None, *shape[1:]), chunks=(64, *shape[1:])
    )


def pynuml(file: h5py.File, rows: int) -> h5py.Group:
    for table, columns in (("hit_table", HITS), ("spacepoint_table", SPACEPOINTS)):
        for column in columns:
            vast(file.require_group(table), column, rows, 1, dtype="i4")
    return file["hit_table"]


def pandas_fixed(file: h5py.File) -> h5py.Group:
    for table, columns in (("hit_table", HITS), ("spacepoint_table", SPACEPOINTS)):
        group = file.create_group(table)
        group["axis0"] = group["block0_items"] = np.array(columns, "S")
        group["block0_values"] = np.ones((2, len(columns)), "i8")
        for level in range(3):
            group[f"axis1_level{level}"] = group[f"axis1_label{level}"] = np.arange(2)
    return file["hit_table"]


def as_other(group: h5py.Group, name: str, data: object) -> None:
    del group[name]
    group[name] = data


def as_vast(group: h5py.Group, name: str, *shape: int, dtype: str = "i8") -> None:
    del group[name]
    vast(group, name, *shape, dtype=dtype)


COUNTS = [[0, 2**63 - 1], [1, 2**63 - 1], [2, 4]]  # 2 in 64 bits
DAMAGED: dict[str, Callable[[h5py.File], object]] = {
    "more rows than memory": lambda file: pynuml(file, 2**34),
    "more rows than can be counted": lambda file: pynuml(file, 2**63 - 1),
    "ids": lambda file: (
        vast(file.create_group("event_table"), "event_id", 2**62, 3) or pynuml(file, 2)
    ),
    "counts": lambda file: vast(pynuml(file, 2), "event_id.seq_cnt", 2**63 - 1, 2),
    "a sum that overflows": lambda file: (
        as_other(pynuml(file, 2), "hit_id", np.zeros((2, 1), "i4"))
        or file["hit_table"].create_dataset("event_id.seq_cnt", data=COUNTS)
    ),
    "names": lambda file: as_vast(pandas_fixed(file), "block0_items", 2**60, dtype="S16"),
    "many names": lambda file: as_vast(pandas_fixed(file), "block0_items", 2**34, dtype="S1"),
    "a table of names": lambda file: as_other(
        pandas_fixed(file), "block0_items", np.full((4, 1000), b"hit_id" * 9)
    ),
    "levels": lambda file: as_vast(pandas_fixed(file), "axis1_level0", 2**60),
    "labels": lambda file: as_other(pandas_fixed(file), "axis1_label1", np.array([0, 2**40])),
    "nothing": lambda file: as_other(pynuml(file, 2), "hit_id", h5py.Empty("i4")),
    "no numbers": lambda file: as_other(pynuml(file, 2), "rms", np.zeros((2, 1), "i4,S8")),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_file_with_false_sizes_is_refused(programs: Path, tmp_path: Path, damage: str) -> None:
    with h5py.File(tmp_path / "events.h5", "w") as file:
        DAMAGED[damage](file)
    said = said_by(programs, tmp_path / "events.h5", "127.0.0.1:1")
    assert said.startswith("INVALID_ARGUMENT: ")


def test_a_project_finds_the_installed_library_as_documented(
    programs: Path, server: Server, events: Path, tmp_path: Path
) -> None:
    run("cmake", "--install", programs, "--prefix", tmp_path / "usr")
    page = list(blocks(ROOT / "docs" / "cpp.md"))
    (label,) = (block.text for block in page if block.title == "label.cpp")
    project = ["cmake_minimum_required(VERSION 3.21)", "project(label LANGUAGES CXX C)"]
    project += [
        block.text for block in page if block.language == "cmake" and "Fetch" not in block.text
    ]
    (tmp_path / "CMakeLists.txt").write_text("\n".join(project))
    (tmp_path / "label.cpp").write_text(label.replace("localhost:8001", server.grpc_url))
    (tmp_path / "events.h5").symlink_to(events)
    run(
        *("cmake", "-S", tmp_path, "-B", tmp_path / "build"),
        f"-DCMAKE_PREFIX_PATH={tmp_path / 'usr'}",
        "-DCMAKE_CXX_FLAGS=-fsanitize=address,undefined",  # like the library
        f"-DPython3_EXECUTABLE={sys.executable}",
    )
    run("cmake", "--build", tmp_path / "build")
    said = run(tmp_path / "build" / "label", cwd=tmp_path)
    with open_events(events) as read:
        expected = [server.client().nugraph3.infer(event).vertex[0] for event in read]
    assert said == "".join(f"vertex at x {x:.1f} cm\n" for x in expected)
