"""The comparison with other servers: what is sent, compared, kept and written."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
from aiohttp import web
from benchmarks.nugraph3.speed import Moment
from benchmarks.peers.__main__ import in_turn, left_to_do, parser
from benchmarks.peers.arrivals import Open, arrivals
from benchmarks.peers.codec import pack, unpack
from benchmarks.peers.environments import version_of
from benchmarks.peers.measuring import difference
from benchmarks.peers.pace import Pace
from benchmarks.peers.page import COMMAND, section
from benchmarks.peers.processes import ROOT, Cores, Failed, Running, end
from benchmarks.peers.results import Closed, Results, Settings, Trial, Visit, best, read_results
from benchmarks.peers.senders import open_sender, unwrapped, wrapped
from benchmarks.peers.servers import Options
from benchmarks.peers.stage import Stage
from benchmarks.peers.systems import NAIAD, SYSTEMS, System
from benchmarks.peers.works import NAMES, find_work

from naiad.errors import PipelineError, Unavailable

ARRAYS = {
    "x": np.arange(6, dtype=np.float32).reshape(2, 3),
    "empty": np.zeros((2, 0), np.int64),
    "flag": np.array([True, False]),
    "files": np.array([[b"\0a\0"], [b""]], object),
}
SETTINGS = Settings((1, 16), 3.0, 2, False, "a machine")


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert (other[name].dtype, other[name].shape) == (array.dtype, array.shape)
        assert other[name].tolist() == array.tolist()


def test_arrays_survive_the_codec():
    assert_equal(ARRAYS, unpack(pack(ARRAYS)))
    assert_equal({"t": ARRAYS["x"].T}, unpack(pack({"t": ARRAYS["x"].T})))


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=str)
def test_each_system_is_complete(system: System):
    folder = ROOT / "benchmarks" / "peers" / "servers"
    assert (folder / f"{system.name}.py").is_file()
    assert version_of(system)
    if system.name != NAIAD:
        assert system.requirements is not None
        assert "-r works.txt" in system.requirements.read_text()
    # A sender wraps requests, a server answers in kind.
    sent = wrapped(system, ARRAYS) if system.protocol != "body" else {"request": ARRAYS["files"]}
    if system.protocol in ("packed", "element"):
        answer = {"answer": sent["request"]}
        assert sent["request"].shape[0] == 1
        assert_equal(ARRAYS, unwrapped(system, answer))
    elif system.protocol != "body":
        assert_equal(ARRAYS, unwrapped(system, sent))


def test_every_work_can_be_made():
    for name in NAMES:
        work = find_work(name)
        assert work.batch <= work.most
    work = find_work("echo")
    requests = work.make(3)
    answers = work.load()(requests)
    assert [a["y"].tolist() for a in answers] == [r["x"].tolist() for r in requests]
    assert requests[0]["x"].nbytes == 1024


async def test_a_body_is_answered_or_its_error_told():
    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        if "refused" in unpack(body):
            return web.Response(status=500, text="no")
        return web.Response(body=body)

    app = web.Application()
    app.router.add_post("/predict", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    requests = [ARRAYS, {"refused": ARRAYS["x"]}]
    sender = open_sender(SYSTEMS["litserve"], port, "", requests)
    try:
        assert_equal(ARRAYS, await sender.answer(0))
        size = 24 + 2 + (4 + 3) + 4
        assert await sender.send(2) == (size, size)
        with pytest.raises(PipelineError, match=r"500 b'no'"):
            await sender.send(1)
    finally:
        await runner.cleanup()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        await sender.send(0)
    await sender.close()


async def test_arrivals_that_are_not_answered_in_time_are_an_overload():
    class Slow:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        async def send(self, number: int) -> tuple[int, int]:
            await asyncio.sleep(self.seconds)
            return 1, 1

    found = await arrivals(Slow(0.0), 200.0, Moment(0.05, 0.3), seed=0)
    assert (found.rate, found.overloaded, found.errors) == (200.0, False, ())
    assert 0 < found.p50 <= found.p99
    slow = await arrivals(Slow(0.5), 200.0, Moment(0.05, 0.1), seed=0)
    assert slow.overloaded
    began = time.monotonic()
    crowded = await arrivals(Slow(60.0), 50_000.0, Moment(30.0, 30.0), seed=0)
    assert crowded.overloaded
    assert time.monotonic() < began + 10


def test_answers_are_compared_within_a_tolerance():
    right = {"y": np.array([1.0, 2.0], np.float32), "name": np.array([b"hand"], object)}
    near = {**right, "y": np.array([1.0, 2.0001], np.float32), "more": np.zeros(1)}
    assert difference(right, near, 1e-3) == ""
    assert difference(right, near, 1e-6).startswith("y differs by")
    assert difference(right, {"y": right["y"]}, 1) == "name is None, not (1,)"
    assert "b'foot'" in difference(right, {**right, "name": np.array([b"foot"], object)}, 1)
    nan = {**right, "y": np.array([np.nan, 2.0], np.float32)}
    assert difference(right, nan, 1) == "y differs by nan"


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
try:
    child.wait()
except KeyboardInterrupt:
    child.kill()
    child.wait()
"""


