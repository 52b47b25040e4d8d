"""The Triton that serves: found, and laid out for launch.

It is one that is installed, as in NVIDIA's containers, or the files that Naiad fetches
(`naiad.triton.engine_files`): ``tritonserver`` (2.51, the 24.10 release), the Python backend and
one stub per Python version, but not the layout that Triton wants: the stub must lie beside the
backend. The layout is made of links in a cache directory; nothing is written into the engine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from naiad.engine_release import RELEASE
from naiad.errors import EngineError
from naiad.native.library import BACKEND, library
from naiad.runtime.environment import numeric_environment
from naiad.triton import engine_files
from naiad.triton.paths import usable_cache
from naiad.triton.python_environment import (
    REMEDY,
    PythonEnvironment,
    default_python,
    takes_numpy_2,
)

CONTAINERS = Path("/opt/tritonserver")
"""Where NVIDIA's containers have Triton."""

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

# Imported in the stub before any model is: also of models that come while the server runs.
_UTILS = "triton_python_backend_utils.py"
_GUARD = f"""\
import numpy as _numpy

if int(_numpy.__version__.split(".")[0]) >= 2:
    raise ImportError(
        "this Python has NumPy " + _numpy.__version__ + ", with which the stub of Triton "
        "{RELEASE.release} gives wrong answers; a model.py needs NumPy 1: {REMEDY}"
    )

"""

_LIBPYTHON = re.compile(rb"libpython(3\.\d+)\.so")  # what a stub is linked with

# Python models run with these unless the user's environment says otherwise.
_DEFAULTS = numeric_environment(threads=1) | {
    "PYTHONUNBUFFERED": "1",  # what a model prints is in the log when it is printed
}


@dataclass(frozen=True, slots=True)
class Engine:
    """A Triton, and what runs a repository's own ``model.py`` in it.

    Attributes:
        version: Triton's own; "unknown" where it cannot be seen.
        home: the folder with ``bin``, ``backends`` and ``caches``.
        libraries: the shared libraries of the wheel; None of an installed Triton.
        python: what the stub runs in.
        stub: the program that hosts a Python model, for the version of ``python``, where there is
            one.
    """

    version: str
    home: Path
    libraries: Path | None
    python: PythonEnvironment
    stub: Path | None

    @property
    def tritonserver(self) -> Path:
        """The server's binary."""
        return self.home / "bin" / "tritonserver"

    @property
    def is_embedded(self) -> bool:
        """Whether its files are those of the wheel."""
        return self.libraries is not None


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


def fetch_engine(directory: Path | None = None, *, progress: bool = False) -> Path:
    """Return the folder of the Triton that `find_engine` uses, fetching it if there is none.

    ``progress`` is for standard error. Raises what `find_engine` raises.
    """
    return place_of_engine(directory) or engine_files.install(progress=progress)


def find_engine(
    directory: Path | None = None,
    python: PythonEnvironment | None = None,
    *,
    progress: bool = False,
) -> Engine:
    """Find Triton; fetch it where there is none.

    Args:
        directory: an installed Triton, or the files of the wheel; by default ``$NAIAD_ENGINE``, or
            `CONTAINERS`, or the files in the cache, which are fetched where they are missing.
        python: what a repository's own ``model.py`` runs in; by default as
            `default_python`.
        progress: say on standard error what is fetched.

    Raises:
        EngineError: there is none in ``directory``, or it cannot be fetched or run here; says what
            to do.
    """
    python = python or default_python()
    place = fetch_engine(directory, progress=progress)
    home = place if _has_server(place) else (place / engine_files.SERVER).parents[1]
    libraries = home.parent.parent / "nvidia_pytriton.libs"
    embedded = libraries.is_dir()
    return Engine(
        version=RELEASE.triton if embedded else _installed_version(home),
        home=home,
        libraries=libraries if embedded else None,
        python=python,
        stub=stubs(home).get(python.version),
    )


def place_of_engine(directory: Path | None = None) -> Path | None:
    """The folder of the Triton that `find_engine` would take; None where it would fetch one.

    Raises:
        EngineError: there is none in ``directory``.
    """
    named = directory or os.environ.get("NAIAD_ENGINE")
    if named:
        place = Path(named).expanduser().absolute()
        if not _has_server(place) and not engine_files.is_complete(place):
            raise EngineError(
                f"{place} holds no Triton: there is no bin/tritonserver. Name the folder that has "
                f"it, such as {CONTAINERS}, or none, to have Naiad fetch Triton {RELEASE.release}"
            )
        return place
    return CONTAINERS if _has_server(CONTAINERS) else engine_files.installed()


