"""Short runs of `naiad bench` against the real Triton; speed does not matter here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.support.forks import naiad

from naiad import testing

DEGREE = f"{Path(__file__).parents[1] / 'unit' / 'runtime' / 'degree.py'}:Degree"


@pytest.fixture(scope="module")
def server():
    with testing.serve(DEGREE, instances=1) as running:
        yield running


def bench(*arguments, model=DEGREE):
    return subprocess.run(
        [
            *naiad(),
            *("bench", model, "--duration", "300ms"),
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_bench_writes_its_measurements_and_compares_them(server, tmp_path):
    common = ("--url", server.grpc_url)  # whose card has the address of its metrics
    done = bench(*common, "--concurrency", "1,4", "--rate", 40, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["model"] == "degree"
    assert [level["load"]["value"] for level in report["levels"]] == [1, 4, 40]
    for level in report["levels"]:
        assert level["errors"] == {}
        assert level["throughput"] > 0
        # The server counts exactly this client's requests.
        assert level["server"]["requests"] == level["requests"]
        assert level["server"]["batch"]["nodes"] == 8 * level["server"]["batch"]["requests"]
        assert level["server"]["waits"]["forward"] > 0
        assert level["sent_bytes"] == 8 * 2 * 4 + 2 * 8 * 8
        assert level["received_bytes"] == 8 * 8 + 8
    assert "<svg" in (tmp_path / "report.html").read_text()

    again = bench(*common, "--concurrency", 1, "--compare", tmp_path / "report.json")
    assert again.returncode == 0, again.stderr
    assert "Ratio to the baseline" in again.stdout


def test_it_works_with_http_and_a_server_without_metrics(server):
    done = bench("--url", server.http_url, "--metrics-url", server.http_url, "--concurrency", 2)
    assert done.returncode == 0, done.stderr
    assert "batch sizes and stages are missing" in done.stdout
    assert "forward" not in done.stdout


def test_the_highest_rate_is_searched_for(server):
    done = bench(
        *("--url", server.grpc_url, "--metrics-url", server.metrics_url),
        *("--find-max", "--p99", "1ms"),
    )
    assert done.returncode == 0, done.stderr
    assert "p99" in done.stdout
    assert "within 1 ms" in done.stdout


def test_a_missing_model_is_named(server):
    done = bench("--url", server.grpc_url, model="nonesuch")
    assert done.returncode == 1
    assert "nonesuch" in done.stderr


def test_a_model_that_is_not_a_pipeline_gets_requests_by_its_dims(triton):
    done = bench(
        *("--url", triton.grpc_url, "--metrics-url", triton.metrics_url, "--concurrency", 2),
        model="identity",
    )
    assert done.returncode == 0, done.stderr
    assert "random values" in done.stdout
    assert "no naiad_ metrics of model identity" in done.stdout
