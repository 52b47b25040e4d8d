"""Triton's binary inside the wheel ``nvidia-pytriton``: found, checked, and laid out for launch.

The wheel carries ``tritonserver`` (2.51, the 24.10 release), the Python backend and one stub per
Python version, but not the layout that Triton wants: the stub must lie beside the backend. The
layout is made of links in a cache directory; nothing is ever written into site-packages, and
``pytriton`` itself is never imported.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from naiad.errors import EngineError, MissingExtra
from naiad.native.library import BACKEND, library
from naiad.runtime.environment import numeric_environment
from naiad.triton.places import usable_cache

WHEEL = "nvidia-pytriton"
CONTAINER = "nvcr.io/nvidia/tritonserver:24.10-py3"

_ELSEWHERE = (
    "Or export the models and serve the same folder in NVIDIA's container:\n"
    "  naiad export nugraph3 models\n"
    "  docker run --rm --shm-size=1g -p 8000-8002:8000-8002 -v $PWD/models:/models \\\n"
    f"    {CONTAINER} \\\n"
    "    bash -c 'pip install \"naiad[nugraph3]\" && tritonserver --model-repository=/models'"
)
_STUB = "triton_python_backend_stub"
_TRITON = Path("pytriton", "tritonserver")  # as in site-packages: RPATHs count the levels
_BACKENDS = _TRITON / "backends"

# A backend's library must lie inside its directory after links are followed: "backend library name
# 'libtriton_python.so' escapes backend directory" (2.51). So these are copied.
_LIBRARY = "libtriton_{}.so"
# The Python backend has Naiad's library before it, which finds the real one under this name.
_BEHIND_NAIAD = "libtriton_python_stub.so"

OWN_BACKENDS = (BACKEND, "pytorch", "onnxruntime")
"""What Naiad's library serves, each under its own name."""

# Python models run with these unless the user's environment says otherwise.
_DEFAULTS = numeric_environment(threads=1) | {
    "PYTHONUNBUFFERED": "1",  # what a model prints is in the log when it is printed
}


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts of the wheel that run here.

    Attributes:
        version: of the wheel.
        package: the wheel's ``pytriton`` folder.
        libraries: the wheel's shared libraries.
        stub: the program that hosts a Python model, for the running Python.
        libpython: the running Python's shared library, which the stub is linked with.
    """

    version: str
    package: Path
    libraries: Path
    stub: Path
    libpython: Path

    @property
    def tritonserver(self) -> Path:
        """The server's binary."""
        return self.package / "tritonserver" / "bin" / "tritonserver"


@dataclass(frozen=True, slots=True)
class Layout:
    """A directory of links, and one copy, as Triton wants it.

    Attributes:
        engine: what the links lead to.
        root: the directory.
    """

    engine: Engine
    root: Path

    @property
    def backends(self) -> Path:
        """For ``--backend-directory``."""
        return self.root / _BACKENDS

    @property
    def caches(self) -> Path:
        """For ``--cache-directory``: response caches."""
        return self.root / _TRITON / "caches"

    @property
    def libpython(self) -> Path:
        """A directory with nothing but the shared library of the running Python.

        Its own directory on the library path would bring, in conda environments above all, a
        hundred other libraries with it.
        """
        return self.root / "lib"

    @property
    def python(self) -> Path:
        """A directory whose ``python3`` is the running Python."""
        return self.root / "bin"