@pytest.fixture
def families(tmp_path):
    """Return a function that starts a parent with a busy child; end them all afterwards."""
    started: list[Running] = []

    def family() -> Running:
        others = frozenset(psutil.Process().children(recursive=True))
        process = subprocess.Popen([sys.executable, "-c", PARENT])
        scratch = tmp_path / str(len(started))
        scratch.mkdir()
        options = Options("echo", 1, 1, 0.0, str(scratch), "")
        running = Running(process, options, scratch, others)
        started.append(running)
        while len(running.processes()) < 2:
            time.sleep(0.01)
        return running

    yield family
    end([running for running in started if running.scratch.exists()])


def cpu(processes) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def test_a_paused_system_uses_no_cpu_and_goes_on(families):
    one = families()
    mine = one.processes()
    one.pause()
    other = families()  # it runs while the first is paused
    assert not set(mine) & set(other.processes())
    before = cpu(mine)
    time.sleep(0.2)
    assert cpu(mine) == before
    other.pause()
    one.resume()
    assert one.processes() == mine
    assert (one.resumed, one.whole, other.resumed) == (True, True, False)
    deadline = time.monotonic() + 10
    while cpu(mine) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert cpu(mine) > before
    end([one])
    assert not any(process.is_running() for process in mine)
    assert len(other.processes()) == 2  # still there


def test_a_process_lost_in_a_pause_is_seen(families):
    one = families()
    child = one.processes()[-1]
    one.pause()
    child.kill()
    one.resume()
    psutil.wait_procs([child], timeout=10)
    assert not one.whole


def test_systems_take_turns_on_a_stage(families, monkeypatch):
    """`families` stand in for the systems, which have environments of their own."""
    system, stage = SYSTEMS[NAIAD], Stage("echo", Cores((0,), (0,)))
    starts = []
    monkeypatch.setattr(
        "benchmarks.peers.stage.start", lambda *_: starts.append(families()) or starts[-1]
    )
    with closing(stage):
        for wait in (0.0, 0.002, 0.0):
            with stage.turn(system, Path(), wait) as running:
                assert len(running.processes()) == 2
        assert running is starts[0]
        assert len(starts) == 2
        with pytest.raises(Failed), stage.turn(system, Path(), 0.0):
            raise Failed
        assert running.ended
        monkeypatch.setattr("benchmarks.peers.stage.SPARE", 1 << 60)
        with stage.turn(system, Path(), 0.002) as running:
            pass
        assert running is starts[1]
        assert running.ended  # as memory is short
    assert "ends" in str(stage.clock)


def test_the_rest_of_a_run_is_estimated_from_its_parts():
    pace = Pace({"trial": 20.0, "visit": 10.0}, Counter(trial=1, visit=5))
    assert pace.remaining == 70
    with pace.part("trial"):
        pass
    assert 50 <= pace.remaining < 51
    with pace.part("visit"):
        pass
    assert pace.remaining < 1
    pace = Pace({"trial": 20.0}, Counter(trial=2))
    pace.skip("trial")
    assert pace.remaining == 20


def test_only_what_the_results_lack_is_measured():
    results = measured()
    assert left_to_do(results, "echo", [NAIAD, "mlserver"], 3) == []
    assert left_to_do(results, "echo", [NAIAD, "ray"], 4) == [("ray", 3), (NAIAD, 3)]
    assert left_to_do(results, "gat", ["ray"], 1) == [("ray", -1), ("ray", 0)]


