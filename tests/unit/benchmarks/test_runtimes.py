"""The table of the runtimes' benchmark, from networks that really run."""

from __future__ import annotations

import numpy as np
import torch
from benchmarks import runtimes

from naiad.core.settings import Runtime
from naiad.networks.opening import open_module


def test_each_runtime_is_measured_and_compared() -> None:
    def opened(runtime: Runtime) -> runtimes.Run:
        torch.manual_seed(0)
        tried = [[np.ones((rows, 8), np.float32)] for rows in (2, 3)]
        network = open_module(torch.nn.Linear(8, 3), tried, runtime=runtime)
        return lambda: network(*tried[0])[0]

    found = runtimes.measure("linear", opened, threads=1, runs=3)
    assert [len(one) for one in found.seconds.values()] == [3, 3, 3]
    assert max(found.differences.values()) < 1e-5
    head, _, row = runtimes.table([found])
    assert head.startswith("| network | threads | torch, ms | onnxruntime, ms | openvino, ms |")
    assert row.startswith("| linear | 1 | ")
    assert row.count("**") == 2


def test_the_page_has_the_place_of_the_table() -> None:
    text = runtimes.PAGE.read_text("utf-8")
    assert text.index(runtimes.BEGIN) < text.index(runtimes.END)
