"""The Triton that serves: finding it, and laying it out for launch.

It is an installed one, as in NVIDIA's containers, or the files that Naiad downloads
(`naiad.triton.engine_files`): ``tritonserver`` (2.51, the 24.10 release), the Python backend and
one stub per Python version, but not in the layout that Triton needs: the stub must be beside the
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
"""Folder of Triton in NVIDIA's containers."""

_STUB = "triton_python_backend_stub"
_TRITON = Path("pytriton", "tritonserver")  # as in site-packages: RPATHs depend on the depth
_BACKENDS = _TRITON / "backends"

# A backend's library must be inside its directory after links are followed: "backend library name
# 'libtriton_python.so' escapes backend directory" (2.51). So libraries are copied.
_LIBRARY = "libtriton_{}.so"
# Naiad's library replaces the Python backend, and finds the real one under this name.
_BEHIND_NAIAD = "libtriton_python_stub.so"

OWN_BACKENDS = (BACKEND, "pytorch", "onnxruntime", "openvino", "tensorflow")
"""Backends that Naiad's library serves, each under its own name."""

# Imported in the stub before any model, including models loaded while the server runs.
_UTILS = "triton_python_backend_utils.py"
_GUARD = f"""\
import numpy as _numpy

if int(_numpy.__version__.split(".")[0]) >= 2:
    raise ImportError(
        "this Python has NumPy " + _numpy.__version__ + ", with which the stub of Triton "
        "{RELEASE.release} gives wrong answers; a model.py needs NumPy 1: {REMEDY}"
    )

"""

# The stub of 2.51 starts Python in isolated mode, which ignores PYTHONPATH.
_SEARCH = """\
import os as _os
import sys as _sys

for _path in reversed(_os.environ.get("PYTHONPATH", "").split(_os.pathsep)):
    if _path and _path not in _sys.path:
        _sys.path.insert(1, _path)

"""

_LIBPYTHON = re.compile(rb"libpython(3\.\d+)\.so")  # the library that a stub is linked with

# Python models run with these unless the user's environment says otherwise.
_DEFAULTS = numeric_environment(threads=1) | {
    "PYTHONUNBUFFERED": "1",  # models' prints are logged at once
    "PYTHONSAFEPATH": "1",  # a json.py in the working directory is no module of a worker's (3.11)
}


@dataclass(frozen=True, slots=True)
class Engine:
    """A Triton, and the Python and stub for a repository's own ``model.py``.

    Attributes:
        version: Triton's version, or "unknown".
        home: the folder with ``bin``, ``backends`` and ``caches``.
        libraries: the wheel's shared libraries; None for an installed Triton.
        python: the Python in which the stub runs.
        stub: the program that hosts a Python model, for the version of ``python``, or None.
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
        """True if its files are the wheel's."""
        return self.libraries is not None


@dataclass(frozen=True, slots=True)
class Layout:
    """A directory of links and copies in Triton's layout.

    Attributes:
        engine: the target of the links.
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
        """A directory with only the shared library of the stub's Python.

        The library's own directory would bring a hundred other libraries onto the library path,
        in conda environments above all.
        """
        return self.root / "lib"

    @property
    def python(self) -> Path:
        """A directory whose ``python3`` is the stub's Python."""
        return self.root / "bin"


def fetch_engine(directory: Path | None = None, *, progress: bool = False) -> Path:
    """Return the folder of the Triton that `find_engine` uses; download it if necessary.

    ``progress`` is reported on standard error. Raises what `find_engine` raises.
    """
    return place_of_engine(directory) or engine_files.install(progress=progress)


