"""Pythons in which Triton's stub can run a repository's own ``model.py``.

The stub is a program per Python version, linked with that Python's shared library, that runs the
first ``python3`` on PATH. That of Triton 24.10 was built for NumPy 1: with NumPy 2 a BYTES input
ends it (its length is read as 16,843,009), and a BYTES output arrives empty. Triton's later stubs
take both (from 24.11 on, by their source).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from naiad.engine_release import RELEASE, numbers_of
from naiad.errors import EngineError
from naiad.triton import python_facts

NUMPY_1: Final = "numpy<2"
REMEDY: Final = (
    "`naiad engine python-environment DIR` makes one; name it by --python-environment DIR"
)
PARAMETER: Final = "EXECUTION_ENV_PATH"
"""The parameter of a model's configuration that names its environment."""

EMBEDDED: Final = tuple(f"3.{minor}" for minor in range(8, 14))
"""The versions of Python that the embedded Triton has stubs for."""

_VERSIONS: Final = ("3.12", "3.11", "3.10", "3.9", "3.8")  # that NumPy 1 has wheels for
_BINARY: Final = ("--only-binary", "numpy")  # building one takes minutes, and fails
_TRITON_WITH_NUMPY_2: Final = (2, 52)


@dataclass(frozen=True, slots=True)
class PythonEnvironment:
    """A Python and what matters of it to the stub.

    Attributes:
        executable: the program.
        version: such as ``3.11``.
        numpy: the version of its NumPy; "" without.
        libpython: its shared library, which some distributions package apart; None without.
    """

    executable: Path
    version: str
    numpy: str
    libpython: Path | None

    def problem(self, triton: str, stubs: Collection[str]) -> str:
        """Why no stub of a Triton of that version can run in it; "" where one can.

        ``stubs`` are the versions of Python that there are stubs for.
        """
        if not self.numpy:
            return f"{self.executable} has no NumPy, which the stub needs"
        if int(self.numpy.partition(".")[0]) >= 2 and not takes_numpy_2(triton):
            return (
                f"{self.executable} has NumPy {self.numpy}, with which the stub of Triton {triton} "
                f"gives wrong answers; it needs NumPy 1"
            )
        if self.version not in stubs:
            known = ", ".join(sorted(stubs, key=numbers_of)) or "none"
            return (
                f"{self.executable} is Python {self.version}, and this Triton has stubs for {known}"
            )
        if self.libpython is None:
            return (
                f"the shared library of {self.executable} (libpython{self.version}.so.1.0) is "
                f"missing, with which the stub is linked; {_package(self.version)}"
            )
        return ""


def takes_numpy_2(triton: str) -> bool:
    """Whether the stub of a version of Triton works with NumPy 2; one of an unknown is not."""
    return numbers_of(triton) >= _TRITON_WITH_NUMPY_2


@cache
def running_python() -> PythonEnvironment:
    """The running Python."""
    return _environment(Path(sys.executable), python_facts.facts())


def default_python(directory: Path | None = None) -> PythonEnvironment:
    """What a ``model.py`` runs in that names nothing else.

    The environment in ``directory``, by default ``$NAIAD_PYTHON_ENVIRONMENT``, or else the running
    Python.

    Raises:
        EngineError: as `read_environment`.
    """
    named = directory or os.environ.get("NAIAD_PYTHON_ENVIRONMENT")
    return read_environment(Path(named).expanduser()) if named else running_python()


def read_environment(directory: Path) -> PythonEnvironment:
    """The Python of an environment: a folder with a ``bin/python3``.

    Raises:
        EngineError: it is none, or its Python does not run.
    """
    executable = directory.absolute() / "bin" / "python3"
    if not executable.exists():
        raise EngineError(f"{directory} is no Python environment: it has no bin/python3")
    return _look(executable)


