"""Processes forked from one that has imported PyTorch Geometric and the like, for all of a run.

Tests start about a thousand processes, and half of the CPU time would be theirs to import torch;
xdist's own are among them. Under ``NAIAD_FULL=1``, and in tests of processes themselves, each is a
new Python.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import pytest
from tests.support.full import FULL

from naiad.runtime.preloaded import Preloaded
from naiad.triton.stub_watch import WORKER

_PYTHON: Final = "NAIAD_TESTS_PYTHON"  # for the processes of xdist

new_processes: Final = pytest.mark.new_processes
"""Mark of tests of tests/e2e whose processes are new ones, as users' are."""

_SERVERS: Final = Path(__file__).parents[1] / "e2e"
_MODULES: Final = (
    "torch_geometric.nn",
    "torch_geometric.transforms",
    "matplotlib.pyplot",
    "pandas",
    "scipy.spatial",
    "scipy.sparse",
    "h5py",
    "pyarrow.parquet",
    "monai.transforms",
    "transformers",
    "gradio",
    "openapi_spec_validator",
    "hypothesis.strategies",
    "mcp.server",
    "uproot",
    "numba",
    WORKER,
)

_forking = True
_preloaded: Preloaded | None = None
_folder: tempfile.TemporaryDirectory[str] | None = None


def preload(config: pytest.Config) -> None:
    """Import in a process, from now on, if a run of pytest needs it; fork xdist's processes."""
    global _folder, _preloaded
    paths = [Path(one.partition("::")[0]).resolve() for one in config.args]
    servers = any(_SERVERS.is_relative_to(p) or p.is_relative_to(_SERVERS) for p in paths)
    distributed: list[str] = config.getoption("tx", [])
    if FULL or not (servers or distributed):
        return
    _folder = tempfile.TemporaryDirectory(prefix="naiad-tests-")
    _preloaded = Preloaded(Path(_folder.name), _MODULES)
    os.environ[_PYTHON] = str(_preloaded.python)
    for_xdist = Path(_folder.name) / "xdist-python"
    # It is called with `-u -c CODE`: the output of forks has no buffer.
    for_xdist.write_text(f'#!/bin/sh\nshift\nexec {_preloaded.python} "$@"\n', "utf-8")
    for_xdist.chmod(0o700)
    distributed[:] = [f"{one}//python={for_xdist}" for one in distributed]


def end() -> None:
    """End the process and its forks."""
    if _preloaded is not None and _folder is not None:
        _preloaded.close()
        _folder.cleanup()


def python() -> str:
    """Return a program that runs ``-m MODULE`` and ``-c CODE`` as Python does."""
    return os.environ.get(_PYTHON, sys.executable) if _forking else sys.executable


def naiad() -> list[str]:
    """Return the command ``naiad``, which its arguments follow."""
    return [python(), "-m", "naiad"]


def choose(item: pytest.Item) -> None:
    """Have the processes that a test starts be forks, or not."""
    global _forking
    marked = item.get_closest_marker(new_processes.name) is not None
    _forking = _PYTHON in os.environ and item.path.is_relative_to(_SERVERS) and not marked
    if _forking:
        os.environ["NAIAD_PYTHON"] = python()  # of the workers
    else:
        os.environ.pop("NAIAD_PYTHON", None)
