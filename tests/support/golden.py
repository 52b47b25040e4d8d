"""Golden files: text that users see or type, compared with its stored version.

``pytest --update-golden`` rewrites them; review the difference like any other.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "golden"


def stored(folder: str) -> set[str]:
    """Return the names of a folder's golden files, without suffix."""
    return (
        {file.stem for file in (FOLDER / folder).iterdir()} if (FOLDER / folder).is_dir() else set()
    )


@dataclass(frozen=True, slots=True)
class Golden:
    """A comparison of texts with golden files, which it can also write.

    Attributes:
        update: write the files instead of comparing.
    """

    update: bool

    def check(self, name: str, text: str | None) -> None:
        """Compare ``text`` with the file ``name``; None means that it should not exist.

        Fails with the difference, and says how to renew the file.
        """
        path = FOLDER / name
        if self.update:
            if text is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
            return
        there = path.read_text("utf-8") if path.is_file() else None
        if text == there:
            return
        lines = difflib.unified_diff(
            (there or "").splitlines(),
            (text or "").splitlines(),
            f"tests/golden/{name}" if there is not None else "no golden file",
            "now" if text is not None else "gone",
            lineterm="",
        )
        listed = "\n".join(lines)
        pytest.fail(
            f"{listed}\n\nUsers see this change. If it is meant, write the golden files anew with "
            "pytest --update-golden, and give it a row in CHANGELOG.md's migration table where "
            "somebody's command, file or code is affected.",
            pytrace=False,
        )