@pytest.mark.parametrize(
    ("cores", "own", "apart"), [(1, 1, False), (2, 2, False), (4, 1, True), (16, 2, True)]
)
def test_the_generator_has_cores_of_its_own_where_there_are_some(cores, own, apart):
    divided = Cores.divided(range(cores))
    assert (len(divided.generator), divided.apart) == (own, apart)
    assert set(divided.systems) | set(divided.generator) == set(range(cores))


def test_systems_take_turns():
    assert in_turn("abc", -1) == in_turn("abc", 0) == [*"abc"]
    assert in_turn("abc", 2) == [*"cab"]


def test_the_command_names_what_it_does_not_know(capsys):
    args = parser().parse_args(["--works", "gat,echo", "--peers", "ray", "--clients", "1,4"])
    assert (args.works, args.peers, args.clients) == (("gat", "echo"), ("ray",), (1, 4))
    for wrong in (["--peers", "naiad"], ["--works", "gat,x"], ["--clients", "0"]):
        with pytest.raises(SystemExit):
            parser().parse_args(wrong)
    assert "'x' is not one of echo, molecules" in capsys.readouterr().err


def closed(speed: float) -> Closed:
    return Closed(speed, 1 / speed, 2 / speed, 0.9 if speed > 1_000 else 0.1)


def measured() -> Results:
    """Make results in which LitServe wins at 1 client, and Naiad at 16."""
    results = Results(SETTINGS, versions={NAIAD: "1", "litserve": "2"})
    for name, one, many in ((NAIAD, 90, 1_200), ("litserve", 100, 400), ("ray", 50, 60)):
        both = {1: closed(one), 16: closed(many)}
        results.trials.append(Trial("echo", name, 0.002 * (name == "ray"), both))
        for number in range(3):
            loads = {1: closed(one + number), 16: closed(many + number)}
            at_random = Open(280.0, 0.001, 0.0025, overloaded=name == "ray")
            results.visits.append(Visit("echo", name, number, loads, at_random))
    results.trials.append(Trial("echo", "mlserver", problem="not installed: no|such\npackage"))
    return results


def test_the_table_says_who_wins_and_what_was_not_measured():
    results = measured()
    assert results.rate("echo") == 280
    assert Results(SETTINGS, trials=results.trials).rate("echo") == pytest.approx(280)
    assert Results(SETTINGS, trials=results.trials[:1]).rate("echo") is None
    text = section(results, command="make bench-peers", when="today")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert "Medians of 3 rounds on today" in text
    assert "shares the 2 cores" in text
    by_name = {row.split("|")[1].strip(): row for row in rows}
    assert "280/s" in by_name["**echo of 1 KB**"]
    assert "| 91 (90-92) | 1,201 (1,200-1,202) † | 1, 2.5 |" in by_name["Naiad"]
    assert "| **101** (100-102) | **401** (400-402) |" in by_name["LitServe"]
    assert by_name["Ray Serve"].endswith("| overloaded |")
    assert "not installed: no/such package" in by_name["MLServer"]
    ratios = by_name["*Naiad to the best peer*"]
    assert "0.901 (0.9-0.902); **LitServe wins**" in ratios.replace("0.90 ", "0.901 ")
    assert "3.00" in ratios
    assert "Ray Serve with echo of 1 KB" in text
    failed = Open(280.0, 0.001, 0.002, overloaded=True, errors=("Unavailable",))
    results.visits[0] = msgspec.structs.replace(results.visits[0], open=failed)
    assert "| failed: Unavailable |" in section(results, command="", when="")


def test_an_interrupted_run_goes_on_with_the_same_settings(tmp_path):
    file = tmp_path / "results.json"
    results = measured()
    results.write(file)
    found = read_results(file, SETTINGS)
    assert found.visits == results.visits
    # Problems are tried again.
    assert found.trials == [trial for trial in results.trials if not trial.problem]
    assert found.trial("echo", "mlserver") is None
    assert found.trial("echo", "ray") is not None
    assert found.visit("echo", "ray", 3) is None
    other = Settings((1, 16), 1.0, 2, False, "a machine")
    with pytest.raises(ValueError, match="was measured with"):
        read_results(file, other)


def test_the_better_wait_is_the_one_that_is_better_over_all_loads():
    one = Trial("echo", "ray", 0.0, {1: closed(100), 16: closed(200)})
    other = Trial("echo", "ray", 0.002, {1: closed(60), 16: closed(300)})
    assert best([one, other]) is one


def test_the_page_has_a_place_for_the_table():
    assert f"<!-- {COMMAND}: begin -->" in (ROOT / "docs" / "performance.md").read_text()
