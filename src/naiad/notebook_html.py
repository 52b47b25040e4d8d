"""HTML for notebooks: facts and tables, as ``_repr_html_`` returns them. All texts are escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_LEFT = ' style="text-align:left"'


def facts(title: str, about: Mapping[str, str | Sequence[str]]) -> str:
    """Return a title and a table of facts by name; a fact may have several lines."""
    rows = (
        f"<tr><th{_LEFT}>{escape(name)}</th><td{_LEFT}>{_lines(value)}</td></tr>"
        for name, value in about.items()
    )
    body = f"<table>{''.join(rows)}</table>" if about else ""
    return f"<div><b>{escape(title)}</b>{body}</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """Return a table with a note below it; None is an empty cell."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell_text(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    below = f"<div>{escape(note)}</div>" if note else ""
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}</div>"


def picture(png: bytes, about: str) -> str:
    """Return a PNG picture that is in the page itself, with a text about it."""
    data = b64encode(png).decode()
    return f'<img style="max-width:100%" alt="{escape(about)}" src="data:image/png;base64,{data}">'


def cell_text(value: object) -> str:
    """Return the text of a cell: four digits of a float, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _lines(value: str | Sequence[str]) -> str:
    return "<br>".join(escape(line) for line in ([value] if isinstance(value, str) else value))
