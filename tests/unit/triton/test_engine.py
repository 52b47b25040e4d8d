import importlib.machinery
import os
import platform
import sys
from pathlib import Path

import pytest

from naiad.artifacts import cache_directory
from naiad.errors import EngineError, MissingExtra
from naiad.triton import engine as engine_module
from naiad.triton.engine import (
    Engine,
    assemble,
    environment,
    find_engine,
    find_libpython,
    python_version,
)
from naiad.triton.places import is_plain, plain_temporary_directory

STUB = "triton_python_backend_stub"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """What pip unpacks of nvidia-pytriton, with empty files."""
    site = tmp_path / "site packages"
    triton = site / "pytriton" / "tritonserver"
    for file in (
        "bin/tritonserver",
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
        f"python_backend_stubs/{python_version()}/{STUB}",
        f"python_backend_stubs/3.8/{STUB}",
        "caches/local/libtritoncache_local.so",
    ):
        (triton / file).parent.mkdir(parents=True, exist_ok=True)
        (triton / file).touch()
    (site / "nvidia_pytriton.libs").mkdir()
    return site / "pytriton"


@pytest.fixture
def found(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.machinery.ModuleSpec("pytriton", None, is_package=True)
    spec.submodule_search_locations = [str(wheel)]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)


@pytest.fixture
def engine(found: None) -> Engine:
    return find_engine()


