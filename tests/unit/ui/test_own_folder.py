"""Temporary files of the page's process, which may be of patients, do not outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from naiad.ui.own_folder import own_folder

HOLD = """
import tempfile, time
from naiad.ui.own_folder import own_folder
with own_folder() as folder:
    (folder / "scan.nii.gz").touch()
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_its_files_until_the_next_one_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        other = Path(process.stdout.readline().strip())
        with own_folder() as folder:
            assert (other / "scan.nii.gz").exists()  # it lives
            assert Path(tempfile.mkdtemp()).parent == folder
        process.send_signal(signal.SIGKILL)
    assert (other / "scan.nii.gz").exists()
    with own_folder() as folder:
        assert [*tmp_path.iterdir()] == [folder]
    assert [*tmp_path.iterdir()] == []
    assert tempfile.tempdir == str(tmp_path)
