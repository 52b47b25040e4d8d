"""Sources of pipelines in model folders."""

from pathlib import Path

import pytest

from naiad.core.pipeline import load_pipeline
from naiad.errors import SchemaError
from naiad.triton.repository import export
from naiad.triton.sources import modules_beside

MODEL = """
import json
from pathlib import Path
import naiad
from naiad import Tensor
import layers
from parts.more import FACTOR


class Scaled(naiad.Pipeline):
    inputs = outputs = {"x": Tensor("float32", ("n",))}
    arrays = "numpy"
    files = ("words/vocabulary.json",)

    def setup(self, device):
        from late import SHIFT

        folder = Path(__file__).parent
        self.words = json.loads((folder / self.files[0]).read_text())
        self.factor = layers.two() * FACTOR + SHIFT

    def forward(self, batch):
        return {"x": batch["x"] * self.factor}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "parts").mkdir(parents=True)
    (folder / "words").mkdir()
    (folder / "my-model.v2.py").write_text(MODEL)
    (folder / "layers.py").write_text("import deeper\n\n\ndef two():\n    return deeper.TWO\n")
    (folder / "deeper.py").write_text("TWO = 2\n")
    (folder / "late.py").write_text("SHIFT = 1\n")
    (folder / "unused.py").write_text("raise ValueError\n")
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "more.py").write_text("FACTOR = 5\n")
    (folder / "words" / "vocabulary.json").write_text("[1]")
    return folder


def test_modules_are_found_through_others_and_inside_functions(folder: Path) -> None:
    found = {
        path.relative_to(folder).as_posix() for path in modules_beside(folder / "my-model.v2.py")
    }
    assert found == {"layers.py", "deeper.py", "late.py", "parts"}


def test_an_exported_model_needs_nothing_of_its_folder(folder: Path, tmp_path: Path) -> None:
    model = export(f"{folder / 'my-model.v2.py'}:Scaled", tmp_path / "models", portable=False)
    (tmp_path / "mine").rename(tmp_path / "elsewhere")
    pipeline = model.pipeline()
    pipeline.setup("cpu")
    assert pipeline.factor == 11
    assert {path.name for path in (model.path / "1").iterdir()} >= {"layers.py", "parts", "words"}


def test_two_files_may_have_modules_of_one_name_beside_them(folder: Path, tmp_path: Path) -> None:
    load_pipeline(f"{folder / 'my-model.v2.py'}:Scaled")
    other = tmp_path / "other"
    other.mkdir()
    (other / "layers.py").write_text("def two():\n    return 20\n")
    text = MODEL.replace("from parts.more import FACTOR", "FACTOR = 1").replace(
        "from late import SHIFT", "SHIFT = 0"
    )
    (other / "model.py").write_text(
        text.replace('files = ("words/vocabulary.json",)', "").replace("self.words", "_ = 0  #")
    )
    pipeline = load_pipeline(f"{other / 'model.py'}:Scaled")()
    pipeline.setup("cpu")
    assert pipeline.factor == 20


def test_a_module_that_takes_the_name_of_the_copy_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "layers.py").write_text("import pipeline\n\n\ndef two():\n    return 2\n")
    (folder / "pipeline.py").write_text("")
    with pytest.raises(SchemaError, match=r"cannot be pipeline\.py"):
        export(f"{folder / 'my-model.v2.py'}:Scaled", tmp_path / "models", portable=False)
