"""The benchmark's evaluation of its measurements."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.nugraph3.answers import largest_difference
from benchmarks.nugraph3.goals import GOALS, judge, outcome
from benchmarks.nugraph3.inputs import SIZES, simulated
from benchmarks.nugraph3.loop import Pace
from benchmarks.nugraph3.page import plot, section, write_section
from benchmarks.nugraph3.rounds import CLIENTS, MANY, Round
from benchmarks.nugraph3.sides import NAIAD, SETTINGS
from benchmarks.nugraph3.speed import Speed


def measured(ours: float) -> Round:
    """Make a round in which Naiad is ``ours`` times as fast as everything else."""
    found = Round(loop={"small": Pace(100.0, 0.01), "large": Pace(100.0, 0.01)})
    for size in ("small", "large"):
        for clients in (*CLIENTS, MANY):
            for side, speed in ((NAIAD, ours), *((name, 1.0) for name in SETTINGS.values())):
                latency = 0.1 / speed
                found.speeds[size, clients, side] = Speed(
                    10 * speed, latency, 1.5 * latency, 30, 0.1, 0.01
                )
    return found


def test_a_goal_is_judged_by_the_median_of_the_ratios_of_rounds():
    outcomes = judge([measured(ours) for ours in (11, 20, 13)])
    assert [goal.bound for goal in GOALS] == [12, 3.5, 6, 3.5, 0.2, 1.5, 0.92, 0.95]
    assert outcomes[0].ratios == pytest.approx((11, 20, 13))
    assert outcomes[0].row()[1:] == ("at least 12", "13", "11 to 20", "reached")
    assert outcomes[4].median == pytest.approx(1 / 13)
    assert outcomes[5].median == pytest.approx(1.5)
    assert outcomes[6].median == pytest.approx(1.3)
    assert all(found.reached for found in outcomes)
    assert [found.reached for found in judge([measured(5)])] == [
        *(False, True, False, True),
        *(True, True, False, False),
    ]


def test_a_missed_goal_is_said_to_be_missed():
    assert outcome("p50", "at most", 0.2, [0.3]).row()[2:] == ("0.3", "-", "**missed**")


def test_differences_are_in_tolerances_and_nan_is_one():
    one = {"e_evt": np.zeros((1, 4), np.float32), "x_filter_u": np.zeros(2, np.float32)}
    other = {name: array.copy() for name, array in one.items()}
    assert largest_difference([one], [other])[0] == 0
    other["x_filter_u"][1] = 5e-6
    assert largest_difference([one], [other])[0] == pytest.approx(0.5)
    other["e_evt"][0, 2] = np.nan
    assert largest_difference([one], [other])[0] == np.inf


def test_the_page_has_a_row_per_goal_and_side_and_a_picture(tmp_path):
    # Its first line has the versions of the packages in the extra bench.
    pytest.importorskip("torch_geometric", reason="the reference needs the extra bench")
    rounds = [measured(11), measured(13)]
    events = {size: simulated(size, 1) for size in SIZES}
    batches = dict.fromkeys(SIZES, 8)
    words = {"command": "make bench", "weights": "random weights", "when": "today"}
    text = section(judge(rounds), rounds, events, batches, **words)
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert [len(table) - 2 for table in tables] == [len(GOALS), len(SIZES) * 4]
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
    assert "takes 110.0 ms of CPU, 10.0 of them in the load generator, and 10.0 in the loop" in text
    plot(rounds, tmp_path / "images" / "benchmark.png")
    assert (tmp_path / "images" / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_a_command_replaces_its_own_section(tmp_path):
    page = tmp_path / "page.md"
    text = "# A\n\n<!-- {0}: begin -->\n{1}\n<!-- {0}: end -->\n"
    other = text.format("make bench-other", "kept")
    page.write_text(text.format("make bench", "old") + other)
    write_section(page, "new")
    assert page.read_text() == text.format("make bench", "new") + other
    with pytest.raises(ValueError, match="has no <!-- make bench-more: begin -->"):
        write_section(page, "new", "make bench-more")
