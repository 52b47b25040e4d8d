"""The README and the documentation, followed to the letter.

Each page is followed from its top in an empty folder: its files are written, its commands and
Python blocks are run, and their output and curl's are compared with the page's. Servers take free
ports instead of the default ones.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.support import forks
from tests.support.command import WIDE, shown_when_ready, urls_shown
from tests.support.full import full
from tests.support.markdown import PAGES, Block, blocks, page_id

NAIAD = forks.naiad()
PYTEST = [forks.python(), "-m", "pytest", "-p", "no:cacheprovider"]
DEFAULT_URL = "localhost:8001"
DEFAULT_HTTP = "localhost:8000"
LONG = ("dgl.md", "lightning.md")  # their programs in examples/ are run, too
FOLLOWED = ("serve", "infer", "process", "new", "simulate", "export", "movies", "engine", "check")


@dataclass(slots=True)
class Reader:
    """A reader who follows a page.

    Attributes:
        folder: the working directory.
        names: defined by the page's Python blocks.
        server: the last server started.
        url: its gRPC address.
        http: its HTTP address.
    """

    folder: Path
    names: dict[str, object] = field(default_factory=lambda: {"__name__": "__main__"})
    server: subprocess.Popen[str] | None = None
    url: str = DEFAULT_URL
    http: str = DEFAULT_HTTP

    def follow(self, page: Path) -> None:
        printed = ""
        for block in blocks(page):
            if block.skipped:
                continue
            if block.title is not None:
                (self.folder / block.title).write_text(block.text, "utf-8")
            elif block.language == "bash" and f" {DEFAULT_HTTP}/" in block.text:
                printed = self.shell(block.text)
                continue
            elif block.language == "text":
                assert printed == block.text, f"{page_id(page)}:{block.line}"
            elif block.language == "bash":
                for line in block.text.splitlines():
                    self.run(shlex.split(line, comments=True))
            printed = self.python(block) if block.language == "python" else ""

    def python(self, block: Block) -> str:
        """Run a Python block, unless it is a file; return what it printed."""
        if block.title is not None:
            return ""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            text = block.text.replace(DEFAULT_URL, self.url)
            # Triton's client takes no scheme.
            text = text.replace(DEFAULT_HTTP, self.http.removeprefix("http://"))
            replace(block, text=text).run(self.names)
        return printed.getvalue()

    def shell(self, script: str) -> str:
        """Run commands that ask the server over HTTP, such as curl; return what they printed."""
        script = script.replace(DEFAULT_HTTP, self.http)
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            command, cwd=self.folder, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout.rstrip("\n") + "\n"

    def run(self, words: list[str]) -> None:
        """Run one of our commands; others (make, pip, the demo) are tested elsewhere."""
        match words:
            case ["naiad", "serve", *arguments]:
                self.serve(arguments)
            case ["naiad", "infer", *_] | ["naiad", "movies", "embed", *_]:
                subprocess.run([*NAIAD, *words[1:], "--url", self.url], cwd=self.folder, check=True)
            case ["naiad", "process", *_]:
                given = [*words[1:], "--server", self.url]
                subprocess.run([*NAIAD, *given], cwd=self.folder, check=True)
            case ["naiad", command, *_] if command in FOLLOWED:
                subprocess.run([*NAIAD, *words[1:]], cwd=self.folder, check=True)
            case ["pytest", *arguments]:
                subprocess.run([*PYTEST, *arguments], cwd=self.folder, check=True)
            case _:
                pass

    def serve(self, arguments: list[str]) -> None:
        """Start a server, with one worker per model, and wait until it is ready."""
        self.leave()
        named = not arguments[0].startswith("--")
        once = ["--instances", "1"] if named and "--instances" not in arguments else []
        self.server = subprocess.Popen(
            [*NAIAD, "serve", "--free-ports", *arguments, *once],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | WIDE,
        )
        urls = urls_shown(shown_when_ready(self.server))
        assert "gRPC" in urls, f"naiad serve {shlex.join(arguments)} ended"
        self.url, self.http = urls["gRPC"], urls["HTTP"]

    def leave(self) -> None:
        """Stop the server as a user would."""
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            self.server.communicate(timeout=30)
            assert self.server.returncode == 0
            self.server = None


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAIAD_MOVIES", str(tmp_path / "films"))
    monkeypatch.syspath_prepend(tmp_path)
    reader = Reader(tmp_path)
    yield reader
    for name, module in [*sys.modules.items()]:  # other pages have files of the same names
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
    if reader.server is not None:
        reader.server.kill()
        reader.server.communicate()


def followed(block: Block) -> bool:
    ours = block.language == "python" or any(f"naiad {word} " in block.text for word in FOLLOWED)
    return ours and not block.skipped


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[full] if page.name in LONG else [], id=page_id(page))
        for page in PAGES
        if any(map(followed, blocks(page)))
    ],
)
def test_a_page_does_what_it_says(page: Path, reader: Reader) -> None:
    reader.follow(page)
    reader.leave()
