"""Compiled kernels are cached where only the user can write, and shared by parallel starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import config

from naiad.applications.products.kernel_cache import kernel_cache
from naiad.errors import ArtifactError

KERNEL = """
import numba
from naiad.applications.products.kernel_cache import kernel_cache
from numba.core import event

with kernel_cache(__file__):
    @numba.njit(cache=True)
    def triangle(n):
        total = 0
        for i in range(n):
            total += i
        return total

with event.install_recorder("numba:compile") as recorder:
    print(triangle(100), len(recorder.buffer))
"""


@pytest.mark.slow
def test_processes_that_start_at_once_share_and_later_ones_compile_nothing(tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL)
    environment = {**os.environ, "NAIAD_CACHE": str(tmp_path / "cache")}
    environment.pop("NUMBA_CACHE_DIR", None)

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, str(tmp_path / "kernel.py")]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    for process in [start(), start()]:
        assert process.communicate()[0].startswith("4950 ")
    assert start().communicate()[0].split() == ["4950", "0"]
    assert list(tmp_path.glob("cache/kernels/*/*/*.nbc"))


def test_the_cache_is_the_users_own_or_none(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    cache, temporary = tmp_path / "cache", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("NAIAD_CACHE", str(cache))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def place() -> Path:
        with kernel_cache(__file__):
            return Path(config.CACHE_DIR)

    assert cache in place().parents
    assert config.CACHE_DIR == ""
    (cache / "kernels").chmod(0o777)  # others could plant code in it
    assert temporary in place().parents
    next(temporary.iterdir()).chmod(0o777)
    with pytest.raises(ArtifactError, match="NAIAD_CACHE"):
        place()
    monkeypatch.setattr(config, "CACHE_DIR", "elsewhere")  # the user's choice, as NUMBA_CACHE_DIR
    assert place() == Path("elsewhere")