@pytest.mark.usefixtures("found")
def test_the_engine_is_found_without_importing_pytriton(wheel: Path):
    engine = find_engine()
    assert engine.tritonserver == wheel / "tritonserver" / "bin" / "tritonserver"
    assert engine.stub.parent.name == python_version()
    assert engine.libpython.name == f"libpython{python_version()}.so.1.0"
    assert "pytriton" not in sys.modules


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64")])
def test_on_another_platform_the_error_says_what_to_use_instead(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(EngineError) as caught:
        find_engine()
    for part in (
        f"this is {system} {machine}",
        "naiad export nugraph3 models",
        "nvcr.io/nvidia/tritonserver:24.10-py3",
    ):
        assert part in str(caught.value)


def test_without_the_wheel_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "naiad\[server\]"'):
        find_engine()


def test_a_python_that_the_wheel_cannot_be_installed_for_is_not_told_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(engine_module, "python_version", lambda: "3.13")
    with pytest.raises(EngineError, match=r"Python 3\.13; use Python 3\.10 to 3\.12") as caught:
        find_engine()
    assert not isinstance(caught.value, MissingExtra)


@pytest.mark.usefixtures("found")
def test_a_python_without_a_stub_is_refused_with_those_that_have_one(
    monkeypatch: pytest.MonkeyPatch,
):
    known = python_version()
    monkeypatch.setattr(engine_module, "python_version", lambda: "3.14")
    with pytest.raises(EngineError, match=f"in Python 3.8, {known}, and this is Python 3.14"):
        find_engine()


def test_a_python_without_its_shared_library_is_refused_with_the_package_that_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(engine_module, "_library_directories", lambda: iter([tmp_path]))
    with pytest.raises(EngineError) as caught:
        find_libpython()
    version = python_version()
    assert f"(libpython{version}.so.1.0) is missing" in str(caught.value)
    assert "install" in str(caught.value) or "--enable-shared" in str(caught.value)
    (tmp_path / f"libpython{version}.so.1.0").touch()
    assert find_libpython().parent == tmp_path


def test_the_layout_is_made_of_links_as_triton_wants_them(engine: Engine, tmp_path: Path):
    layout = assemble(engine, cache=tmp_path / "cache", backends={"pytorch": tmp_path})
    python = layout.backends / "python"
    assert (python / STUB).resolve() == engine.stub
    assert (python / "libtriton_python.so").exists()
    assert (layout.backends / "pytorch").resolve() == tmp_path
    # The backend's RPATH is $ORIGIN/../../../../nvidia_pytriton.libs.
    assert (python / "../../../../nvidia_pytriton.libs").resolve() == engine.libraries
    assert (layout.caches / "local" / "libtritoncache_local.so").exists()
    assert [path.name for path in layout.libpython.iterdir()] == [engine.libpython.name]
    files = [path for path in layout.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {path for path in files if layout.caches not in path.parents} == {
        python / "libtriton_python.so",
        python / "libtriton_python_stub.so",
        layout.backends / "naiad" / "libtriton_naiad.so",
        layout.backends / "onnxruntime" / "libtriton_onnxruntime.so",
    }


def test_a_layout_is_used_again_and_repaired_when_damaged(engine: Engine, tmp_path: Path):
    layout = assemble(engine, cache=tmp_path)
    inode = layout.root.stat().st_ino
    assert assemble(engine, cache=tmp_path) == layout
    assert layout.root.stat().st_ino == inode
    (layout.backends / "python" / STUB).unlink()
    assert assemble(engine, cache=tmp_path) == layout
    assert (layout.backends / "python" / STUB).exists()
    assert len(list((tmp_path / "engine").iterdir())) == 1  # no draft, no damaged one


def test_other_parts_make_another_layout(engine: Engine, tmp_path: Path):
    plain = assemble(engine, cache=tmp_path, backends={})
    more = assemble(engine, cache=tmp_path, backends={"pytorch": tmp_path})
    assert plain.root != more.root
    assert plain.root.exists()


def test_a_cache_that_triton_cannot_take_is_replaced(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    layout = assemble(engine, cache=tmp_path / "my cache")
    assert layout.root.is_relative_to(tmp_path / f"naiad-{os.getuid()}")
    (tmp_path / "file").touch()
    assert assemble(engine, cache=tmp_path / "file" / "below") == layout


def test_the_environment_puts_this_python_first_and_keeps_the_users_settings(
    engine: Engine, tmp_path: Path
):
    layout = assemble(engine, cache=tmp_path)
    env = environment(layout, {"PATH": "/a:/b", "OMP_NUM_THREADS": "4", "MINE": "yes"})
    assert env["PATH"] == f"{Path(sys.executable).parent}:/a:/b"
    assert env["LD_LIBRARY_PATH"] == str(layout.libpython)
    assert env["NAIAD_PYTHON"] == sys.executable
    assert env["OMP_NUM_THREADS"] == "4"
    assert env["MINE"] == "yes"
    assert env["MALLOC_MMAP_THRESHOLD_"] == "1073741824"
    assert environment(layout, env) == env  # a server within a server's environment


def test_a_python3_that_is_another_python_is_passed_by(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    odd = tmp_path / "bin" / "python3.99"
    odd.parent.mkdir()
    odd.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(odd))
    layout = assemble(engine, cache=tmp_path)
    assert environment(layout, {})["PATH"].startswith(f"{layout.python}:")
    assert (layout.python / "python3").resolve() == odd.resolve()


def test_the_cache_directory_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("NAIAD_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("NAIAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_directory() == Path("/xdg/naiad")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == Path.home() / ".cache" / "naiad"


@pytest.mark.parametrize("path", ["/a b", "/it's", "/a(1)", "/$HOME", "/a;b", "/naïf"])
def test_paths_that_a_shell_would_take_apart_are_not_plain(path: str):
    assert not is_plain(Path(path))
    assert is_plain(Path("/srv/models-2/v1.0_x"))


def test_temporary_directories_are_plain_even_where_tmpdir_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    odd = tmp_path / "my tmp"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    made = plain_temporary_directory("naiad-test-")
    made.rmdir()
    assert is_plain(made)


def test_a_backend_that_the_user_has_is_preferred_to_naiad_s_own(engine: Engine, tmp_path: Path):
    mine = tmp_path / "backends"
    for name, file in (
        ("pytorch", "libtriton_pytorch.so"),
        ("python", "libtriton_python.so"),
        ("notes", "README"),
    ):
        (mine / name).mkdir(parents=True)
        (mine / name / file).touch()
    layout = assemble(engine, cache=tmp_path / "cache", directory=mine)
    assert (layout.backends / "pytorch").resolve() == mine / "pytorch"
    assert (layout.backends / "onnxruntime" / "libtriton_onnxruntime.so").exists(), "Naiad's own"
    assert (layout.backends / "python" / STUB).resolve() == engine.stub
    assert not (layout.backends / "notes").exists()


def test_a_folder_without_backends_is_refused(engine: Engine, tmp_path: Path):
    with pytest.raises(EngineError, match="holds no backend; each is a folder NAME with a libtri"):
        assemble(engine, cache=tmp_path / "cache", directory=tmp_path)
    with pytest.raises(EngineError, match="missing: no such folder of backends"):
        assemble(engine, cache=tmp_path / "cache", directory=tmp_path / "missing")
