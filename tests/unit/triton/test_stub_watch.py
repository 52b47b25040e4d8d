import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from naiad.triton import stub_watch
from naiad.triton.logs import LogEvent
from naiad.triton.stub_watch import Stubs


def test_a_model_whose_process_died_is_named_with_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stub_watch, "_DEAD", 0.3)
    for name, code in {
        "alive": "import time; time.sleep(60)",
        "dead": "raise SystemExit(7)",
    }.items():
        file = tmp_path / name / "1" / "model.py"
        file.parent.mkdir(parents=True)
        file.write_text(code)
    code = f"""
import subprocess, sys, time
for name in ("alive", "dead"):
    subprocess.Popen([sys.executable, f"{tmp_path}/{{name}}/1/model.py"])
time.sleep(60)
"""
    triton = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        seen, found = Stubs(), list[LogEvent]()
        deadline = time.monotonic() + 20
        while not found and time.monotonic() < deadline:
            found += seen.died(triton.pid, {"alive", "dead"})
            time.sleep(0.05)
    finally:
        os.killpg(triton.pid, 9)
        triton.wait()
    assert [event.model for event in found] == ["dead"]
    assert "(exit status 7)" in found[0].text
