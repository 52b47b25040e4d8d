"""The script for GPUs, in its tiny form on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch_geometric", reason="the benchmarks need the extra bench")

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.buckets import bucket, filled
from benchmarks.gpu.page import COMMAND, section

from naiad.core.schema import Tensor


def test_a_bucket_is_larger_than_its_size_and_at_most_twice_as_large():
    assert [bucket(size) for size in range(9)] == [1, 2, 3, 4, 6, 6, 8, 8, 12]


def test_a_filled_batch_has_the_sizes_of_buckets_and_the_same_first_rows():
    schema = {
        "x": Tensor("float32", ("nodes", 2)),
        "edges": Tensor("int64", (2, "links"), index_into="nodes"),
    }
    sample = {"x": np.ones((5, 2), np.float32), "edges": np.array([[0, 4], [1, 2]])}
    batch = filled(schema, [sample, sample])
    assert batch.totals() == {"requests": 3, "nodes": 12, "links": 6}
    assert batch["x"][:10].all()
    assert not batch["x"][10:].any()
    assert batch["edges"].tolist() == [[0, 4, 5, 9, 10, 10], [1, 2, 6, 7, 10, 10]]


@pytest.mark.slow
def test_everything_runs_in_a_tiny_form_on_the_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    gpu.main(["--device=cpu", f"--output={tmp_path}"])
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["cases"]) == ["nugraph3", "gat", "minilm", "densenet121"]
    for found in report["cases"].values():
        assert found["failed"] == []
        assert found["right"]
        assert found["overlap"].keys() == {"off", "on"}
    assert report["cases"]["nugraph3"]["workers"]["1"] > 0
    assert section(report) in capsys.readouterr().out


def test_without_a_gpu_nothing_is_measured(capsys: pytest.CaptureFixture[str]):
    for words, why in ((["--device=cpu", "--docs"], "is for a GPU"), ([], "finds no GPU here")):
        if not words and gpu.torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
        with pytest.raises(SystemExit):
            gpu.main(words)
        assert why in capsys.readouterr().err


def test_the_page_has_the_place_for_the_table():
    text = gpu.PAGE.read_text("utf-8")
    assert text.count(f"<!-- {COMMAND}: begin -->") == text.count(f"<!-- {COMMAND}: end -->") == 1
