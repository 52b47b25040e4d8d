"""Answers are compared with the truth: efficiency and purity per class, and vertex errors."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from naiad.applications.nugraph.events import Event
from naiad.applications.nugraph.heads import Labels
from naiad.applications.nugraph.labels import (
    BACKGROUND,
    EVENT_CLASSES,
    NUGRAPH2_CLASSES,
    SEMANTIC_CLASSES,
)
from naiad.applications.nugraph.results import NuGraphResult
from naiad.applications.nugraph.schema import PLANES
from naiad.applications.nugraph.simulate import simulate
from naiad.applications.nugraph.task import NuGraph2Task, NuGraph3Task
from naiad.applications.nugraph.truth import TruthReport
from naiad.console import PlainConsole

LABELS3 = NuGraph3Task.defaults
LABELS2 = NuGraph2Task.defaults


def outputs_of(
    event: Event, classes: NDArray[Any], width: int, signal: NDArray[Any]
) -> Mapping[str, NDArray[Any]]:
    """Return the outputs of a network that gives each hit this class, and the event's class."""
    truth = event.truth
    assert truth is not None
    plane = event.hits["local_plane"]
    outputs: dict[str, NDArray[Any]] = {
        "e_evt": np.eye(4, dtype=np.float32)[[truth.event_class]],
        "v_evt": truth.vertex[None] + np.array([[3, 0, 4]], np.float32),
    }
    for number, name in enumerate(PLANES):
        here = plane == number
        outputs[f"x_semantic_{name}"] = np.eye(width, dtype=np.float32)[classes[here]]
        outputs[f"x_filter_{name}"] = signal[here].astype(np.float32)
    return outputs


def compared(
    labels: Labels, events: list[Event], wrong: int = 0, class_of: tuple[int, ...] = tuple(range(7))
) -> TruthReport:
    """Compare right answers, but for the first true muons: ``wrong`` of each event are showers."""
    report = TruthReport(labels)
    for event in events:
        assert event.truth is not None
        true = event.truth.semantic
        classes = true.copy()
        classes[np.flatnonzero(true == SEMANTIC_CLASSES.index("muon"))[:wrong]] = 4
        answers = outputs_of(
            event, np.array(class_of)[classes], len(labels.semantic), true != BACKGROUND
        )
        report.add(event, NuGraphResult.from_outputs(event, answers, labels))
    return report


def printed(report: TruthReport) -> list[list[str]]:
    page = PlainConsole(file=io.StringIO(), width=100)
    report.print(console=page)
    return [line.split() for line in page.file.getvalue().splitlines() if line.strip()]


def words(line: str) -> list[str]:
    return line.split()


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return [event for event in simulate(6, seed=2) if event.truth and event.truth.event_class >= 0]


def test_right_answers_have_full_efficiency_and_purity(events: list[Event]) -> None:
    lines = printed(compared(LABELS3, events))
    true = np.concatenate([event.truth.semantic for event in events])
    for number, name in enumerate(SEMANTIC_CLASSES):
        count = int((true == number).sum())
        share = "1.000" if count else "-"
        assert [name, f"{count:,}", share, share] in lines
    signal = f"{(true >= 0).sum():,}"
    assert ["accuracy", signal, "1.000"] in lines
    assert ["signal,", "by", "the", "filter", signal, "1.000", "1.000"] in lines
    assert ["accuracy", str(len(events)), "1.000"] in lines
    assert words("distance of the vertex: median 5.0 cm, 68 % within 5.0 cm") in lines


def test_muons_taken_for_showers_lower_one_s_efficiency_and_the_other_s_purity(
    events: list[Event],
) -> None:
    lines = printed(compared(LABELS3, events, wrong=2))
    true = [event.truth.semantic for event in events]
    muons = sum(int((one == 1).sum()) for one in true)
    showers = sum(int((one == 4).sum()) for one in true)
    lost = sum(min(2, int((one == 1).sum())) for one in true)
    assert lost > 0
    total = sum(int((one >= 0).sum()) for one in true)
    assert ["muon", f"{muons:,}", f"{round((muons - lost) / muons, 4):.3f}", "1.000"] in lines
    purity = f"{round(showers / (showers + lost), 4):.3f}"
    assert ["shower", f"{showers:,}", "1.000", purity] in lines
    assert ["accuracy", f"{total:,}", f"{round((total - lost) / total, 4):.3f}"] in lines


def test_nugraph2_is_judged_by_its_five_classes(events: list[Event]) -> None:
    report = compared(LABELS2, events, class_of=(0, 0, 1, 1, 2, 3, 4))
    lines = printed(report)
    true = np.concatenate([event.truth.semantic for event in events])
    for name, members in zip(NUGRAPH2_CLASSES, ((0, 1), (2, 3), (4,), (5,), (6,)), strict=True):
        count = int(np.isin(true, members).sum())
        share = "1.000" if count else "-"
        assert [name, f"{count:,}", share, share] in lines
    assert {word for line in lines for word in line}.isdisjoint({*EVENT_CLASSES, "vertex:"})


def test_classes_in_another_order_are_the_same_classes(events: list[Event]) -> None:
    labels = replace(LABELS3, semantic=SEMANTIC_CLASSES[::-1])
    lines = printed(compared(labels, events, class_of=(6, 5, 4, 3, 2, 1, 0)))
    total = sum(int((event.truth.semantic >= 0).sum()) for event in events)
    assert ["accuracy", f"{total:,}", "1.000"] in lines


def test_other_classes_are_not_compared(events: list[Event]) -> None:
    labels = replace(LABELS3, semantic=tuple("abcdefg"))
    lines = [" ".join(line) for line in printed(compared(labels, events))]
    assert any("other semantic classes than a, b, c, d, e, f, g" in line for line in lines)
    assert any(line.startswith("signal, by the filter") for line in lines)


def test_events_without_truth_are_counted(events: list[Event]) -> None:
    report = compared(LABELS3, events[:2])
    first = events[0]
    assert first.truth is not None
    signal = first.truth.semantic >= 0
    answers = outputs_of(first, np.zeros(len(signal), int), 7, signal)
    result = NuGraphResult.from_outputs(first, answers, LABELS3)
    before = report.metrics.summary()
    report.add(replace(first, truth=None), result)
    assert report.metrics.summary() == before
    assert printed(report)[0] == words("compared with the truth: 2 events; 1 without truth")
    alone = TruthReport(LABELS3)
    alone.add(replace(first, truth=None), result)
    assert printed(alone) == [words("no event has truth to compare with; 1 without truth")]
