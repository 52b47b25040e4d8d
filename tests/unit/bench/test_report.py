from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from tests.unit.bench.levels import latency, level, report, share

from naiad.bench.html import write_html
from naiad.bench.load import Load
from naiad.bench.report import Search, compare, read_baseline
from naiad.bench.tables import batch_table, comparison_table, speed_table, stage_table
from naiad.errors import InvalidInput, MissingExtra

ONE, EIGHT, RATE = Load("concurrency", 1.0), Load("concurrency", 8.0), Load("rate", 40.0)


def written(tmp_path, made):
    path = tmp_path / "report.json"
    path.write_text(made.to_json(), "utf-8")
    return read_baseline(path)


def test_json_has_every_number(tmp_path):
    made = report(level(ONE), level(RATE, latency=None), search=Search(0.1, 33.0))
    found = written(tmp_path, made)
    assert found["levels"][0]["latency"]["p99"] == 0.030
    assert found["levels"][0]["server"]["batch"] == {"requests": 2.5}
    assert found["levels"][1]["load"] == {"kind": "rate", "value": 40.0}
    assert found["levels"][1]["latency"] is None
    assert found["search"] == {"p99": 0.1, "rate": 33.0}


def test_a_report_held_against_itself_has_ratio_one(tmp_path):
    made = report(level(ONE), level(EIGHT), level(RATE))
    for found in compare(made.levels, written(tmp_path, made)):
        assert (found.throughput, found.p50, found.p99) == (1, 1, 1)


def test_ratios_are_now_over_then_and_for_loads_that_both_have(tmp_path):
    then = report(level(ONE, throughput=40.0, latency=latency(0.02, 0.1)), level(RATE))
    now = [level(ONE, throughput=80.0, latency=latency(0.01, 0.1)), level(EIGHT)]
    (found,) = compare(now, written(tmp_path, then))
    assert found.load == ONE
    assert (found.throughput, found.p50, found.p99) == (2.0, 0.5, 1.0)
    assert comparison_table([found]).rows == (("1 client", "2.00 x", "0.50 x", "1.00 x"),)


def test_what_one_of_them_lacks_has_no_ratio(tmp_path):
    then = report(level(ONE, throughput=0.0, latency=None))
    (found,) = compare([level(ONE)], written(tmp_path, then))
    assert (found.throughput, found.p50, found.p99) == (None, None, None)
    assert comparison_table([found]).rows == (("1 client", "-", "-", "-"),)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "another"}'])
def test_another_file_is_no_baseline(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=r"other\.json"):
        read_baseline(path)


def test_a_baseline_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"none\.json"):
        read_baseline(tmp_path / "none.json")


def test_the_page_needs_nothing_else_and_has_two_plots():
    made = report(
        level(ONE),
        level(EIGHT, notes=("<odd> & so on",)),
        level(RATE),
        notes=("without anything",),
        search=Search(0.1, 33.0),
    )
    page = write_html(made, compare(made.levels, json.loads(made.to_json())))
    for part in ("8 clients", "40/s", "transport", "forward", "up to 33 requests per second"):
        assert part in page
    assert "&lt;odd&gt; &amp; so on" in page
    assert "without anything" in page
    assert "1.00 x" in page
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 2
    for picture in pictures:
        ElementTree.fromstring(picture)
    assert not re.search(r"(?:src|href)=[\"'](?!#)", page), "something is loaded from elsewhere"


def test_without_the_servers_metrics_its_columns_are_left_out():
    bare = [level(ONE, server=None), level(RATE, server=None, latency=None)]
    table = speed_table(bare)
    assert "batch" not in table.columns
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert stage_table(bare) is None
    assert batch_table(bare) is None
    page = write_html(report(*bare))
    assert page.count("<svg") == 1


def test_tables_have_a_row_per_load_and_no_gaps():
    levels = [level(ONE, errors={"Unavailable": 3, "InvalidInput": 1}), level(RATE, server=None)]
    table = speed_table(levels)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.rows[0][table.columns.index("errors")] == "1 InvalidInput, 3 Unavailable"
    assert table.rows[1][table.columns.index("batch")] == ""
    stages = stage_table(levels)
    assert stages is not None
    assert len(stages.rows) == 1
    assert len(stages.rows[0]) == len(stages.columns)


def test_batches_are_told_in_every_dimension():
    wide = replace(share(), batch={"nodes": 1234.5, "requests": 2.5, "edges": 10})
    table = batch_table([level(ONE), level(EIGHT, server=wide), level(RATE, server=None)])
    assert table is not None
    assert table.columns == ("load", "requests", "edges", "nodes")
    assert table.rows == (
        ("1 client", "2.5", "-", "-"),
        ("8 clients", "2.5", "10.0", "1,234.5"),
    )
    assert "1,234.5" in write_html(report(level(EIGHT, server=wide)))


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "naiad.bench.plots")
    monkeypatch.delitem(sys.modules, "naiad.plots")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match="plots"):
        import naiad.bench.plots  # noqa: F401
