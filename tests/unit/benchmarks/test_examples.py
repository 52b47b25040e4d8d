"""The comparison of answers with an example's, and the table of its speeds."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
from benchmarks.examples.case import EXAMPLE, NAIAD, Case, Different, within
from benchmarks.examples.measure import Found
from benchmarks.examples.page import section
from benchmarks.nugraph3.speed import Speed


def answers(*scores: float, verdict: bytes = b"yes"):
    words = np.array([verdict], object)
    return [{"verdict": words, "score": np.array([score], np.float32)} for score in scores]


AGREE = within(0.01, ("verdict", "verdict"), ("score", "score"))


def test_answers_agree_within_the_tolerance():
    found = AGREE(answers(0.1, 0.9), answers(0.105, 0.9))
    assert found == "largest difference 0.005, 2 of 2 verdicts equal"


@pytest.mark.parametrize(
    ("ours", "why"),
    [
        (answers(0.1, 0.95), "answers differ by 0.05; they may by 0.01"),
        (answers(0.1, float("nan")), "answers differ by inf"),
        (answers(0.1, 0.9, verdict=b"no"), r"verdict is \[b'no'\], the example's \[b'yes'\]"),
    ],
)
def test_other_answers_are_refused(ours, why):
    with pytest.raises(Different, match=why):
        AGREE(answers(0.1, 0.9), ours)


def test_the_same_answer_to_all_questions_shows_nothing():
    with pytest.raises(Different, match="all questions have the same answer"):
        AGREE(answers(0.5, 0.5), answers(0.5, 0.5))


def measured(title: str, target: float | None, ratio: float) -> Found:
    """Make two rounds in which Naiad is ``ratio`` and half as much again as fast."""
    case = Case("name", title, "files one by one", lambda *_: nullcontext(), AGREE, target, (1, 16))
    rounds = [
        {
            side: Speed(10 * speed, 0.1 / speed, 0.2 / speed, 30, 0.1 / speed, 0.01)
            for side, speed in ((EXAMPLE, 1.0), (NAIAD, ours))
        }
        for ours in (ratio, 1.5 * ratio)
    ]
    return Found(case, "2 files", "all equal", dict.fromkeys(case.clients, rounds))


def test_a_row_has_medians_and_says_whether_the_target_is_reached():
    pytest.importorskip("torch_geometric", reason="the page names the reference's packages")
    found = [measured("scans", 5.0, 4.0), measured("pictures", 5.0, 2.0), measured("cars", None, 3)]
    text = section(found, command="make", when="today")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert "| scans | 16 | 10 | 100 | 50 | 20.8 | 5 | 5 | 4 to 6 | at least 5 | reached |" in rows
    assert any(
        row.startswith("| pictures") and row.endswith("| at least 5 | **missed** |") for row in rows
    )
    assert rows[-1].endswith("| 3.75 | 3 to 4.5 |  |  |")
    assert len({row.count("|") for row in rows}) == 1
    assert text.count("Files one by one.") == 1
    assert "scans: 2 files; all equal" in text.lower()
