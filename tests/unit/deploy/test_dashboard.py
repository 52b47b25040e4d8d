"""The dashboard queries only Naiad's metrics, in valid PromQL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from naiad import errors
from naiad.bench.stages import STAGES
from naiad.deploy.dashboard import PANELS, dashboard
from naiad.deploy.queries import rate
from naiad.native.library import SOURCES
from naiad.triton.health import Health
from naiad.triton.scrape import supervision

ROOT = Path(__file__).parents[3]
QUERIES = [query for panel in PANELS for query in panel.queries.values()]


def metrics(query: str) -> set[str]:
    return set(re.findall(r"\b(?:naiad|nv)_\w+", query))


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_is_promql(query: str) -> None:
    promql_parser.parse(query.replace("$__rate_interval", "1m"))


def test_queries_in_the_documentation_are_promql() -> None:
    concepts = (ROOT / "docs" / "concepts.md").read_text("utf-8")
    (block,) = re.findall(r"```promql\n(.*?)```", concepts, re.DOTALL)
    kubernetes = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
    (rules,) = re.findall(r"```yaml\n(externalRules:.*?)```", kubernetes, re.DOTALL)
    (rule,) = yaml.safe_load(rules)["externalRules"]
    asked = rule["metricsQuery"].replace("<<.GroupBy>>", "service")
    for query in [*block.splitlines(), asked.replace("<<.LabelMatchers>>", 'service="nu"')]:
        promql_parser.parse(query)


def told() -> set[str]:
    """Return the names of all metrics that a server of Naiad's has."""
    names = set(re.findall(r'"(naiad_\w+)"', (SOURCES / "metrics.h").read_text("utf-8")))
    own = supervision(Health(patience=30).report() | {"gate": {"ready": True}})
    return names | {family.name for family in own}


def family(name: str) -> str:
    return re.sub("_(bucket|sum|count)$", "", name)


def test_every_metric_of_naiad_is_shown_and_no_other() -> None:
    shown = set().union(*map(metrics, QUERIES))
    assert {family(name) for name in shown if name.startswith("naiad_")} == told()


def test_no_metric_is_asked_for_that_no_server_has() -> None:
    named = re.compile(
        r"\bnaiad_(?:[a-z]+_)*(?:total|seconds|items|ready)(?:_(?:bucket|sum|count))?\b"
    )
    adapters = {"naiad_queue_seconds"}  # the name that Prometheus' adapter gives to our query
    folders = ("src", "docs", "tests", "benchmarks", "examples", "scripts", "deploy")
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*")):
        if path.suffix in (".py", ".md", ".tpl", ".yaml", ".ipynb"):
            for name in named.findall(path.read_text("utf-8")):
                assert family(name) in told() | adapters, f"{path}: {name}"


def test_quantiles_add_up_the_buckets_of_all_pods_and_versions() -> None:
    asked = [query for query in QUERIES if "_bucket" in query]
    assert asked
    for query in asked:
        assert re.match(r"histogram_quantile\(0\.\d+, sum by \(le(,\w+)?\)\(rate\(", query)


def test_error_kinds_are_the_classes_of_errors_so_that_no_label_grows() -> None:
    text = (SOURCES / "metrics.h").read_text("utf-8")
    listed = re.search(r"kErrorKinds\[\] = \{(.*?)\}", text, re.DOTALL)
    assert listed is not None
    kinds = {name for name, kind in vars(errors).items() if is_error(kind)}
    assert re.findall(r'"(\w+)"', listed[1])[0] == "NaiadError", "of any other text"
    assert set(re.findall(r'"(\w+)"', listed[1])) == kinds


def is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, errors.NaiadError)


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