def make_environment(
    directory: Path, packages: Sequence[str] = (), *, python: str = ""
) -> PythonEnvironment:
    """Make an environment with NumPy 1 in the new folder ``directory``.

    By ``venv`` and pip in a Python that is here, as pip is configured; else by uv, which may
    download one. Both say what they do on standard error.

    Args:
        directory: a folder that is not there yet.
        packages: what else the model needs, as pip takes it.
        python: a version such as ``3.11``, or a program; by default the newest that will do.

    Raises:
        EngineError: it cannot be made; nothing is left behind.
    """
    directory = directory.absolute()
    if directory.exists():
        raise EngineError(f"{directory} exists; name a new folder")
    try:
        _make(directory, [NUMPY_1, *packages], python)
        made = read_environment(directory)
        if problem := made.problem(RELEASE.triton, EMBEDDED):
            raise EngineError(f"{problem}; name another Python by --python")
        # `EXECUTION_ENV_PATH` has any Triton look for it there, as conda's environments have it.
        link = directory / "lib" / f"libpython{made.version}.so.1.0"
        if made.libpython is not None and not link.exists():
            link.symlink_to(made.libpython)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return made


def _make(directory: Path, packages: Sequence[str], python: str) -> None:
    program = str(directory / "bin" / "python3")
    base = next(_candidates(python), None)
    if base is not None and _run(str(base.executable), "-m", "venv", str(directory)):
        pip = (program, "-m", "pip", "install", "--disable-pip-version-check", "--no-input")
        if not _run(*pip, *_BINARY, *packages):
            raise EngineError(f"pip could not install {', '.join(packages)}; it says why above")
        return
    shutil.rmtree(directory, ignore_errors=True)
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise EngineError(
            f"no Python {_VERSIONS[-1]} to {_VERSIONS[0]} that has its shared library and venv was "
            f"found ({python or 'on PATH'}), and no uv that could get one: pip install uv"
        )
    wanted = str(base.executable) if base is not None else python or _VERSIONS[0]
    made = _run(uv, "venv", "--python", wanted, str(directory))
    if not made or not _run(uv, "pip", "install", "--python", program, *_BINARY, *packages):
        raise EngineError(f"uv could not make {directory} with {', '.join(packages)}; see above")


def _candidates(python: str) -> Iterator[PythonEnvironment]:
    """Pythons here that will do, the running one first."""
    named = [python] if os.sep in python else []
    wanted = [python] if python and not named else _VERSIONS
    names = named or [sys.executable, *(f"python{version}" for version in wanted)]
    for name in names:
        found = shutil.which(name)
        if found is None:
            continue
        try:
            one = _look(Path(found))
        except EngineError:  # a shim for a Python that is not there
            continue
        if one.libpython is not None and (named or one.version in wanted):
            yield one


def _run(*command: str) -> bool:
    return subprocess.run(command, stdout=sys.stderr.fileno(), check=False).returncode == 0


def _look(executable: Path) -> PythonEnvironment:
    try:
        done = subprocess.run(
            [str(executable), "-E", python_facts.__file__],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return _environment(executable, json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise EngineError(f"{executable} does not run: {error}") from None


def _environment(executable: Path, facts: Mapping[str, Any]) -> PythonEnvironment:
    name = f"libpython{facts['version']}.so.1.0"  # as the stub asks for it
    folders = _library_directories(executable, facts)
    return PythonEnvironment(
        executable=executable,
        version=facts["version"],
        numpy=facts["numpy"],
        libpython=next((path for folder in folders if (path := folder / name).is_file()), None),
    )


def _library_directories(executable: Path, facts: Mapping[str, Any]) -> Iterator[Path]:
    """Where a Python's shared library may be; its own build first."""
    yield from map(Path, filter(None, facts["variables"]))
    yield from (Path(prefix, "lib") for prefix in facts["prefixes"])
    yield executable.resolve().parents[1] / "lib"
    if facts["multiarch"]:
        yield Path("/usr/lib", facts["multiarch"])
    yield from map(Path, ("/usr/lib64", "/usr/lib", "/usr/local/lib", "/usr/local/lib64"))
    yield from (Path(p) for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if p)


def _package(version: str) -> str:
    """Which package has the shared library."""
    if Path("/etc/debian_version").exists():
        return f"sudo apt install libpython{version} (conda and uv's Pythons have it too)"
    if shutil.which("dnf"):
        return f"sudo dnf install python{version}-libs (conda and uv's Pythons have it too)"
    return "use a Python built with --enable-shared (conda and uv's Pythons are)"
