"""Classes of notebooks, written with what they need, in a real IPython."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.session import run_cells

pytest.importorskip("IPython")

IMPORTS = "import numpy as np\nimport naiad\nfrom naiad import Tensor"
SCALE = """
class Scale(naiad.Pipeline):
    inputs = outputs = {"x": Tensor("float32", ("n",))}
    arrays = "numpy"

    def forward(self, batch):
        return {"x": scaled(batch["x"])}
"""
EXPORT = "from naiad import export\nfrom pathlib import Path\nmade = export(Scale, Path('models'))"
ASK = """
import numpy as np
from naiad.testing import run


def answer(spec):
    (found,) = run(spec, {"x": np.array([1, 2], np.float32)})
    print(found["x"].tolist())
"""


def exported(folder: Path, *cells: str) -> str:
    """Export ``Scale`` after some cells; return what its copy answers in another process."""
    assert run_cells([IMPORTS, *cells, EXPORT], folder) == ""
    return ask(folder, f"{ASK}\nanswer('models/scale/1/pipeline.py:Scale')").strip()


def ask(folder: Path, code: str) -> str:
    """Run code in a fresh process; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_class_is_written_with_the_functions_that_it_calls(tmp_path: Path) -> None:
    helpers = "def twice(x):\n    return x * 2\n\ndef scaled(x):\n    return twice(x) + offset"
    assert exported(tmp_path, SCALE, helpers, "offset = 1.0", "unrelated = open('/dev/null')") == (
        "[3.0, 5.0]"
    )
    text = (tmp_path / "models" / "scale" / "1" / "pipeline.py").read_text()
    assert SCALE.strip() in text
    assert "unrelated" not in text


def test_the_state_of_the_session_is_served_not_its_history(tmp_path: Path) -> None:
    first = "def scaled(x):\n    return x * factor"
    edited = "def scaled(x):\n    return x * factor + 1"
    assert exported(tmp_path, "factor = 2", first, SCALE, edited, "factor = 10") == "[11.0, 21.0]"


def test_an_edited_class_is_served_as_it_is_now(tmp_path: Path) -> None:
    edited = SCALE.replace("scaled(batch", "-scaled(batch")
    helper = "def scaled(x):\n    return x"
    assert exported(tmp_path, helper, SCALE, EXPORT, edited) == "[-1.0, -2.0]"


HELPERS = [
    "scaled = lambda x: x * 3",
    "import math\ndef scaled(x):\n    return x * math.floor(3.5)",
    "import os.path, math\ndef scaled(x):\n    return x * len(os.path.join('a', 'b'))",
    "from operator import mul as times\ndef scaled(x):\n    return times(x, 3)",
    "from math import *\ndef scaled(x):\n    return x * floor(3.5)",
    "import functools\n@functools.lru_cache\ndef three(): return 3\n"
    "def scaled(x):\n    return x * three()",
    "import re, logging\nfrom pathlib import Path\nlog = logging.getLogger('a')\n"
    "THREE = re.compile('^aaa$')\nHERE = Path('aaa')\n"
    "def scaled(x):\n    log.debug('x')\n    return x * len(THREE.match(str(HERE))[0])",
    "from enum import Enum\nclass Size(Enum):\n    big = 3\nSIZE = {'a': [(Size.big,)]}\n"
    "def scaled(x):\n    return x * SIZE['a'][0][0].value",
    "from collections import namedtuple\nPoint = namedtuple('Point', 'x')\n"
    "def scaled(x):\n    return Point(x * 3).x",
    "from dataclasses import dataclass\n@dataclass\nclass Options:\n    by: int = 1\n"
    "OPTIONS = Options(by=3)\ndef scaled(x):\n    return x * OPTIONS.by",
    "from typing import Optional\nMaybe = Optional[int]\n"
    "def scaled(x, by: Maybe = None):\n    return x * 3",
    "BY = np.float32(3)\nKIND = np.dtype('float32')\n"
    "def scaled(x):\n    return x.astype(KIND) * BY",
    "class Base:\n    def scaled(self, x): return x * [3 for _ in range(LEN)][0]\nLEN = 1\n"
    "class Own(Base):\n    pass\ndef scaled(x):\n    return Own().scaled(x)",
    "!true\ndef scaled(x):\n    return x * 3",
    "from __future__ import annotations\ndef scaled(x: Unknown) -> Unknown:\n    return x * 3",
]


def test_what_a_class_needs_is_written(tmp_path: Path) -> None:
    cells = [IMPORTS, SCALE]
    for number, helper in enumerate(HELPERS):
        cells += [helper, EXPORT.replace("models", f"models{number}")]
    assert run_cells(cells, tmp_path) == ""
    specs = [f"models{number}/scale/1/pipeline.py:Scale" for number in range(len(HELPERS))]
    answered = ask(tmp_path, f"{ASK}\nfor spec in {specs}:\n    answer(spec)").splitlines()
    assert dict(zip(HELPERS, answered, strict=True)) == dict.fromkeys(HELPERS, "[3.0, 6.0]")


def test_modules_and_files_beside_the_notebook_are_copied(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("def scaled(x):\n    return x * 3\n")
    (tmp_path / "words.txt").write_text("a b")
    named = SCALE.replace('arrays = "numpy"', 'arrays = "numpy"\n    files = ("words.txt",)')
    assert exported(tmp_path, "from beside import scaled", named) == "[3.0, 6.0]"
    folder = tmp_path / "models" / "scale" / "1"
    assert (folder / "words.txt").read_text() == "a b"
    assert (folder / "beside.py").exists()


REFUSED = [
    (
        "file = open('/dev/null')\ndef scaled(x):\n    return file",
        "scaled uses file, a _io.TextIOWrapper, which cannot be written as source",
    ),
    (
        "table = np.zeros(3)\ndef scaled(x):\n    return table",
        "scaled uses table, a numpy.ndarray, which cannot be written as source",
    ),
    (
        "class Net:\n    def __init__(self): self.w = 1\nnet = Net()\n"
        "def scaled(x):\n    return net",
        "scaled uses net, a Net, which cannot be written as source",
    ),
    (
        "def maker(by):\n    def scaled(x):\n        return x * by\n    return scaled\n"
        "scaled = maker(3)",
        "Scale uses scaled, a function that a function made, which cannot be written",
    ),
    ("words = ['word'] * 100_000\ndef scaled(x):\n    return words", "a list too large"),
    (
        "def scaled(x):\n    return missing(x)",
        "scaled uses missing, which the session does not",
    ),
    (
        "exec('def scaled(x): return x')",
        "the source of scaled is not known; write it to a file",
    ),
]


def test_what_cannot_be_source_is_refused_by_name(tmp_path: Path) -> None:
    cells = [IMPORTS, SCALE]
    for helper, _ in REFUSED:
        cells += [helper, EXPORT]
    said = run_cells(cells, tmp_path).splitlines()
    for line, (_, message) in zip(said, REFUSED, strict=True):
        assert line.startswith("SchemaError: ")
        assert message in line
    assert not (tmp_path / "models" / "scale").exists()


def test_without_a_source_the_way_out_is_said(tmp_path: Path) -> None:
    code = f"{IMPORTS}\ndef scaled(x):\n    return x\n{SCALE}\n{EXPORT}\n"
    done = subprocess.run(
        [sys.executable, "-"], input=code, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "SchemaError" in done.stderr
    assert "and serve scale.py:Scale" in done.stderr
