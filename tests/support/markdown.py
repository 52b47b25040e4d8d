"""Code blocks of the README and the documentation, as their readers would run them.

A block with ``title="name"`` is a file of that name, and so is the mark ``<!-- example: name -->``,
in whose place the site shows that file of examples/ (docs/tables.py). A ``text`` block is the
output of the Python block above it; a block below ``<!-- no test: WHY -->`` cannot be run by a
test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
EXAMPLES = tuple(sorted((ROOT / "examples").glob("*.py")))


def page_id(page: Path) -> str:
    """Return the path of a page below the root, as several pages have the same name."""
    return page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else page.name


_BLOCK = re.compile(
    r"^<!-- example: (?P<example>\w+\.py) -->$|"
    r"(?P<skipped>^<!-- no test: .+ -->\n)?"
    r"^```(?P<language>\w*)(?P<options>.*)\n(?P<text>(?:.*\n)*?)^```$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block or an example; ``line`` is the number of its first line of code."""

    page: Path
    line: int
    language: str
    text: str
    title: str | None = None
    skipped: bool = False

    def run(self, names: dict[str, object]) -> None:
        """Run a Python block; errors point to its line in the page."""
        source = "\n" * (self.line - 1) + self.text
        exec(compile(source, self.page, "exec", dont_inherit=True), names)


def blocks(page: Path) -> Iterator[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text("utf-8")
    for match in _BLOCK.finditer(text):
        if name := match["example"]:
            line = text.count("\n", 0, match.start()) + 1
            source = (ROOT / "examples" / name).read_text("utf-8")
            yield Block(page, line, "python", source, title=name)
            continue
        title = re.search(r'title="([^"]+)"', match["options"])
        yield Block(
            page=page,
            line=text.count("\n", 0, match.start("text")) + 1,
            language=match["language"],
            text=match["text"],
            title=title[1] if title else None,
            skipped=match["skipped"] is not None,
        )