def find_engine() -> Engine:
    """Find the embedded Triton for the running Python.

    Raises:
        EngineError: it cannot run on this platform or with this Python; says what to use instead.
        MissingExtra: the wheel is not installed.
    """
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise EngineError(
            f"the embedded Triton runs on Linux x86-64, and this is {system} {machine}.\n"
            f"{_ELSEWHERE}"
        )
    found = importlib.util.find_spec("pytriton")
    if found is None or not found.submodule_search_locations:
        if _numbers(python_version()) >= (3, 13):
            raise EngineError(
                f"the embedded Triton needs numpy 1, which has no build for Python "
                f"{python_version()}; use Python 3.10 to 3.12.\n{_ELSEWHERE}"
            )
        raise MissingExtra("server", WHEEL)
    package = Path(found.submodule_search_locations[0])
    stubs = package / "tritonserver" / "python_backend_stubs"
    stub = stubs / python_version() / _STUB
    if not stub.is_file():
        known = sorted((p.name for p in stubs.glob("*")), key=_numbers)
        raise EngineError(
            f"the embedded Triton runs Python models in Python {', '.join(known)}, and this is "
            f"Python {python_version()}; make the environment with one of those.\n{_ELSEWHERE}"
        )
    return Engine(
        version=_wheel_version(),
        package=package,
        libraries=package.parent / "nvidia_pytriton.libs",
        stub=stub,
        libpython=find_libpython(),
    )


def find_libpython() -> Path:
    """The shared library of the running Python, which some distributions package apart.

    Raises:
        EngineError: there is none; says which package has it.
    """
    version = python_version()
    name = f"libpython{version}.so.1.0"  # as the stub asks for it
    for directory in _library_directories():
        path = directory / name
        if path.is_file():
            return path
    if Path("/etc/debian_version").exists():
        remedy = f"sudo apt install libpython{version}"
    elif shutil.which("dnf"):
        remedy = f"sudo dnf install python{version}-libs"
    else:
        remedy = "use a Python built with --enable-shared"
    raise EngineError(
        f"the shared library of this Python ({name}) is missing, and Triton's Python backend is "
        f"linked with it. {sys.executable} was built without it, or it is in a package of its own: "
        f"{remedy}; conda and `uv python install {version}` have it too.\n{_ELSEWHERE}"
    )


def assemble(
    engine: Engine,
    *,
    backends: Mapping[str, Path] | None = None,
    directory: Path | None = None,
    cache: Path | None = None,
) -> Layout:
    """Lay the engine out for launch; an earlier layout of the same parts is used again.

    Safe to call from many processes at once.

    Args:
        engine: what :func:`find_engine` found.
        backends: further backends by name, each a directory with a ``model.py`` (a Python-based
            backend) or a shared library; by default those that come with Naiad.
        directory: a folder of the user's with backends; they are preferred to those of the same
            name in ``backends``, as are any that lie in the engine's own folder.
        cache: where to put it; by default :func:`naiad.artifacts.cache_directory`.

    Raises:
        EngineError: neither the cache nor the temporary directory can be used, there is no
            ``directory``, or no compiled backend for this machine.
    """
    found = dict(backends or {})
    found |= installed_backends(engine.package / "tritonserver" / "backends")
    if directory is not None:
        found |= installed_backends(directory)
    links, copies = _links(engine, found), _copies(engine, found)
    parts = {link: str(target) for link, target in links.items()}
    parts |= {copy: hashlib.sha256(file.read_bytes()).hexdigest() for copy, file in copies.items()}
    written = json.dumps(parts, sort_keys=True)
    digest = hashlib.sha256(written.encode()).hexdigest()[:12]
    parent = usable_cache(cache) / "engine"
    root = parent / f"{engine.version}-py{python_version()}-{digest}"
    if not _is_complete(root, [*links, *copies]):
        parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=parent))
        try:
            draft.chmod(0o755)
            for part in (*links, *copies):
                (draft / part).parent.mkdir(parents=True, exist_ok=True)
            for link, target in links.items():
                (draft / link).symlink_to(target)
            for copy, file in copies.items():
                shutil.copyfile(file, draft / copy)
            _move_into_place(draft, root, [*links, *copies])
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return Layout(engine, root)


def environment(layout: Layout, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the server's process, from ``base`` (by default this process's own)."""
    env = _DEFAULTS | dict(os.environ if base is None else base)
    # The stub's Python is the first `python3` on PATH, whatever else is said (seen in 2.51).
    own = Path(sys.executable).parent
    same = (own / "python3").resolve() == Path(sys.executable).resolve()
    env["PATH"] = _prepended(str(own if same else layout.python), env.get("PATH", os.defpath))
    env["LD_LIBRARY_PATH"] = _prepended(str(layout.libpython), env.get("LD_LIBRARY_PATH", ""))
    env["NAIAD_PYTHON"] = sys.executable  # what Naiad's worker processes run in
    return env


def has_gpu() -> bool:
    """Whether an NVIDIA driver is loaded and a device is visible."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()


