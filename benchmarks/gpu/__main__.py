"""Check and measure NuGraph3, GAT, MiniLM and DenseNet121 on a GPU, within ten minutes.

    python -m benchmarks.gpu [--device cuda:0] [--seconds 1] [--output DIR] [--docs]

For each: answers compared with the CPU's, requests per second and memory by batch, and what is
gained by preparing beside `forward`, by pinned copies, by CUDA graphs on batches filled to a few
sizes, and by several processes on one device. With `--device cpu` everything runs in a tiny form,
which shows that the script works.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from benchmarks.gpu import measure
from benchmarks.gpu.cases import CASES, Case
from benchmarks.gpu.page import COMMAND, section
from benchmarks.nugraph3.inputs import make_weights
from benchmarks.nugraph3.page import write_section

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
OUTPUT = ROOT / "bench-output" / "gpu"

_TORCH_ON_CPU = "cpu:0"  # NuGraph3 is C++ on "cpu", and torch on any other device
_PROCESSES = (1, 2, 4)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cuda:0", help="cuda:0 by default; cpu: a tiny run")
    parser.add_argument("--only", choices=[case.name for case in CASES], help="measure this alone")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--limit", type=float, default=540, help="seconds of the whole run")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of report.json")
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md")
    given = parser.parse_args(arguments)
    tiny = given.device == "cpu"
    if tiny and given.docs:
        parser.error("--docs is for a GPU; with --device cpu nothing is measured")
    if not tiny and not torch.cuda.is_available():
        parser.error(f"--device {given.device}: torch {torch.__version__} finds no GPU here")
    output: Path = given.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)  # for workers to find this package
    device = _TORCH_ON_CPU if tiny else given.device
    until = time.monotonic() + given.limit
    cases: dict[str, Any] = {}
    with TemporaryDirectory() as scratch:
        weights = Path(scratch) / "nugraph3"
        make_weights(weights)
        for case in CASES:
            if given.only not in (None, case.name):
                continue
            own = weights if case.name == "nugraph3" else None
            seconds = 0.0 if tiny else given.seconds
            setting = measure.Setting(case, device, own, seconds, tiny)
            cases[case.name] = found = measured(setting, until)
            print(json.dumps({case.name: found}), flush=True)
    report = {
        "command": " ".join(["python -m benchmarks.gpu", *(arguments or sys.argv[1:])]),
        "device": platform.processor() if tiny else torch.cuda.get_device_name(device),
        "when": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "cases": cases,
    }
    (output / "report.json").write_text(json.dumps(report, indent=1), "utf-8")
    print(section(report))
    if given.docs:
        write_section(PAGE, section(report), COMMAND)
    wrong = [name for name, found in cases.items() if not found.get("right")]
    if wrong:
        sys.exit(f"without the CPU's answers: {', '.join(wrong)}")


def measured(setting: measure.Setting, until: float) -> dict[str, Any]:
    """Measure a case; what fails, or does not fit in the time, is listed under ``failed``."""
    found: dict[str, Any] = {"failed": []}

    def step(name: str, work: Callable[[], Any]) -> Any:
        if time.monotonic() > until:
            found["failed"].append(f"{name}: no time was left")
            return None
        try:
            return work()
        except Exception as error:  # each measurement stands alone, and the report has the error
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            found["failed"].append(f"{name}: {first}")
            return None

    case, tiny = setting.case, setting.tiny
    runner = step("setup", lambda: case.runner(setting.device, setting.weights, tiny=tiny))
    if runner is None:
        return found
    requests = case.checked(setting.batches[-1], runner, tiny=tiny)
    worst = step("answers", lambda: compared(setting, runner, requests))
    if worst is not None:
        found |= {"difference": worst, "right": worst <= case.tolerance}
    found["batches"] = []
    step("batches", lambda: found["batches"].extend(measure.by_batch(runner, requests, setting)))
    for one in found["batches"]:
        one["memory_mb"] = None if math.isnan(one["memory_mb"]) else one["memory_mb"]
    best = max(found["batches"], key=lambda one: one["per_second"], default={"batch": 1})["batch"]
    some = requests[:best]
    found["overlap"] = step("overlap", lambda: measure.overlap(runner, some, setting))
    if case.forward is not None:
        found["copies"] = step("copies", lambda: measure.copies(runner, some, setting))
        found["graphs"] = step("CUDA graph", lambda: measure.graphs(runner, some, setting))
    found["workers"] = {}
    for number in processes(case, tiny=tiny):
        speed = step("workers", lambda n=number: measure.workers(setting, best, n))
        if speed is not None:
            found["workers"][str(number)] = speed
    return found


def processes(case: Case, *, tiny: bool) -> tuple[int, ...]:
    """Return numbers of processes to compare; a tiny run tries one of NuGraph3."""
    if tiny:
        return (1,) if case.name == "nugraph3" else ()
    return _PROCESSES


def compared(setting: measure.Setting, runner: Any, requests: Any) -> float:
    """Return the largest difference of a device's answers to those of the CPU."""
    case, some = setting.case, requests[: setting.batches[1]]
    reference = case.runner("cpu", setting.weights, tiny=setting.tiny)
    expected = [measure.answers(reference, [request])[0] for request in some]
    return measure.difference(measure.answers(runner, some), expected)


if __name__ == "__main__":
    main()