def stubs(home: Path) -> dict[str, Path]:
    """The stubs of a Triton by the Python that each is for, such as ``3.11``."""
    found = {path.parent.name: path for path in home.glob(f"python_backend_stubs/*/{_STUB}")}
    installed = home / "backends" / "python" / _STUB
    if installed.is_file() and (linked := _LIBPYTHON.search(installed.read_bytes())):
        found[linked[1].decode()] = installed
    return found


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
    found |= installed_backends(engine.home / "backends")
    if directory is not None:
        found |= installed_backends(directory)
    links, copies = _links(engine, found), _copies(engine, found)
    parts = {link: str(target) for link, target in links.items()}
    texts = {str(_BACKENDS / "python" / _UTILS): _guarded_utils(engine)}
    parts |= texts
    parts |= {copy: hashlib.sha256(file.read_bytes()).hexdigest() for copy, file in copies.items()}
    written = json.dumps(parts, sort_keys=True)
    digest = hashlib.sha256(written.encode()).hexdigest()[:12]
    parent = usable_cache(cache) / "engine"
    root = parent / f"{engine.version}-py{engine.python.version}-{digest}"
    if not _is_complete(root, [*parts]):
        parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=parent))
        try:
            draft.chmod(0o755)
            for part in parts:
                (draft / part).parent.mkdir(parents=True, exist_ok=True)
            for link, target in links.items():
                (draft / link).symlink_to(target)
            for copy, file in copies.items():
                shutil.copyfile(file, draft / copy)
            for name, text in texts.items():
                (draft / name).write_text(text, "utf-8")
            _move_into_place(draft, root, [*parts])
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return Layout(engine, root)


def environment(layout: Layout, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the server's process, from ``base`` (by default this process's own)."""
    env = _DEFAULTS | dict(os.environ if base is None else base)
    # The stub's Python is the first `python3` on PATH, whatever else is said (seen in 2.51).
    python = layout.engine.python.executable
    same = (python.parent / "python3").resolve() == python.resolve()
    first = python.parent if same else layout.python
    env["PATH"] = _prepended(str(first), env.get("PATH", os.defpath))
    libraries = env.get("LD_LIBRARY_PATH", "")
    if not layout.engine.is_embedded:
        libraries = _prepended(str(layout.engine.home / "lib"), libraries)
    env["LD_LIBRARY_PATH"] = _prepended(str(layout.libpython), libraries)
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


def _links(engine: Engine, backends: Mapping[str, Path]) -> dict[str, Path]:
    python = _BACKENDS / "python"
    links = {
        str(_TRITON / "caches"): engine.home / "caches",
        "bin/python3": engine.python.executable,
    }
    if engine.libraries is not None:
        # The backend finds its libraries at $ORIGIN/../../../../nvidia_pytriton.libs.
        links["nvidia_pytriton.libs"] = engine.libraries
    if engine.stub is not None:
        links[str(python / _STUB)] = engine.stub
    if engine.python.libpython is not None:
        links[f"lib/{engine.python.libpython.name}"] = engine.python.libpython
    for path in sorted((engine.home / "backends" / "python").iterdir()):
        if path.is_file() and path.name not in (_STUB, _UTILS, _LIBRARY.format("python")):
            links[str(python / path.name)] = path
    for name, path in backends.items():
        links[str(_BACKENDS / name)] = path
    return links


def _copies(engine: Engine, backends: Mapping[str, Path]) -> dict[str, Path]:
    """Libraries of backends, by where they are to lie; those in ``backends`` are others'."""
    real = engine.home / "backends" / "python" / _LIBRARY.format("python")
    copies = {str(_BACKENDS / "python" / _BEHIND_NAIAD): real}
    for name in ("python", *OWN_BACKENDS):
        if name in backends:
            continue
        copies[str(_BACKENDS / name / _LIBRARY.format(name))] = library()
    return copies


def _guarded_utils(engine: Engine) -> str:
    """What models in the stub import, which refuses a NumPy that the stub would misread."""
    text = (engine.home / "backends" / "python" / _UTILS).read_text("utf-8")
    return text if takes_numpy_2(engine.version) else _GUARD + text


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


def _has_server(home: Path) -> bool:
    return engine_files.is_program(home / "bin" / "tritonserver")


def _installed_version(home: Path) -> str:
    """As NVIDIA's containers have it, in a file and in the environment."""
    file = home / "TRITON_VERSION"
    if file.is_file():
        return file.read_text("utf-8").strip()
    if home.resolve() == CONTAINERS.resolve():
        return os.environ.get("TRITON_SERVER_VERSION", "unknown")
    return "unknown"


def _prepended(directory: str, path: str) -> str:
    rest = [part for part in path.split(":") if part and part != directory]
    return ":".join([directory, *rest])