def installed_backends(directory: Path) -> dict[str, Path]:
    """The backends in a folder, such as a container's ``/opt/tritonserver/backends``, by name.

    ``python`` is not among them: the engine has its own, whose stub fits the running Python.

    Raises:
        EngineError: there is no such folder, or nothing in it is a backend.
    """
    if not directory.is_dir():
        raise EngineError(f"{directory}: no such folder of backends")
    found = {
        path.name: path.resolve()
        for path in sorted(directory.iterdir())
        if (path / f"libtriton_{path.name}.so").is_file() or (path / "model.py").is_file()
    }
    if not found:
        raise EngineError(
            f"{directory} holds no backend; each is a folder NAME with a libtriton_NAME.so or a "
            f"model.py"
        )
    found.pop("python", None)
    return found


def python_version() -> str:
    """The running Python, as ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _links(engine: Engine, backends: Mapping[str, Path]) -> dict[str, Path]:
    triton = engine.package / "tritonserver"
    python = _BACKENDS / "python"
    links = {
        # The backend finds its libraries at $ORIGIN/../../../../nvidia_pytriton.libs.
        "nvidia_pytriton.libs": engine.libraries,
        str(_TRITON / "caches"): triton / "caches",
        str(python / _STUB): engine.stub,
        f"lib/{engine.libpython.name}": engine.libpython,
        "bin/python3": Path(sys.executable),
    }
    for path in sorted((triton / "backends" / "python").iterdir()):
        if path.is_file() and path.name not in (_STUB, _LIBRARY.format("python")):
            links[str(python / path.name)] = path
    for name, path in backends.items():
        links[str(_BACKENDS / name)] = path
    return links


def _copies(engine: Engine, backends: Mapping[str, Path]) -> dict[str, Path]:
    """Libraries of backends, by where they are to lie; those in ``backends`` are others'."""
    real = engine.package / "tritonserver" / "backends" / "python" / _LIBRARY.format("python")
    copies = {str(_BACKENDS / "python" / _BEHIND_NAIAD): real}
    for name in ("python", *OWN_BACKENDS):
        if name in backends:
            continue
        copies[str(_BACKENDS / name / _LIBRARY.format(name))] = library()
    return copies


def _is_complete(root: Path, parts: Sequence[str]) -> bool:
    return all((root / part).exists() for part in parts)


def _move_into_place(draft: Path, root: Path, parts: Sequence[str]) -> None:
    """Give the draft its name, unless another process was first; replace a damaged layout."""
    try:
        draft.rename(root)
    except OSError:
        if _is_complete(root, parts):
            return
        damaged = Path(tempfile.mkdtemp(prefix=".damaged-", dir=root.parent))
        root.rename(damaged / root.name)
        shutil.rmtree(damaged, ignore_errors=True)
        draft.rename(root)


def _library_directories() -> Iterator[Path]:
    """Where the running Python's shared library may be; its own build first."""
    for variable in ("LIBDIR", "LIBPL"):
        value = sysconfig.get_config_var(variable)
        if value:
            yield Path(value)
    yield Path(sys.base_prefix, "lib")
    yield Path(sys.executable).resolve().parents[1] / "lib"
    multiarch = sysconfig.get_config_var("MULTIARCH")
    if multiarch:
        yield Path("/usr/lib", multiarch)
    yield from map(Path, ("/usr/lib64", "/usr/lib", "/usr/local/lib", "/usr/local/lib64"))
    yield from (Path(p) for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if p)


def _wheel_version() -> str:
    try:
        return importlib.metadata.version(WHEEL)
    except importlib.metadata.PackageNotFoundError:  # unpacked, not installed
        return "unknown"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _prepended(directory: str, path: str) -> str:
    rest = [part for part in path.split(":") if part and part != directory]
    return ":".join([directory, *rest])
