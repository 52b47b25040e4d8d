"""Curves of growing cost: their fits, their sizes and their tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.growth import __main__ as growth
from benchmarks.growth.curve import Curve, Series
from benchmarks.growth.fit import fit
from benchmarks.growth.page import COMMAND, plot, table
from tests.support.full import full

from naiad.applications.nugraph.schema import INPUTS
from naiad.core.schema import validate


def curve_of(*series: Series) -> Curve:
    return Curve(
        name="things",
        title="Things",
        size="things",
        sizes=(1, 10, 100, 1_000),
        series=series,
        measure=lambda sizes, effort: iter(()),
        tiny=(1,),
        memory=lambda size: 1e6 * size,
    )


def test_the_exponent_of_a_power_law_is_found_with_the_range_of_its_rounds():
    found = fit({size: (2.0 * size**1.5, 3.0 * size**1.5, size) for size in (10, 100, 1_000)})
    assert found is not None
    assert (found.exponent, found.least, found.most) == pytest.approx((1.5, 1.0, 1.5))


def test_growth_that_fixed_costs_hide_shows_in_the_last_decade():
    found = fit({size: (1e6 + size**2,) for size in (1, 10, 100, 1_000, 10_000)})
    assert found is not None
    assert found.exponent < 1
    assert found.tail > 1.6


def test_values_of_zero_and_single_sizes_have_no_exponent():
    assert fit({1: (0.0,), 10: (1.0,)}) is None
    assert fit({}) is None


def test_sizes_stop_at_the_largest_wanted_and_at_the_free_memory():
    curve = curve_of()
    assert curve.possible(100, room=1e12) == [1, 10, 100]
    assert curve.possible(None, room=2e7) == [1, 10]


def test_growth_above_its_limit_is_flagged_with_its_reason(tmp_path: Path):
    series = (
        Series("time", "ms", 1.1),
        Series("memory", "MB", 1.1, "tables are square"),
        Series("rate", "1/s"),
    )
    square = {size: [float(size**2)] * 2 for size in (1, 10, 100)}
    values = {"time": square, "memory": square, "rate": square}
    text = table(curve_of(*series), values)
    assert "| exponent | 2.00 (2.00 to 2.00) | 2.00 (2.00 to 2.00) | 2.00 (2.00 to 2.00) |" in text
    assert "| of the last decade | **2.00** | **2.00** | 2.00 |" in text
    assert "**time** grows faster than it should: no reason is known." in text
    assert "**memory** grows faster than it should: tables are square." in text
    assert "**rate**" not in text
    linear = {size: [3.0 * size] for size in (1, 10, 100)}
    assert "grows faster" not in table(curve_of(*series), {"time": linear})
    plot({curve_of(*series): values}, tmp_path / "growth.webp")
    assert (tmp_path / "growth.webp").read_bytes()[8:12] == b"WEBP"


def test_every_curve_can_be_imported_and_its_page_has_the_place_for_it():
    for name in growth.NAMES:
        curve = growth.curve_of(name)
        assert curve.name == name
        assert list(curve.sizes) == sorted(curve.sizes)
    text = growth.PAGE.read_text("utf-8")
    assert text.count(f"<!-- {COMMAND}: begin -->") == text.count(f"<!-- {COMMAND}: end -->") == 1


def test_an_event_of_any_number_of_hits_is_valid():
    from benchmarks.growth.hits import event_of

    for hits in (100, 3_000):
        sizes = validate(INPUTS, event_of(hits))
        assert sizes["hits"] == hits
        assert sizes["spacepoints"] < 2 * hits


@pytest.mark.slow
def test_a_curve_is_measured_written_and_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("torch_geometric", reason="the machine's description needs extra bench")
    growth.main(["--quick", "--only=edges", f"--output={tmp_path}"])
    report = json.loads((tmp_path / "edges.json").read_text())
    assert list(report["values"]["CPU"]) == ["10", "1000"]
    assert "### Edges of a graph (GAT)" in capsys.readouterr().out


@full
@pytest.mark.parametrize("name", [name for name in growth.NAMES if name not in ("edges", "nodes")])
def test_every_curve_can_be_measured(tmp_path: Path, name: str):
    pytest.importorskip("torch_geometric", reason="the machine's description needs extra bench")
    growth.main(["--quick", f"--only={name}", f"--output={tmp_path}"])
    report = json.loads((tmp_path / f"{name}.json").read_text())
    assert {len(sizes) for sizes in report["values"].values()} <= {1, 2}
