"""The front is built once, and not where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.errors import EngineError
from naiad.native import build as building
from naiad.native.build import build, chosen_front, compiler


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler that refuses everything."""
    program = tmp_path / "broken-c++"
    program.write_text("#!/bin/sh\necho 'error: no' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("CXX", str(program))
    return program


@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler: apt install g++")
def test_it_is_built_once_without_a_warning(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_FLAGS", (*building._FLAGS, "-Wall", "-Wextra", "-Werror"))
    library = build(cache)
    built = library.stat()
    assert built.st_size > 10_000
    assert build(cache).stat() == built
    assert [path.name for path in library.parent.iterdir()] == [library.name]
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert chosen_front(cache) == library


def test_a_compiler_that_fails_is_quoted(cache: Path, broken: Path) -> None:
    with pytest.raises(EngineError, match="broken-c\\+\\+ cannot build Naiad's front:\nerror: no"):
        build(cache)


def test_without_a_compiler_it_says_what_to_install(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(EngineError, match="apt install g\\+\\+"):
        build(cache)


def test_python_serves_where_it_is_asked_for_or_nothing_else_can(
    cache: Path, broken: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert chosen_front(cache) is None
    assert "requests go through Python" in caplog.text
    monkeypatch.setenv("NAIAD_FRONT", "native")
    with pytest.raises(EngineError, match="error: no"):
        chosen_front(cache)
    monkeypatch.setenv("NAIAD_FRONT", "python")
    assert chosen_front(cache) is None
    monkeypatch.setenv("NAIAD_FRONT", "rust")
    with pytest.raises(EngineError, match="NAIAD_FRONT is 'rust'; it must be auto, native, python"):
        chosen_front(cache)
    monkeypatch.setenv("NAIAD_FRONT", "auto")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert chosen_front(cache) is None


def test_a_library_that_was_built_before_is_taken(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    library = cache.parent / "front.so"
    library.touch()
    monkeypatch.setenv("NAIAD_FRONT", str(library))
    assert chosen_front(cache) == library
