"""A network gives the same answers by torch, ONNX Runtime and OpenVINO, or is refused."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.exported import dense_onnx, script

from naiad.core.schema import Array
from naiad.core.settings import RUNTIMES
from naiad.errors import MissingExtra, WeightsError
from naiad.networks.network import Network
from naiad.networks.opening import open_file, open_module

OTHERS = RUNTIMES[1:]


class Small(torch.nn.Module):
    """Images of any size to two tensors; wide enough that bfloat16 would show."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(1, 256, 3, padding=1)
        self.dense = torch.nn.Linear(256, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.conv(x).relu().mean((2, 3))
        return self.dense(features), features


class BySize(torch.nn.Module):
    """A network whose trace is right for one size only."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * len(x)


class Decomposes(torch.nn.Module):
    """A network that neither ONNX nor OpenVINO can express."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svd(x)[1]


def images(number: int, height: int, width: int) -> Array:
    return np.random.default_rng(number).random((number, 1, height, width), np.float32)


def examples() -> Iterator[list[Array]]:
    yield [images(2, 8, 8)]
    yield [images(3, 10, 6)]


@pytest.fixture(scope="module", params=RUNTIMES)
def network(request: pytest.FixtureRequest) -> Network:
    return open_module(Small(), examples(), runtime=request.param)


def by_torch(x: Array) -> list[Array]:
    with torch.inference_mode():
        return [one.numpy() for one in Small()(torch.from_numpy(x.copy()))]


def test_every_runtime_answers_as_torch_does_at_any_size_in_float32(network: Network) -> None:
    for shape in ((1, 8, 8), (5, 12, 9), (4, 3, 30)):
        given = images(*shape)
        given.flags.writeable = False  # as those of a request may be
        for found, expected in zip(network(given), by_torch(given), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
            assert found.dtype == np.float32


def test_threads_may_call_a_network_at_the_same_time(network: Network) -> None:
    found: dict[int, list[Array]] = {}

    def ask(number: int) -> None:
        for _ in range(20):
            found[number] = network(images(number, 16, 16))

    threads = [threading.Thread(target=ask, args=(number,)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in (1, 2, 3):
        np.testing.assert_allclose(
            found[number][0], by_torch(images(number, 16, 16))[0], rtol=1e-5, atol=1e-6
        )


class Conditional(torch.nn.Module):
    """The same network; its script has a condition."""

    def __init__(self) -> None:
        super().__init__()
        self.small = Small()
        self.negative = False

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.negative:
            x = -x
        return self.small(x)


@pytest.mark.parametrize("runtime", OTHERS)
@pytest.mark.parametrize("kind", [Small, Conditional])
def test_torchscript_is_converted(tmp_path: Path, runtime: Any, kind: type[Any]) -> None:
    path = script(kind().eval(), tmp_path / "net.pt")
    network = open_file(path, examples(), runtime=runtime)
    assert network.runtime == runtime
    np.testing.assert_allclose(
        network(images(5, 9, 9))[0], by_torch(images(5, 9, 9))[0], rtol=1e-5, atol=1e-6
    )


def test_an_onnx_file_is_run_by_openvino_too(tmp_path: Path) -> None:
    path = dense_onnx(tmp_path / "net.onnx")
    tried = [{"x": np.ones((rows, 8), np.float32), "unused": np.ones(1)} for rows in (2, 3)]
    own, other = (open_file(path, tried, runtime=runtime) for runtime in (None, "openvino"))
    assert (own.runtime, other.runtime) == ("onnxruntime", "openvino")
    assert own.inputs == other.inputs
    given = np.random.default_rng(0).random((7, 8), np.float32)
    np.testing.assert_allclose(other(given)[0], own(given)[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(WeightsError, match="which torch does not run; onnxruntime or openvino do"):
        open_file(path, tried, runtime="torch")
    with pytest.raises(WeightsError, match=r"net\.onnx has an input x; known are y"):
        open_file(path, [{"y": given}], runtime="openvino")


@pytest.mark.parametrize("runtime", OTHERS)
def test_a_conversion_that_differs_is_refused_with_the_difference(runtime: Any) -> None:
    message = (
        rf"BySize, converted for {runtime}, differs from torch by 0\.33 of its largest value for "
        r"inputs \[3, 1, 10, 6\]; at most 0\.0001 is allowed; run it by torch"
    )
    with pytest.raises(WeightsError, match=message):
        open_module(BySize(), examples(), runtime=runtime)


@pytest.mark.parametrize("runtime", OTHERS)
def test_a_network_that_cannot_be_converted_is_refused_in_one_line(
    runtime: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    message = rf"^Decomposes cannot be run by {runtime}: [^\n]*aten::linalg_svd[^\n]*\Z"
    with pytest.raises(WeightsError, match=message):
        open_module(Decomposes(), [[np.eye(3, dtype=np.float32)]], runtime=runtime)
    assert capfd.readouterr() == ("", "")


def test_sizes_that_the_original_refuses_are_not_compared() -> None:
    class Fixed(Small):
        def forward(self, x: torch.Tensor) -> Any:
            return super().forward(x.view(-1, 1, 8, 8))

    open_module(Fixed(), examples(), runtime="openvino")


def test_openvino_is_for_the_cpu_and_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(WeightsError, match=r"openvino runs on the CPU here, not on cuda:0"):
        open_file(Path("net.xml"), (), "cuda:0")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra, match=r"openvino is needed here .*\[openvino\]"):
        open_module(Small(), examples(), runtime="openvino")


def test_openvino_tells_nobody_that_it_is_used(tmp_path: Path) -> None:
    text = (
        "import sys\n"
        "def watch(event, given):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'urllib.Request'):\n"
        "        print(event, given)\n"
        "sys.addaudithook(watch)\n"
        "from pathlib import Path\n"
        "from naiad.networks.openvino_networks import open_openvino\n"
        f"open_openvino(Path({str(dense_onnx(tmp_path / 'net.onnx'))!r}))\n"
        "import threading; print(len(threading.enumerate()))\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(home), "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout == "1\n"
    assert not list(home.iterdir())
