"""The native backend under libFuzzer; ``NAIAD_FULL=1`` adds the address and undefined-behaviour
sanitizers, which take four times as long to compile.

For an hour: ``make fuzz SECONDS=3600``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.fuzz.budget import SECONDS
from tests.fuzz.pipelines import ALL, Merged
from tests.support.full import FULL

from naiad.core.cost_model import Cost, Knee
from naiad.core.settings import ServiceSettings
from naiad.native.library import SOURCES
from naiad.runtime.spec import ServiceConfig, Spec
from naiad.runtime.wire import Wire

SOURCE = Path(__file__).with_name("native.cpp")
VARIANT = (
    ("-O1", "-fsanitize=fuzzer,address,undefined,float-cast-overflow")
    if FULL
    else ("-O0", "-fsanitize=fuzzer")
)
COST = Cost(1e-3, {"requests": 1e-4, "hits": 1e-5}, Knee("hits", 5, 1e-5))
SERVICE = ServiceSettings(watchdog=2.5, queue_capacity=50, latency_target=0.1)
CONFIG = ServiceConfig(Spec("p"), SERVICE, cost=COST)


@pytest.fixture(scope="session")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the harness beside the contracts that it reads."""
    compiler = shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no clang++: apt install clang libclang-rt-14-dev")
    folder = tmp_path_factory.mktemp("fuzz")
    wires = [Wire.of(pipeline) for pipeline in ALL]
    lines = [wire.announced(CONFIG) for wire in wires]
    lines += [wire.announced(CONFIG, ahead=True) for wire in wires if not wire.merges]
    (folder / "contracts.jsonl").write_text("\n".join(lines) + "\n")
    flags = ["-std=c++17", "-g", "-pthread", "-Wall", "-Wextra", "-Werror", f"-I{SOURCES}"]
    options = [*flags, *VARIANT, "-fno-sanitize-recover=all"]
    command = [compiler, *options, "-o", "native", SOURCE]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if "libclang_rt.fuzzer" in done.stderr:
        pytest.skip("clang++ has no libFuzzer: apt install libclang-rt-14-dev")
    assert not done.returncode, done.stderr
    return folder / "native"


def run(fuzzer: Path, *arguments: str) -> str:
    environment = os.environ | {
        "CONTRACTS": str(fuzzer.with_name("contracts.jsonl")),
        "ASAN_OPTIONS": "allocator_may_return_null=0:max_allocation_size_mb=512:detect_leaks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    # Forked by a small shell: peak memory, which libFuzzer limits, begins with that of the parent.
    command = ["sh", "-c", '"$@"; exit $?', "sh", fuzzer, *arguments]
    done = subprocess.run(
        command, cwd=fuzzer.parent, env=environment, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr[-8000:]
    return done.stderr


def test_the_fuzzer_knows_the_merged_path() -> None:
    assert Wire.of(Merged).merges


def test_no_request_and_no_answer_breaks_the_native_backend(fuzzer: Path) -> None:
    corpus = fuzzer.with_name("corpus")
    corpus.mkdir(exist_ok=True)
    limits = [
        "-max_len=2048",
        "-len_control=0",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    said = run(fuzzer, f"-max_total_time={SECONDS}", *limits, str(corpus))
    tried = re.search(r"stat::number_of_executed_units:\s+(\d+)", said)
    assert tried is not None
    print(f"native decode path: {int(tried[1]):,} inputs tried in {SECONDS} s, crashes 0")
    assert int(tried[1]) > 1000 / 60 * SECONDS
