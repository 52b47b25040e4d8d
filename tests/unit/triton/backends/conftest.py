"""Model folders: a config and a model file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from naiad.triton.model_config import ModelConfig, read_model_config

Write = Callable[..., ModelConfig]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return ``write(config_text, save, filename)``: it saves version 1 and returns its config."""

    def make(text: str, save: Callable[[Path], object], filename: str = "model.pt") -> ModelConfig:
        model = tmp_path / "m"
        (model / "1").mkdir(parents=True, exist_ok=True)
        (model / "config.pbtxt").write_text(text)
        save(model / "1" / filename)
        return read_model_config(model)

    return make
