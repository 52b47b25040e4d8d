"""A real archive for tests: Orthanc, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.markdown import ROOT

from naiad.dicom.orthanc import Orthanc
from naiad.errors import EngineError

PACKAGES = (ROOT / "tests" / "pacs" / "packages.txt").read_text().split()


@contextmanager
def running_archive() -> Iterator[Orthanc]:
    """Yield an empty archive, or skip."""
    try:
        archive = Orthanc()
    except EngineError as error:
        pytest.skip(str(error))
    with archive:
        yield archive


def errors_in(path: Path) -> list[str]:
    """Return what David Clunie's dciodvfy finds wrong in a file, or skip."""
    if (program := shutil.which("dciodvfy")) is None:
        pytest.skip(f"dciodvfy is not installed; it is in Debian's {PACKAGES[-1]}")
    run = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    return [line for line in run.stderr.splitlines() if line.startswith("Error")]
