"""Where the time of a request went: its batch and its stages, by the server's history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from secrets import token_hex
from typing import Any

import gradio as gr

from naiad.errors import NaiadError
from naiad.triton.history import Found, PastRequest
from naiad.triton.past_requests import (
    PastRequests,
    clock,
    dimensions_of,
    milliseconds,
    name_of,
    nothing_found,
    way_of,
)
from naiad.ui.events import QUICK
from naiad.ui.messages import html_block, state


class Timing:
    """The button that tells where the time of the last question went.

    Attributes:
        request: the id of the question's requests.
        button: to click.
        told: what there is to tell. It is cleared when a question is asked, not with its answer:
            the button may be clicked before the browser has all updates of an answer.
    """

    def __init__(self, past: PastRequests) -> None:
        """Make the components in the current layout; hidden, as nothing was asked yet."""
        self.request = gr.State("", time_to_live=1800)
        self.button = gr.Button("Where did the time go?", size="sm", visible=False)
        self.told = html_block(visible=False)

        def tell(request: str) -> Any:
            return gr.update(value=timing(past, request), visible=True)

        self.button.click(tell, self.request, self.told, **QUICK)

    @property
    def components(self) -> list[Any]:
        """The components that an answer changes, in order."""
        return [self.request, self.button]

    def cleared(self) -> Any:
        """Return the update of ``told`` when a question is asked."""
        return gr.update(value="", visible=False)

    def asked(self, request: str) -> list[Any]:
        """Return updates of the components for a question with this id; "" if none was sent."""
        return [request, gr.update(visible=bool(request))]


def new_request_id() -> str:
    """Return an id for the requests of one question, which nobody can guess."""
    return f"page-{token_hex(8)}"


def timing(past: PastRequests, wanted: str, *, named: bool = True) -> str:
    """Return what is known of requests, found as by `PastRequests.find`; or why nothing is.

    Of several, the slowest is told of; without its id and trace unless it is ``named``.
    """
    try:
        found = past.find(wanted)
    except NaiadError as error:
        return state(f"This server's requests are not known here: {error}.")
    if not found.requests:
        return state(f"{_capital(nothing_found(found, wanted))}.")
    return "".join(_told(found, named))


def _told(found: Found, named: bool) -> Iterator[str]:
    slowest = max(found.requests, key=lambda one: one.seconds)
    if not named:
        slowest = replace(slowest, id="", trace="")
    if (number := len(found.requests)) > 1:
        yield state(f"{number:,} requests were sent; this is the slowest:")
    yield request_html(slowest)


def request_html(one: PastRequest) -> str:
    """Return a request with its batch and stages, as ``naiad explain`` prints it."""
    ended = f"failed with {one.error}" if one.error else "was answered"
    first = (
        f" to {one.model} version {one.version} arrived at {clock(one.arrived)} and {ended} after "
        f"{milliseconds(one.seconds)}"
    )
    lines = [f"<p><strong>{escape(name_of(one))}</strong>{escape(first)}</p>"]
    lines += [f"<p>{escape(line)}</p>" for line in way_of(one)]
    tables = [_stages(one)]
    if one.batch is not None:
        sizes = [
            [escape(dim), f"{own:,}" if own else "", f"{rows:,}"]
            for dim, own, rows in dimensions_of(one)
        ]
        tables.append(_table(("dimension", "this request", "batch"), sizes))
    return f'<div class="naiad-request">{"".join(lines)}{"".join(tables)}</div>'


def _stages(one: PastRequest) -> str:
    whole = max([one.seconds, *(stage.ended for stage in one.stages)]) or 1.0
    rows: list[list[str]] = []
    for stage in one.stages:
        took = stage.ended - stage.began
        start, width = (100 * seconds / whole for seconds in (stage.began, took))
        bar = f'<i role="presentation" style="margin-left:{start:.2f}%;width:{width:.2f}%"></i>'
        times = (stage.began, stage.ended, took)
        rows.append([escape(stage.name), *map(milliseconds, times), bar])
    return _table(("stage", "began after", "ended after", "took", ""), rows, "naiad-stages")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    head = "".join(f"<th>{one}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="naiad-wide"><table class="naiad-schema {kind}"><thead><tr>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(content: str) -> str:
    kind = ' class="naiad-bar"' if content.startswith("<i") else ""
    return f"<td{kind}>{content}</td>"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
