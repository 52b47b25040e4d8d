import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from naiad.artifacts import cache_directory
from naiad.errors import EngineError
from naiad.triton import engine as engine_module
from naiad.triton.engine import (
    Engine,
    assemble,
    environment,
    find_engine,
    place_of_engine,
    stubs,
)
from naiad.triton.paths import is_plain, plain_temporary_directory
from naiad.triton.python_environment import running_python
from naiad.triton.stub_watch import WORKER

STUB = "triton_python_backend_stub"


def write(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    program = folder / files[0]
    program.chmod(0o755)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """The files of the wheel, unpacked, and empty."""
    folder = tmp_path / "the engine"
    write(
        folder / "pytriton" / "tritonserver",
        "bin/tritonserver",
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
        f"python_backend_stubs/{running_python().version}/{STUB}",
        f"python_backend_stubs/3.8/{STUB}",
        "caches/local/libtritoncache_local.so",
    )
    (folder / "nvidia_pytriton.libs").mkdir()
    return folder


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A Triton as NVIDIA's containers have it, for Python 3.12."""
    folder = tmp_path / "tritonserver"
    write(
        folder,
        "bin/tritonserver",
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
        "backends/vllm/model.py",
        "caches/local/libtritoncache_local.so",
        "lib/libtritonserver.so",
    )
    stub = folder / "backends" / "python" / STUB
    stub.write_bytes(b"\x7fELF...\0libpython3.12.so.1.0\0libc.so.6\0")
    (folder / "TRITON_VERSION").write_text("2.60.0\n")
    return folder


@pytest.fixture
def engine(wheel: Path) -> Engine:
    return find_engine(wheel, running_python())


def test_the_files_of_the_wheel_are_an_engine(wheel: Path):
    engine = find_engine(wheel, running_python())
    assert engine.is_embedded
    assert engine.version == "2.51.0"
    assert engine.tritonserver == wheel / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    assert engine.stub is not None
    assert engine.stub.parent.name == running_python().version
    assert find_engine(wheel / "pytriton" / "tritonserver", engine.python) == engine


def test_an_installed_triton_is_an_engine(installed: Path):
    engine = find_engine(installed)
    assert not engine.is_embedded
    assert engine.version == "2.60.0"
    assert engine.tritonserver == installed / "bin" / "tritonserver"
    assert stubs(engine.home) == {"3.12": installed / "backends" / "python" / STUB}
    other = replace(running_python(), version="3.99")
    assert find_engine(installed, other).stub is None


def test_the_engine_is_named_by_an_argument_before_the_environment_before_the_container_s(
    wheel: Path, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engine_module, "CONTAINERS", installed)
    monkeypatch.setenv("NAIAD_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("NAIAD_ENGINE", raising=False)
    assert place_of_engine() == installed
    monkeypatch.setenv("NAIAD_ENGINE", str(wheel))
    assert place_of_engine() == wheel
    assert place_of_engine(installed) == installed
    monkeypatch.delenv("NAIAD_ENGINE")
    monkeypatch.setattr(engine_module, "CONTAINERS", tmp_path / "none")
    assert place_of_engine() is None


def test_a_folder_without_triton_is_refused(tmp_path: Path):
    with pytest.raises(EngineError, match=r"has no bin/tritonserver"):
        find_engine(tmp_path)


def test_an_installed_triton_finds_its_libraries_and_backends(installed: Path, tmp_path: Path):
    layout = assemble(find_engine(installed), cache=tmp_path / "cache")
    assert (layout.backends / "vllm").resolve() == installed / "backends" / "vllm"
    assert not (layout.root / "nvidia_pytriton.libs").exists()
    libraries = environment(layout, {"LD_LIBRARY_PATH": "/mine"})["LD_LIBRARY_PATH"]
    assert libraries.split(":")[1:] == [str(installed / "lib"), "/mine"]
    utils = layout.backends / "python" / "triton_python_backend_utils.py"
    assert "NumPy" not in utils.read_text(), "later stubs take NumPy 2"


def test_a_python_without_a_stub_or_shared_library_serves_all_the_same(wheel: Path, tmp_path: Path):
    python = replace(running_python(), version="3.14", libpython=None)
    engine = find_engine(wheel, python)
    assert engine.stub is None
    layout = assemble(engine, cache=tmp_path / "cache")
    assert not (layout.backends / "python" / STUB).exists()
    assert not layout.libpython.exists()
    assert (layout.backends / "python" / "libtriton_python.so").exists()


def test_a_model_py_in_a_python_with_numpy_2_is_stopped_by_what_it_imports(
    engine: Engine, tmp_path: Path
):
    layout = assemble(engine, cache=tmp_path / "cache")
    utils = layout.backends / "python" / "triton_python_backend_utils.py"
    fake = tmp_path / "numpy.py"
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(utils.parent)!r}]\n"
    code += "import triton_python_backend_utils"
    for version, ending in (("1.26.4", 0), ("2.4.6", 1)):
        fake.write_text(f"__version__ = {version!r}")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == ending, done.stderr
    assert "has NumPy 2.4.6, with which the stub of Triton 24.10 gives wrong" in done.stderr
    assert "naiad engine python-environment DIR" in done.stderr


