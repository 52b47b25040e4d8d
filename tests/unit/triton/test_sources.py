"""Sources of pipelines in model folders."""

import os
import sys
from pathlib import Path

import pytest

from naiad.core.pipeline import Pipeline, load_pipeline
from naiad.errors import SchemaError
from naiad.triton.repository import ExportedModel, export
from naiad.triton.sources import modules_beside

MODEL = """
import json
import os
import sys
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


PART = """
import naiad
from naiad import Tensor
{imports}


class Part(naiad.Pipeline):
    inputs = outputs = {{"x": Tensor("float32", ("n",))}}
    arrays = "numpy"

    def setup(self, device):
        self.factor = {factor}

    def forward(self, batch):
        return {{"x": batch["x"] * self.factor}}
"""

LAYOUTS = {
    "work/scripts/my.py": ("from lib.ops import TWO\nfrom space.only import THREE", "TWO * THREE"),
    "work/pack/my.py": ("from .ops import TWO\nfrom .deep.more import THREE", "TWO * THREE"),
    "work/pack/my-net.py": ("from .ops import TWO", "TWO * 3"),
    "work/pack/deep/my.py": (
        "from ..ops import TWO\nfrom pack.deep import more",
        "TWO * more.THREE",
    ),
    "work/src/inside/my.py": ("from inside.ops import TWO\nimport beside", "TWO * beside.THREE"),
}
MODULES = {
    "work/lib/ops.py": "TWO = 2",
    "work/space/only.py": "THREE = 3",
    "work/pack/__init__.py": "",
    "work/pack/ops.py": "TWO = 2",
    "work/pack/deep/__init__.py": "",
    "work/pack/deep/more.py": "THREE = 3",
    "work/src/inside/__init__.py": "",
    "work/src/inside/ops.py": "TWO = 2",
    "work/src/inside/beside.py": "THREE = 3",
}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with files of several layouts."""
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path / "work"


def moved(model: ExportedModel, work: Path) -> Pipeline:
    """Return the pipeline of an exported model, set up without the folder of its originals."""
    elsewhere = work.with_name("elsewhere")
    work.rename(elsewhere)
    elsewhere.joinpath("other").mkdir()
    os.chdir(elsewhere / "other")
    try:
        pipeline = model.pipeline()
        pipeline.setup("cpu")
    finally:
        os.chdir(elsewhere)
    return pipeline


@pytest.mark.parametrize("file", LAYOUTS)
def test_modules_of_the_working_directory_and_of_packages_are_exported(
    work: Path, tmp_path: Path, file: str
) -> None:
    imports, factor = LAYOUTS[file]
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(PART.format(imports=imports, factor=factor))
    model = export(f"{path}:Part", tmp_path / "models", portable=False)
    assert moved(model, work).factor == 6


@pytest.mark.parametrize("module", ["pack.my", "scripts.my"])
def test_a_module_of_the_working_directory_need_not_be_installed(
    work: Path, tmp_path: Path, module: str
) -> None:
    path = work.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(exist_ok=True)
    imports, factor = LAYOUTS[f"work/{path.relative_to(work)}"]
    path.write_text(PART.format(imports=imports, factor=factor))
    model = export(f"{module}:Part", tmp_path / "models", portable=False)
    assert moved(model, work).factor == 6


def test_an_installed_module_is_preferred_to_one_of_the_working_directory(
    work: Path, tmp_path: Path
) -> None:
    for name in ("numpy.py", "queue.py"):
        (work / name).write_text("raise ValueError\n")
    (work / "scripts").mkdir()
    path = work / "scripts" / "my.py"
    path.write_text(PART.format(imports="import numpy\nimport queue", factor="numpy.float32(6)"))
    model = export(f"{path}:Part", tmp_path / "models", portable=False)
    assert {one.name for one in (model.path / "1").iterdir()} == {"pipeline.py", "originals.json"}
    assert moved(model, work).factor == 6


def test_a_dot_in_the_name_of_a_packages_file_is_refused(work: Path, tmp_path: Path) -> None:
    path = work / "pack" / "my.v2.py"
    path.write_text(PART.format(imports="from .ops import TWO", factor="TWO"))
    with pytest.raises(SchemaError, match=r"my\.v2\.py: rename it; a file of the package pack"):
        export(f"{path}:Part", tmp_path / "models", portable=False)
