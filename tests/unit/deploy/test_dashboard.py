"""The dashboard queries only Naiad's metrics, in valid PromQL."""

from __future__ import annotations

import re
from typing import Any

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.bench.stages import STAGES
from naiad.deploy.dashboard import PANELS, dashboard
from naiad.deploy.queries import rate
from naiad.native.library import SOURCES

QUERIES = [query for panel in PANELS for query in panel.queries.values()]


def metrics(query: str) -> set[str]:
    return set(re.findall(r"\b(?:naiad|nv)_\w+", query))


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_is_promql(query: str) -> None:
    promql_parser.parse(query.replace("$__rate_interval", "1m"))


def test_every_metric_of_naiad_is_shown_and_no_other() -> None:
    shown = set().union(*map(metrics, QUERIES))
    told = set(re.findall(r'"(naiad_\w+)"', (SOURCES / "metrics.h").read_text("utf-8")))
    assert {name for name in shown if name.startswith("naiad_")} == told


def test_stages_are_separate_and_add_up() -> None:
    (panel,) = [panel for panel in PANELS if panel.title == "Where a request's time goes"]
    assert panel.stacked
    assert list(panel.queries) == ["{{stage}}"]
    assert "by (stage)" in panel.queries["{{stage}}"]
    assert "queue" in STAGES, "the stage that autoscaling and a panel ask for"


def test_legends_name_labels_that_their_query_keeps() -> None:
    for panel in PANELS:
        for legend, query in panel.queries.items():
            for label in re.findall(r"{{(\w+)}}", legend):
                kept = re.search(r"by \(([\w,]+)\)", query)
                assert query.startswith("nv_") or (kept and label in kept[1].split(","))


def test_panels_do_not_overlap_and_fit_the_grid() -> None:
    taken: set[tuple[int, int]] = set()
    made = dashboard()["panels"]
    for panel in made:
        place: dict[str, Any] = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in made}) == len(made)


def test_variables_that_queries_use_are_there() -> None:
    there = {variable["name"] for variable in dashboard()["templating"]["list"]}
    used = {name for query in QUERIES for name in re.findall(r"\$(\w+)", query)}
    assert used - {"__rate_interval"} <= there


@given(st.sampled_from(["a", "b_total"]), st.sampled_from(["", "stage", "model,kind"]))
def test_rates_are_promql(metric: str, by: str) -> None:
    promql_parser.parse(rate(metric, 'x="y"', "5m", by=by))