def test_the_layout_is_made_of_links_as_triton_wants_them(engine: Engine, tmp_path: Path):
    layout = assemble(engine, cache=tmp_path / "cache", backends={"pytorch": tmp_path})
    python = layout.backends / "python"
    assert (python / STUB).resolve() == engine.stub
    assert (python / "libtriton_python.so").exists()
    assert (layout.backends / "pytorch").resolve() == tmp_path
    # The backend's RPATH is $ORIGIN/../../../../nvidia_pytriton.libs.
    assert (python / "../../../../nvidia_pytriton.libs").resolve() == engine.libraries
    assert (layout.caches / "local" / "libtritoncache_local.so").exists()
    libpython = engine.python.libpython
    assert libpython is not None
    assert [path.name for path in layout.libpython.iterdir()] == [libpython.name]
    files = [path for path in layout.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {path for path in files if layout.caches not in path.parents} == {
        python / "libtriton_python.so",
        python / "triton_python_backend_utils.py",
        python / "libtriton_python_stub.so",
        layout.backends / "naiad" / "libtriton_naiad.so",
        layout.backends / "onnxruntime" / "libtriton_onnxruntime.so",
        layout.backends / "openvino" / "libtriton_openvino.so",
        layout.backends / "tensorflow" / "libtriton_tensorflow.so",
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


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs PYTHONSAFEPATH")
def test_modules_of_the_working_directory_do_not_replace_a_workers(engine: Engine, tmp_path: Path):
    (tmp_path / "json.py").write_text("raise ValueError")
    done = subprocess.run(
        [sys.executable, "-m", WORKER, "--help"],
        cwd=tmp_path,
        env=environment(assemble(engine, cache=tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_python3_that_is_another_python_is_passed_by(engine: Engine, tmp_path: Path):
    odd = tmp_path / "bin" / "python3.99"
    odd.parent.mkdir()
    odd.symlink_to(sys.executable)
    engine = replace(engine, python=replace(engine.python, executable=odd))
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
        ("tensorflow", "model.py"),
        ("python", "libtriton_python.so"),
        ("notes", "README"),
    ):
        (mine / name).mkdir(parents=True)
        (mine / name / file).touch()
    layout = assemble(engine, cache=tmp_path / "cache", directory=mine)
    for name in ("pytorch", "tensorflow"):
        assert (layout.backends / name).resolve() == mine / name
    assert (layout.backends / "onnxruntime" / "libtriton_onnxruntime.so").exists(), "Naiad's own"
    assert (layout.backends / "python" / STUB).resolve() == engine.stub
    assert not (layout.backends / "notes").exists()


def test_a_folder_without_backends_is_refused(engine: Engine, tmp_path: Path):
    with pytest.raises(EngineError, match="has no backends; each is a folder NAME with a libtri"):
        assemble(engine, cache=tmp_path / "cache", directory=tmp_path)
    with pytest.raises(EngineError, match="missing: no such folder of backends"):
        assemble(engine, cache=tmp_path / "cache", directory=tmp_path / "missing")
