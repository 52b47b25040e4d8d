"""Models that are left out, and repositories of links to the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.triton import copy_model, write_model

from naiad.core.settings import ServeSettings
from naiad.errors import EngineError
from naiad.triton.model_config import read_model_config
from naiad.triton.selection import Selection, link_models


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A model, one for a GPU, and one whose name is unusable."""
    folder = tmp_path / "models"
    copy_model(folder, "identity")
    config = write_model(folder, "gpu", "class TritonPythonModel: ...") / "config.pbtxt"
    config.write_text(config.read_text().replace("KIND_CPU", "KIND_GPU"))
    write_model(folder, "my model", "class TritonPythonModel: ...")
    return folder


def select(repository: Path, *, cpu: bool = False, **settings: object) -> Selection:
    found = Selection([repository], ServeSettings(**settings), cpu=cpu)  # type: ignore[arg-type]
    found.lay_out()
    return found


def test_models_are_left_out_of_the_copy_that_triton_gets(repository: Path, tmp_path: Path):
    selection = select(repository)
    assert selection.refused.keys() == {"gpu", "my model"}
    (copy,) = selection.repositories(tmp_path / "scratch")
    assert [path.name for path in copy.iterdir()] == ["identity"]
    assert (copy / "identity").resolve() == repository / "identity"


def test_with_explicit_control_the_others_are_loaded_from_the_original(
    repository: Path, tmp_path: Path
):
    selection = select(repository, model_control="explicit")
    assert selection.settings.load == ("identity",)
    assert selection.repositories(tmp_path / "scratch") == (repository,)
    selection.refuse({"identity": "its process died", "nobody": "no such model"})
    assert selection.settings.load == ()
    assert "nobody" not in selection.refused


def test_a_repository_of_which_no_model_can_run_is_refused(repository: Path):
    selection = Selection([repository], ServeSettings(load=("gpu",)), cpu=False)
    (repository / "identity" / "config.pbtxt").write_text(
        (repository / "gpu" / "config.pbtxt").read_text().replace('"gpu"', '"identity"')
    )
    with pytest.raises(EngineError) as caught:
        selection.lay_out()
    assert str(caught.value).startswith("3 of 3 models did not load:\ngpu: config.pbtxt: inst")


def test_the_cpu_is_in_the_copy_and_not_in_the_original(repository: Path, tmp_path: Path):
    link_models(repository, tmp_path / "copy", without=["my model"], cpu=True)
    copied, original = (
        read_model_config(folder / "gpu").message.instance_group[0]
        for folder in (tmp_path / "copy", repository)
    )
    assert (copied.kind, original.kind) == (copied.KIND_CPU, copied.KIND_GPU)
    assert (tmp_path / "copy" / "gpu" / "1").resolve() == repository / "gpu" / "1"
    assert (tmp_path / "copy" / "identity").is_symlink()
    assert not (tmp_path / "copy" / "my model").exists()


def test_a_copy_cannot_be_polled(repository: Path):
    with pytest.raises(EngineError, match="leave out model control poll"):
        Selection([repository], ServeSettings(model_control="poll"), cpu=True)
