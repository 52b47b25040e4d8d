"""A network is loaded again where a batch may use more threads, behind the batches that run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.gate import eventually

from naiad.core.settings import Runtime
from naiad.networks import threads
from naiad.networks.onnx_networks import open_onnx
from naiad.networks.opening import open_module
from naiad.networks.torch_networks import onnx_of, traced
from naiad.networks.versions import Versions


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker with one thread, in which nothing follows yet."""
    monkeypatch.setattr(threads, "_number", 1)
    monkeypatch.setattr(threads, "_followers", [])
    yield
    assert eventually(
        lambda: not any(one.name.startswith("versions") for one in threading.enumerate())
    )


def test_a_batch_gets_the_version_with_the_most_threads_that_is_loaded() -> None:
    go_on = threading.Event()

    def load(number: int) -> int:
        assert number < 4 or go_on.wait(10)
        return number

    versions = Versions(load)
    assert versions.current == 1
    threads.use(2)
    assert eventually(lambda: versions.current == 2)
    for number, expected in ((3, 2), (5, 2), (1, 1)):  # four is still being loaded
        threads.use(number)
        assert versions.current == expected
    go_on.set()
    threads.use(7)
    assert eventually(lambda: versions.current == 4)


def test_a_fixed_number_is_that_of_all_batches() -> None:
    versions = Versions(lambda number: number, 3)
    assert not threads.is_followed()
    threads.use(8)
    assert versions.current == 3


def test_what_cannot_be_loaded_for_more_threads_runs_with_fewer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def load(number: int) -> int:
        if number > 1:
            raise MemoryError(f"no room for {number}")
        return number

    versions = Versions(load)
    with caplog.at_level(logging.WARNING):
        threads.use(2)
        assert eventually(lambda: "not loaded for 2: MemoryError: no room for 2" in caplog.text)
    assert versions.current == 1


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_each_version_of_a_network_answers_the_same(runtime: Runtime) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
    tried = [[np.random.default_rng(rows).random((rows, 3, 32, 32), "f4")] for rows in (2, 3)]
    network = open_module(module, tried, runtime=runtime)
    before = network(*tried[0])
    (versions,) = (one.__self__ for one in threads._followers)
    one_thread = versions.current
    threads.use(2)
    assert eventually(lambda: versions.current is not one_thread)
    for expected, found in zip(before, network(*tried[0]), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_file_that_has_changed_is_not_loaded_beside_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    example = [np.ones((2, 4), np.float32)]
    path = tmp_path / "a.onnx"
    path.write_bytes(onnx_of(traced(torch.nn.Linear(4, 2), example), [example]))
    network = open_onnx(path)
    before = network(*example)
    path.write_bytes(onnx_of(traced(torch.nn.Linear(4, 2), example), [example]) + b"")
    with caplog.at_level(logging.WARNING):
        threads.use(2)
        assert eventually(lambda: "a.onnx has changed since the model was loaded" in caplog.text)
    np.testing.assert_array_equal(network(*example), before)
