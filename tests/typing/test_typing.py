"""Annotated code of users, checked as in their projects."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytest.importorskip("pyright", reason="the type checker comes with naiad[dev]")


@pytest.mark.parametrize("name", ["pipeline.py", "client.py"])
def test_a_users_types_are_known(name: str, tmp_path: Path) -> None:
    # Outside our project, whose settings a user does not have.
    example = shutil.copy(HERE / name, tmp_path)
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    checked = subprocess.run(
        [*command, example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    report = json.loads(checked.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    assert [
        f"{name}:{found['range']['start']['line'] + 1}: {found['message']}"
        for found in report["generalDiagnostics"]
    ] == []
