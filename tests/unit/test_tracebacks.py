"""Errors of users' code, told with the place in their files."""

from __future__ import annotations

from pathlib import Path

import pytest

import naiad
from naiad.errors import SchemaError
from naiad.testing import load
from naiad.tracebacks import told, traceback_of

SOURCE = """\
import json
import naiad

class M(naiad.Pipeline):
    inputs = {"x": naiad.Tensor("float32", ("n",))}
    outputs = {"y": naiad.Tensor("float32", ("n",))}
    def setup(self, device):
        CODE
"""


def raised(path: Path, code: str) -> BaseException:
    path.write_text(SOURCE.replace("CODE", code))
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        load(f"{path}:M")
    return caught.value


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("1 / 0", "my.py:8: ZeroDivisionError: division by zero"),
        ("json.loads('{')", "my.py:8: JSONDecodeError: Expecting property name"),
        ("x = (", "my.py:8: SyntaxError: '(' was never closed"),
        ("naiad.Tensor('float31', ())", "my.py:8: "),
        ("raise SystemExit('no')", "my.py:8: SystemExit: no"),
    ],
)
def test_an_error_is_told_with_the_users_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = raised(tmp_path / "my.py", code)
    assert told(error, "other.py").startswith(line)
    assert "\n" not in told(error, "other.py")
    shown = traceback_of(error)
    assert f'File "{tmp_path}/my.py", line 8' in shown
    assert naiad.__path__[0] not in shown
    assert "<frozen importlib" not in shown


def test_an_error_without_a_place_of_the_users_is_told_with_their_file() -> None:
    assert told(SchemaError("no"), "my.py") == "my.py: no"
    assert traceback_of(SchemaError("no")) == ""
