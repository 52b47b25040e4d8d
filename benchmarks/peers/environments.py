"""Virtual environments of the peers, each of its own, with pinned packages."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.peers.processes import ROOT, Failed, this_python
from benchmarks.peers.systems import System

from naiad.engine_release import RELEASE

_CONSTRAINTS = ROOT / "constraints.txt"
_WORKS = "works.txt"
_WITHOUT_DEPENDENCIES = "without-dependencies.txt"
_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
_STAMP = "made-of"
_TIMEOUT = 1_800.0  # seconds


def python_of(system: System, environments: Path) -> Path:
    """Return the Python of a system's environment below a folder; make it if it is not there.

    Raises:
        Failed: its packages cannot be installed; says why.
    """
    requirements = system.requirements
    if requirements is None:
        return this_python()
    folder = environments / system.name
    python, stamp = folder / "bin" / "python", folder / _STAMP
    made_of = _digest(requirements)
    if stamp.is_file() and stamp.read_text("utf-8") == made_of:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _uv("venv", "--python", sys.executable, str(folder))
    pinned = ["--python", str(python), "--constraint", str(_CONSTRAINTS)]
    _uv("pip", "install", *pinned, *_torch_index(), "--requirement", str(requirements))
    alone = requirements.with_name(_WITHOUT_DEPENDENCIES)
    _uv("pip", "install", *pinned, "--no-deps", "--requirement", str(alone))
    stamp.write_text(made_of, "utf-8")
    return python


def version_of(system: System) -> str:
    """Return the version of a system, as pinned."""
    if system.requirements is None:
        return version(system.package)
    if not system.package:
        return RELEASE.triton
    pinned = re.escape(system.package) + r"(?:\[\w+\])?==(\S+)"
    (found,) = re.findall(pinned, system.requirements.read_text("utf-8"))
    return found


def _digest(requirements: Path) -> str:
    """Return a digest of all that decides what is in an environment."""
    files = (requirements, requirements.with_name(_WORKS), _CONSTRAINTS)
    alone = requirements.with_name(_WITHOUT_DEPENDENCIES)
    content = b"\0".join(file.read_bytes() for file in (*files, alone))
    return f"{hashlib.sha256(content).hexdigest()} {sys.version}"


def _uv(*arguments: str) -> None:
    from uv import find_uv_bin

    command = [find_uv_bin(), "--quiet", *arguments]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, env=_settings(), timeout=_TIMEOUT
        )
    except subprocess.CalledProcessError as error:
        raise Failed(f"not installed: {_reason(error.stderr)}") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"not installed: uv took longer than {_TIMEOUT / 60:.0f} minutes") from None


def _settings() -> Mapping[str, str]:
    """Return the environment variables: uv reads none of pip's."""
    ours = {"UV_SYSTEM_CERTS": "1"}
    for theirs, name in (("PIP_INDEX_URL", "DEFAULT_INDEX"), ("PIP_FIND_LINKS", "FIND_LINKS")):
        if theirs in os.environ:
            ours[f"UV_{name}"] = os.environ[theirs]
    return {**ours, **os.environ}


@cache
def _torch_index() -> tuple[str, ...]:
    """Return uv's options for the index of torch for CPUs, as in the Makefile, if it answers."""
    index = os.environ.get("TORCH_INDEX", _TORCH_INDEX)
    if not index:
        return ()
    try:
        urlopen(f"{index}/torch/", timeout=10).close()
    except (URLError, TimeoutError):
        return ()
    return ("--extra-index-url", index, "--index-strategy", "unsafe-best-match")


def _reason(message: str) -> str:
    """Return uv's message on one line of a table, cut."""
    return " ".join(message.replace("|", "/").split())[:200]