def find_engine(
    directory: Path | None = None,
    python: PythonEnvironment | None = None,
    *,
    progress: bool = False,
) -> Engine:
    """Find Triton; download it if necessary.

    Args:
        directory: an installed Triton, or the files of the wheel; by default ``$NAIAD_ENGINE``, or
            `CONTAINERS`, or the files in the cache, which are downloaded if missing.
        python: the Python for a repository's own ``model.py``; by default that of
            `default_python`.
        progress: report a download on standard error.

    Raises:
        EngineError: no Triton in ``directory``, or it cannot be downloaded or run here; says what
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
    """Return the folder of the Triton that `find_engine` would use; None if it would download it.

    Raises:
        EngineError: no Triton in ``directory``.
    """
    named = directory or os.environ.get("NAIAD_ENGINE")
    if named:
        place = Path(named).expanduser().absolute()
        if not _has_server(place) and not engine_files.is_complete(place):
            raise EngineError(
                f"{place} has no bin/tritonserver. Give the folder that has it, such as "
                f"{CONTAINERS}, or none, to let Naiad download Triton {RELEASE.release}"
            )
        return place
    return CONTAINERS if _has_server(CONTAINERS) else engine_files.installed()


def stubs(home: Path) -> dict[str, Path]:
    """Return the stubs of a Triton by their version of Python, such as ``3.11``."""
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
    """Lay the engine out for launch; reuse an earlier layout of the same parts.

    Safe to call from many processes at once.

    Args:
        engine: the result of :func:`find_engine`.
        backends: further backends by name, each a directory with a ``model.py`` (a Python-based
            backend) or a shared library.
        directory: the user's folder of backends, which take precedence over those of the same
            name in ``backends`` and in the engine's own folder, which precedes ``backends``.
        cache: the folder for layouts; by default :func:`naiad.artifacts.cache_directory`.

    Raises:
        EngineError: neither the cache nor the temporary directory can be used, ``directory`` does
            not exist, or there is no compiled backend for this machine.
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
    """Return the environment of the server's process, based on ``base`` or this process's."""
    env = _DEFAULTS | dict(os.environ if base is None else base)
    # The stub's Python is always the first `python3` on PATH (seen in 2.51).
    python = layout.engine.python.executable
    same = (python.parent / "python3").resolve() == python.resolve()
    first = python.parent if same else layout.python
    env["PATH"] = _prepended(str(first), env.get("PATH", os.defpath))
    libraries = env.get("LD_LIBRARY_PATH", "")
    if not layout.engine.is_embedded:
        libraries = _prepended(str(layout.engine.home / "lib"), libraries)
    env["LD_LIBRARY_PATH"] = _prepended(str(layout.libpython), libraries)
    env.setdefault("NAIAD_PYTHON", sys.executable)  # for Naiad's worker processes
    return env


def has_gpu() -> bool:
    """Return True if an NVIDIA driver is loaded and a device is visible."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()


def installed_backends(directory: Path) -> dict[str, Path]:
    """Return the backends in a folder, such as ``/opt/tritonserver/backends``, by name.

    ``python`` is left out: the engine has its own, whose stub fits the running Python.

    Raises:
        EngineError: no such folder, or it has no backend.
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
            f"{directory} has no backends; each is a folder NAME with a libtriton_NAME.so or a "
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
    """Return libraries to copy, by target; backends in ``backends`` have their own."""
    real = engine.home / "backends" / "python" / _LIBRARY.format("python")
    copies = {str(_BACKENDS / "python" / _BEHIND_NAIAD): real}
    for name in ("python", *OWN_BACKENDS):
        if name in backends:
            continue
        copies[str(_BACKENDS / name / _LIBRARY.format(name))] = library()
    return copies


def _guarded_utils(engine: Engine) -> str:
    """Return the module that models in the stub import, after PYTHONPATH and NumPy are seen to.

    NumPy is that of the environment, whatever is on PYTHONPATH.
    """
    text = (engine.home / "backends" / "python" / _UTILS).read_text("utf-8")
    return ("" if takes_numpy_2(engine.version) else _GUARD) + _SEARCH + text


def _is_complete(root: Path, parts: Sequence[str]) -> bool:
    return all((root / part).exists() for part in parts)


def _move_into_place(draft: Path, root: Path, parts: Sequence[str]) -> None:
    """Move the draft into place, unless another process was first; replace a damaged layout."""
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
    """Return the version that NVIDIA's containers state in a file or the environment."""
    file = home / "TRITON_VERSION"
    if file.is_file():
        return file.read_text("utf-8").strip()
    if home.resolve() == CONTAINERS.resolve():
        return os.environ.get("TRITON_SERVER_VERSION", "unknown")
    return "unknown"


def _prepended(directory: str, path: str) -> str:
    rest = [part for part in path.split(":") if part and part != directory]
    return ":".join([directory, *rest])
