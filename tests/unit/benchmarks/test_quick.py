"""Instructions of hot paths are counted, stored, and compared with those stored."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.quick.baselines import compare, machine_kind, read_baseline, write_baseline
from benchmarks.quick.counting import count, unavailable


def test_over_a_tenth_more_instructions_are_slower():
    before = {"a": 1_000, "b": 1_000, "c": 1_000, "d": 1_000}
    now = {"a": 1_101, "b": 1_100, "c": 910, "d": 500, "e": 1}
    found = {change.name: change.verdict for change in compare(before, now)}
    assert found == {"a": "slower", "b": "equal", "c": "equal", "d": "faster", "e": "new"}
    assert compare(before, {})[0].verdict == "gone"


def test_a_baseline_is_of_one_kind_of_machine(tmp_path: Path):
    file = tmp_path / "baselines.json"
    assert read_baseline("here", file) is None
    write_baseline("here", {"a": 1, "b": 2}, file)
    write_baseline("there", {"a": 3}, file)
    write_baseline("here", {"a": 4}, file)
    assert read_baseline("here", file) == {"a": 4, "b": 2}
    assert read_baseline("there", file) == {"a": 3}
    assert "Python 3." in machine_kind()


@pytest.mark.slow
@pytest.mark.skipif(unavailable() != "", reason=unavailable() or "counts")
def test_only_the_call_itself_is_counted():
    counts = count(["once", "twice"], "tests.unit.benchmarks.counted")
    assert counts["twice"] / counts["once"] == pytest.approx(2, rel=0.05)
    assert counts["once"] < 20_000 * 200
