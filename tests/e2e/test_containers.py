"""The settings of containers, and the environment of a plain Triton, without a container."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.support.forks import new_processes
from tests.support.markdown import ROOT
from tests.support.ports import free_ports

import naiad
from naiad.core.settings import ServeSettings
from naiad.triton.command import command_line
from naiad.triton.endpoints import Endpoints
from naiad.triton.engine import assemble, find_engine

pytestmark = new_processes

A, B = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)
SANDBOXED = ROOT / "scripts" / "sandboxed.sh"
LOOK = """
import os
from pathlib import Path

print(os.getuid(), Path("/proc/self/status").read_text().partition("CapPrm:")[2].split()[0])
for folder in ("/etc", "/usr/lib", {site!r}, {home!r}, "/tmp", "/dev/shm"):
    try:
        Path(folder, "naiad-was-here").touch()
    except OSError as error:
        print(folder, error.strerror)
    else:
        print(folder, "written")
"""

# Unlike in an image, Python and Naiad may be in a home folder, which the user may read.
HERE = {"CAPABILITIES": "+dac_read_search"}


def needs_a_sandbox() -> None:
    if os.getuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "chroot"))):
        pytest.skip("needs root, unshare and setpriv")
    if Path(sys.prefix).is_relative_to("/tmp"):
        pytest.skip(f"the sandbox has a /tmp of its own, in which {sys.prefix} is not")
    tried = subprocess.run([SANDBOXED, "/", "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"file systems cannot be mounted here: {tried.stderr.strip()}")


def test_naiad_serves_as_another_user_on_a_root_file_system_without_writes() -> None:
    needs_a_sandbox()
    site = str(Path(np.__file__).parents[1])
    code = LOOK.format(site=site, home=str(Path.home()))
    looked = subprocess.run(
        [SANDBOXED, "/", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | HERE,
    ).stdout.splitlines()
    user, capabilities = looked[0].split()
    assert (user, int(capabilities, 16)) == ("10001", 1 << 2)
    refused = [f"{folder} Read-only file system" for folder in ("/etc", "/usr/lib", site)]
    assert looked[1:4] == refused
    assert looked[4].endswith("Read-only file system")
    assert looked[5:] == ["/tmp written", "/dev/shm written"]

    http, grpc, metrics, health = free_ports(4)
    ports = [f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
    serve = [sys.executable, "-c", "from naiad.cli.main import main; main()", "serve", "simple"]
    with subprocess.Popen(
        [SANDBOXED, "/", *serve, *ports, f"--health-port={health}"],
        env=os.environ | HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            wait_until_ready(health, process)
            with naiad.Client(f"127.0.0.1:{grpc}") as client:
                answer = client.infer("simple", INPUT0=A, INPUT1=B)
            assert np.array_equal(answer["OUTPUT0"], A + B)
        finally:
            process.terminate()
        shown = process.communicate(timeout=60)[0]
    assert process.returncode == 0, shown
    assert "Read-only" not in shown


def wait_until_ready(port: int, process: subprocess.Popen[str]) -> None:
    """Wait, asking as the image's health check does."""
    for _ in range(1200):
        assert process.poll() is None, process.communicate()[0]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=4) as answer:
                assert json.load(answer)["ready"]
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail("it was not ready within two minutes")


def test_a_plain_triton_serves_with_the_environment_folder_alone(tmp_path: Path) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    assert uv is not None, "uv is in the extra `test`"
    environment, models = tmp_path / "environment", tmp_path / "models"
    bare = Path(sys.base_prefix, "bin")  # like /usr/bin in the container: a Python without Naiad
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    made = subprocess.run(
        [ROOT / "deploy" / "triton-environment.sh", environment, "", version, bare],
        env=os.environ | {"PATH": f"{Path(uv).parent}:{os.environ['PATH']}", "TORCH_INDEX": ""},
        capture_output=True,
        text=True,
    )
    if made.returncode and "Connect" in made.stderr:
        pytest.skip("no package index can be reached")
    assert made.returncode == 0, made.stderr
    naiad.export("simple", models)
    with bare_triton(models, f"{environment / 'bin'}:{bare}:/usr/bin:/bin") as url:
        with naiad.Client(url, retries=10) as client:
            answer = client.infer("simple", INPUT0=A, INPUT1=B)
        assert np.array_equal(answer["OUTPUT1"], A - B)


@contextmanager
def bare_triton(models: Path, path: str) -> Iterator[str]:
    """Run Triton's own binary as in the container; yield its gRPC address."""
    layout = assemble(find_engine())
    http, grpc, metrics = free_ports(3)
    endpoints = Endpoints("127.0.0.1", {"HTTP": http, "gRPC": grpc, "metrics": metrics})
    settings = ServeSettings(exit_timeout=5)
    prefix = f"naiad-test-{os.getpid()}"
    command = command_line(
        layout, [models], settings, endpoints, shared_memory=prefix, links=models.parent
    )
    env = {"PATH": path, "LD_LIBRARY_PATH": str(layout.libpython), "HOME": str(models.parent)}
    with subprocess.Popen(command, env=env) as process:
        try:
            yield f"127.0.0.1:{grpc}"
        finally:
            process.terminate()
            process.wait(30)
            for left in Path("/dev/shm").glob(f"{prefix}*"):
                left.unlink()
