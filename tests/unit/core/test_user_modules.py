"""Import of users' files: always from their source, under the names of the originals."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from pathlib import Path

import pytest

from naiad.core.user_modules import load_module, record_originals


def write(path: Path, text: str) -> None:
    """Write a file that nothing but its text distinguishes from the last of this size."""
    path.write_text(text)
    os.utime(path, ns=(path.stat().st_mtime_ns, 10**18 + hash(text) % 10**9))


@pytest.mark.parametrize("beside", ["helper.py", "helper/__init__.py", "helper/part.py"])
def test_an_edit_is_seen_within_the_second_and_in_modules_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a folder of the last round is left out
    helper = tmp_path / beside
    helper.parent.mkdir(exist_ok=True)
    where = "helper.part" if "part" in beside else "helper"
    for name in ("one.py", "two.py"):
        write(tmp_path / name, f"from {where} import FACTOR\n")
    for factor in (1, 2, 3):
        write(helper, f"FACTOR = {factor}\n")
        found = [load_module(f"{tmp_path}/{name}").FACTOR for name in ("one.py", "two.py")]
        assert found == [factor] * 2
        assert load_module(f"{tmp_path}/one.py") is load_module(f"{tmp_path}/one.py")
    assert not [*tmp_path.rglob("__pycache__")]


def test_a_copy_runs_under_the_name_of_its_original(tmp_path: Path) -> None:
    original, copy = tmp_path / "my.py", tmp_path / "model" / "pipeline.py"
    copy.parent.mkdir()
    original.write_text("# edited since\n")
    copy.write_text("def fail():\n    raise KeyError('x')\n")
    record_originals(copy.parent, {"pipeline.py": original})
    module = load_module(str(copy))
    assert module.__file__ == str(copy), "files beside it are found"
    with pytest.raises(KeyError) as raised:
        module.fail()
    shown = "".join(traceback.format_exception(raised.value))
    assert f'File "{original}", line 2, in fail\n    raise KeyError' in shown
    assert inspect.getsource(module.fail).startswith("def fail")


def test_a_syntax_error_names_the_original(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("x = 1\ny = (\n")
    record_originals(tmp_path, {"pipeline.py": Path("/home/me/my.py")})
    with pytest.raises(SyntaxError) as raised:
        load_module(f"{tmp_path}/pipeline.py")
    assert (raised.value.filename, raised.value.lineno) == ("/home/me/my.py", 2)


def test_environments_beside_a_file_are_not_its_modules(tmp_path: Path) -> None:
    package = tmp_path / ".venv" / "lib" / "elsewhere"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (tmp_path / "my.py").write_text(
        f"import sys\nsys.path.append({str(package.parent)!r})\nimport elsewhere\n"
    )
    loader = load_module(f"{tmp_path}/my.py").elsewhere.__loader__
    sys.path.remove(str(package.parent))
    assert type(loader).__name__ == "SourceFileLoader"
