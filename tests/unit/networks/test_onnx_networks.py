"""Sessions of ONNX Runtime say why a file cannot be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.errors import WeightsError
from naiad.networks.onnx_networks import open_session


def test_what_is_no_onnx_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match=rf"^{path} cannot be loaded as ONNX: [^\n]+\Z"):
        open_session(path)


def test_a_device_that_this_build_has_not_is_refused(tmp_path: Path) -> None:
    message = "device cuda:0 needs a build of ONNX Runtime with CUDA, onnxruntime-gpu; this one"
    with pytest.raises(WeightsError, match=message):
        open_session(tmp_path / "net.onnx", "cuda:0")
