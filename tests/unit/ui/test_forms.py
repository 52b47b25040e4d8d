"""Forms of tasks: suggestions as one types, and options with a few allowed values."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, get_args

import gradio as gr
import pytest

from naiad.applications.movies.kinds import Likeness
from naiad.applications.movies.task import MoviesSimilar
from naiad.client import Client
from naiad.errors import Unavailable
from naiad.tasks.calls import TaskCall
from naiad.ui.forms import Form, build_form

FILMS = tuple(f"Moon {number}" for number in range(12))


class Films(MoviesSimilar):
    """A task that knows some films without a server."""

    name = "known_films"

    def suggest(self, client: Client, model: str, text: str) -> Sequence[str]:
        """Return the films that begin with a text."""
        if text == "?":
            raise Unavailable("the server is gone")
        return [film for film in FILMS if film.startswith(text)]


@pytest.fixture(scope="module")
def page() -> tuple[Form, gr.Blocks]:
    """A form, and the page that it is on."""

    async def built() -> tuple[Form, gr.Blocks]:  # Gradio leaves a loop open where there is none
        with Client("localhost:1") as client, gr.Blocks() as blocks:  # never asked
            return build_form(TaskCall(client, Films, "movies_similar")), blocks

    return asyncio.run(built())


def suggested(blocks: gr.Blocks, text: str) -> list[str]:
    """Return the visible suggestions for a text."""
    listener = next(one for one in blocks.fns.values() if one.name == "suggest")
    assert listener.fn is not None
    row, *buttons = listener.fn(text)
    assert len(listener.outputs) == 1 + len(buttons)
    shown = [one["value"] for one in buttons if one["visible"]]
    assert row["visible"] == bool(shown)
    return shown


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Moon", list(FILMS[:8])),
        ("Moon 1", []),  # it is complete
        ("Moon 11", []),
        ("Sun", []),
        ("", []),
        ("?", []),
    ],
)
def test_units_are_suggested_until_one_is_complete(
    page: tuple[Form, gr.Blocks], typed: str, shown: list[str]
):
    assert suggested(page[1], typed) == shown


def test_an_option_with_a_few_allowed_values_is_a_list_of_them(page: tuple[Form, gr.Blocks]):
    by: Any = page[0].options["by"]
    assert isinstance(by, gr.Dropdown)
    assert [value for _, value in by.choices] == list(get_args(Likeness))
