from pathlib import Path

import pytest
from tests.support.triton import FREE, copy_model

from naiad.errors import EngineError, InvalidInput, SchemaError, WeightsError
from naiad.triton.server import Server
from naiad.triton.serving import serve


def test_a_server_that_was_never_started_can_be_stopped():
    server = Server("models")
    server.stop()
    server.kill()
    assert server.pid is None
    with pytest.raises(EngineError, match="not running"):
        server.client()


def test_settings_are_for_one_pipeline():
    with pytest.raises(ValueError, match="a single pipeline"):
        serve("nugraph3", "other", settings={"a": 1})


def test_weights_that_are_not_for_all_pipelines_are_to_be_named(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"gat_test: .*; give weights by name .* NAME=PATH"):
        serve("gat", "nugraph3", weights=tmp_path)
    with pytest.raises(InvalidInput, match="weights for gta, but the pipelines are: gat"):
        serve("gat", weights={"gta": tmp_path})


def test_an_unknown_pipeline_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SchemaError, match="nugraph33"):
        serve("nugraph33", **FREE)
    assert list(tmp_path.iterdir()) == []


def test_temporary_folders_go_when_the_start_fails(tmp_path: Path):
    copy_model(tmp_path / "models", "identity").rename(tmp_path / "models" / "my model")
    server = Server(tmp_path / "models", temporary=[tmp_path / "models"])
    with pytest.raises(EngineError, match="my model"):
        server.start()
    assert list(tmp_path.iterdir()) == []
