"""Shared fixtures and options of all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tests.support import forks
from tests.support.golden import Golden
from tests.support.order import ByFile, longest_first

from naiad.triton import engine_files

# A busy machine may take long for any single example; the suite's timeout catches a hang.
settings.register_profile("naiad", deadline=None, max_examples=60)
settings.load_profile("naiad")

# Tests with their own caches do not fetch Triton again.
if installed := engine_files.installed():
    os.environ.setdefault("NAIAD_ENGINE", str(installed))

# The environment of the tests' model.py, as Triton's stub needs NumPy 1; made by the Makefile.
_NUMPY_1 = Path(sys.prefix) / "numpy1"
if _NUMPY_1.is_dir():
    os.environ.setdefault("NAIAD_PYTHON_ENVIRONMENT", str(_NUMPY_1))

_SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real events, weights and reference outputs, outside the checkout."""
    if not _SHARED.is_dir():
        pytest.skip(f"the reference data is not at {_SHARED}")
    return _SHARED


def pytest_configure(config: pytest.Config) -> None:
    """Start a process for all of xdist's processes to fork."""
    if not hasattr(config, "workerinput"):
        forks.preload(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        forks.end()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    forks.choose(item)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that rewrites the golden files."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/ anew")


@pytest.fixture
def golden(pytestconfig: pytest.Config) -> Golden:
    """Compare texts that users see with tests/golden/."""
    return Golden(update=pytestconfig.getoption("--update-golden"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Make reports serializable whatever a test has printed: not all text is UTF-8."""
    return _sendable((yield))


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_sendable(key): _sendable(item) for key, item in value.items()}
    return type(value)(map(_sendable, value)) if isinstance(value, list | tuple) else value
