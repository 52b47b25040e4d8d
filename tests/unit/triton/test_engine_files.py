"""Fetching Triton's files by the real pip and uv, from a folder or an index of the test's own."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from naiad.engine_release import RELEASE, Wheel
from naiad.errors import EngineError
from naiad.triton import engine_files
from naiad.triton.engine_files import SERVER, check_space, install, installed, is_complete

pytestmark = pytest.mark.slow

MACHINE = platform.machine()
NAME = f"nvidia_pytriton-0.7.0-py3-none-manylinux_2_35_{MACHINE}.whl"
STUB = "pytriton/tritonserver/python_backend_stubs/3.11/triton_python_backend_stub"


def make_wheel(folder: Path, **files: str) -> Path:
    """A wheel of that name with an engine that says 24.10."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = "nvidia_pytriton-0.7.0.dist-info"
    content = {
        str(SERVER): "#!/bin/sh\necho 24.10\n",
        STUB: "#!/bin/sh\n",
        "nvidia_pytriton.libs/libtritonserver.so": "library",
        f"{metadata}/METADATA": "Metadata-Version: 2.1\nName: nvidia-pytriton\nVersion: 0.7.0\n"
        "Requires-Dist: numpy<2\nRequires-Python: <3.13\n",
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        f"Tag: py3-none-manylinux_2_35_{MACHINE}\n",
    } | files
    content[f"{metadata}/RECORD"] = "".join(f"{name},,\n" for name in content)
    with zipfile.ZipFile(folder / NAME, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return folder / NAME


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wheel that is known, where pip and uv are configured to look, and an empty cache."""
    wheel = make_wheel(tmp_path / "wheels")
    content = wheel.read_bytes()
    known = Wheel(MACHINE, NAME, hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setattr(engine_files, "RELEASE", replace(RELEASE, wheels=(known,)))
    monkeypatch.setenv("NAIAD_CACHE", str(tmp_path / "cache"))
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(wheel.parent))
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return wheel


def left_over(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "triton").iterdir())


def test_pip_fetches_the_files_once_as_the_user_has_configured_it(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # What would keep pip from installing does not keep it from fetching.
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    monkeypatch.setenv("PIP_REQUIRE_HASHES", "1")
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")
    assert installed() is None
    folder = install()
    assert installed() == folder == install()
    assert is_complete(folder)
    assert os.access(folder / STUB, os.X_OK)
    assert left_over(tmp_path / "cache") == [folder.name]
    assert folder.name.startswith("24.10-")
    wheel.unlink()
    assert install() == folder


def test_uv_fetches_them_where_there_is_no_pip(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    folder = install()
    assert is_complete(folder)
    assert left_over(tmp_path / "cache") == [folder.name]


def test_without_pip_and_uv_the_error_names_the_file(wheel: Path, monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(engine_files, "version_of", absent)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError, match=f"neither; get {NAME} from https://pypi.org/project/"):
        install()


def test_many_at_once_fetch_once(wheel: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with ThreadPoolExecutor(6) as pool:
        folders = set(pool.map(lambda _: install(progress=True), range(6)))
    assert [folder.name for folder in folders] == left_over(tmp_path / "cache")
    assert capfd.readouterr().err.count("Fetching Triton 24.10") == 1


def test_a_file_that_was_downloaded_is_taken(wheel: Path, tmp_path: Path):
    moved = wheel.rename(tmp_path / NAME)
    folder = install(moved)
    assert is_complete(folder)
    assert moved.exists()


def test_the_files_may_go_elsewhere(wheel: Path, tmp_path: Path):
    folder = install(wheel, directory=tmp_path / "image" / "engine")
    assert folder == tmp_path / "image" / "engine"
    assert is_complete(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["engine"]
    assert install(directory=folder) == folder
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(EngineError, match="mine exists and is not empty; name a new folder"):
        install(wheel, directory=tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def by_pip(_: Path, monkeypatch: pytest.MonkeyPatch) -> Path | None:
    return None


def by_uv(_: Path, monkeypatch: pytest.MonkeyPatch) -> Path | None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return None


def by_hand(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path | None:
    return wheel


@pytest.mark.parametrize("way", [by_pip, by_uv, by_hand])
def test_another_file_of_that_name_is_refused_before_it_is_unpacked(
    wheel: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[[Path, pytest.MonkeyPatch], Path | None],
):
    make_wheel(wheel.parent, **{str(SERVER): "#!/bin/sh\nrm -rf ~\n"})
    with pytest.raises(EngineError, match=r"sha256 is [0-9a-f]{64}, and must be|another hash"):
        install(way(wheel, monkeypatch))
    assert left_over(tmp_path / "cache") == []


def test_without_a_network_the_error_says_what_to_do(wheel: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(EngineError) as caught:
        install()
    for part in (
        "could not be fetched: the package index does not answer",
        "ERROR: No matching distribution found for nvidia-pytriton==0.7.0",
        f"get {NAME} from https://pypi.org/project/nvidia-pytriton/0.7.0/#files and run "
        f"`naiad engine install --wheel {NAME}`",
    ):
        assert part in str(caught.value)


def test_damaged_files_are_replaced(wheel: Path, tmp_path: Path):
    folder = install()
    (folder / SERVER).unlink()
    assert installed() is None
    assert install() == folder
    assert is_complete(folder)
    assert left_over(tmp_path / "cache") == [folder.name]


def test_a_file_that_is_not_there_is_named(wheel: Path, tmp_path: Path):
    with pytest.raises(EngineError, match=r"/missing\.whl: no such file; get"):
        install(tmp_path / "missing.whl")


def test_a_full_disk_is_noticed_first(tmp_path: Path):
    with pytest.raises(EngineError, match=r"MiB of free space, and .* set NAIAD_CACHE"):
        check_space(tmp_path, 1 << 60)


@pytest.mark.parametrize(
    ("system", "machine", "libc", "why"),
    [
        ("Darwin", "arm64", ("", ""), "this is Darwin arm64"),
        ("Linux", "riscv64", ("glibc", "2.39"), "this is Linux riscv64"),
        ("Linux", "x86_64", ("glibc", "2.28"), "needs glibc 2.35 or newer .* has glibc 2.28"),
        ("Linux", "x86_64", ("", ""), "has another C library"),
    ],
)
def test_on_another_platform_the_error_says_what_to_use_instead(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, libc: tuple[str, str], why: str
):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    with pytest.raises(EngineError, match=why) as caught:
        install()
    assert "naiad export PIPELINE models" in str(caught.value)
    assert "nvcr.io/nvidia/tritonserver:24.10-py3" in str(caught.value)


@pytest.mark.parametrize("wheel", RELEASE.wheels, ids=lambda wheel: wheel.machine)
def test_the_pins_are_whole(wheel: Wheel):
    assert len(bytes.fromhex(wheel.sha256)) == 32
    assert wheel.size > 50e6
    assert wheel.platform == f"manylinux_2_35_{wheel.machine}"
    assert RELEASE.wheel(wheel.machine) == wheel
