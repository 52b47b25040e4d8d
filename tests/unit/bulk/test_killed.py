"""A run that is killed at any moment goes on where it was: nothing twice, nothing missing."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.support.markdown import ROOT
from tests.unit.bulk.numbers import read_pairs, write_numbers
from tests.unit.client.servers import grpc_server

RUN = """
import sys
from pathlib import Path
from naiad.console import PlainConsole
from tests.unit.bulk.numbers import Numbers
from naiad.bulk.settings import Settings
from naiad.bulk.on_servers import OnServers
from naiad.bulk.run import run
from naiad.bulk.servers import Servers

url, paths, results = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
settings = Settings(
    application="half", bulk=Numbers(), paths=[paths], results=results, suffix=".json", chunk=5
)
print("begun", flush=True)
with Servers([url], "half", concurrency=3) as servers:
    servers.start()
    run(settings, OnServers(servers), PlainConsole(quiet=True))
"""


@pytest.mark.slow
def test_a_run_killed_at_random_moments_loses_and_repeats_nothing(tmp_path: Path) -> None:
    rng = random.Random(1)
    for name in range(6):
        start = 1000 * name
        write_numbers(tmp_path / "in" / f"{name}.txt", range(start, start + rng.randrange(40, 90)))
    asked = 0

    def pause(context: Any) -> None:
        nonlocal asked
        asked += 1
        time.sleep(0.004)

    kills = 0
    with grpc_server(pause) as (url, _):
        while True:
            command = [sys.executable, "-c", RUN, url, tmp_path / "in", tmp_path / "out"]
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                try:
                    process.wait(rng.uniform(0.05, 0.5) if kills < 5 else 60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    kills += 1
                    process.wait()
                else:
                    assert process.returncode == 0
                    break
    assert kills >= 2
    files = sorted((tmp_path / "in").iterdir())
    for source in files:
        numbers = [float(line) for line in source.read_text().splitlines()]
        assert read_pairs(tmp_path / "out" / f"{source.stem}.json") == [(n, n) for n in numbers]
    total = sum(len(source.read_text().splitlines()) for source in files)
    # What was under way at each kill is asked again: at most a chunk and what was read ahead.
    assert total <= asked <= total + kills * (5 + 4 * 3 + 3)
    left = Counter(path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert left == {".json": 3 * len(files), "": 1}  # results, manifest and end of each; the lock
