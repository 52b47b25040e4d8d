"""Errors of users' code, told with the place in their files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import naiad
from naiad.core.user_modules import load_module
from naiad.errors import SchemaError
from naiad.testing import load
from naiad.tracebacks import told, traceback_of, users_part

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


def test_a_message_of_several_lines_is_told_in_one(tmp_path: Path) -> None:
    error = raised(tmp_path / "my.py", f"raise ValueError({'a' + chr(10) + '  b' * 200!r})")
    line = told(error, "my.py")
    assert "ValueError: a b  b" in line
    assert "\n" not in line
    assert len(line) < 500
    assert "  b" * 200 in traceback_of(error)


def test_a_message_that_begins_with_the_file_has_it_once() -> None:
    assert told(SchemaError("my.py:M: none"), "my.py") == "my.py:M: none"


def test_frames_before_the_users_first_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_text("import json\nclass Bad(dict):\n    def items(self):\n        return 1 / 0\n")
    bad = load_module(f"{path}:Bad").Bad(a=1)
    with pytest.raises(ZeroDivisionError) as caught:
        json.dumps(bad, indent=1)
    trace = caught.value.__traceback__
    assert trace is not None
    error = caught.value.with_traceback(trace.tb_next)  # this function is a user's, too
    lines = traceback_of(error).splitlines()
    assert lines[:2] == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 4, in items',
    ]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs groups of exceptions")
def test_a_group_of_exceptions_has_no_frames_of_ours(tmp_path: Path) -> None:
    error = raised(tmp_path / "my.py", "raise ExceptionGroup('many', [ValueError('a')])")
    shown = traceback_of(error)
    assert f'  |   File "{tmp_path}/my.py", line 8, in setup' in shown
    assert "    | ValueError: a" in shown
    assert naiad.__path__[0] not in shown


def test_no_text_has_no_part_of_the_users() -> None:
    assert users_part("") == ""
