"""The page in the browser: a tab for each model that is served, and an overview of the server.

It is made of the tasks and of models' metadata when it is opened, by Gradio, and loads nothing from
elsewhere: no font, no script, no analytics.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from naiad.errors import NaiadError
from naiad.triton.past_requests import PastRequests
from naiad.ui.history import History
from naiad.ui.surface import Surface

# Read by Gradio when it is imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from gradio.themes import Default

from naiad.ui.asking import Turns
from naiad.ui.events import QUICK
from naiad.ui.messages import errors, html_block
from naiad.ui.overview import build_overview
from naiad.ui.task_tab import build_task_tab
from naiad.ui.tensor_tab import build_tensor_tab

PATH: Final = "/ui"
"""Where the page is."""
_OLD: Final = (300, 1800)  # seconds between two looks for old uploads and answers, and their age
_FONTS: Final = ("ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Arial", "sans-serif")
_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<circle cx="8" cy="8" r="7" fill="#1d4ed8"/></svg>'
)
_MONO: Final = ("ui-monospace", "Consolas", "DejaVu Sans Mono", "monospace")
# Even a mistake of ours, or of Gradio's, makes no browser ask anyone else. Gradio has scripts in
# its page, and Plotly compiles some.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' blob: data:; worker-src 'self' blob:; media-src 'self' blob: data:; "
    "frame-src 'none'; object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
)


def mount(app: FastAPI, surface: Surface) -> None:
    """Serve the page at `PATH`; uploads are in a folder that is deleted with the application."""
    folder = Path(tempfile.mkdtemp(prefix="naiad-page-"))
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "files")
    history = History(surface.tasks.client, surface.url)
    past = PastRequests(surface.url, surface.health)
    blocks = build_page(surface, history, past, folder / "examples")
    gr.mount_gradio_app(
        app,
        blocks,
        PATH,
        # Without it the links to files in an answer lack the path (Gradio 6.31, out of the queue).
        root_path=PATH,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        max_file_size=surface.max_bytes,
        theme=_theme(),
        css_paths=Path(__file__).with_name("page.css"),
    )
    app.add_middleware(OwnOrigin)

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(_ICON, media_type="image/svg+xml")

    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(given: FastAPI) -> AsyncGenerator[Any]:
        try:
            with history:
                async with inner(given) as state:
                    yield state
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    app.router.lifespan_context = lifespan


def build_page(surface: Surface, history: History, past: PastRequests, folder: Path) -> gr.Blocks:
    """Return the page; its tabs are made anew whenever a browser opens it."""
    turns = Turns()
    with gr.Blocks(
        title="Naiad", analytics_enabled=False, delete_cache=_OLD, fill_width=True
    ) as blocks:
        html_block(
            '<div class="naiad-head"><h1>Naiad</h1>'
            "<p>The models of this server: ask, look at the answer, take it away.</p></div>"
        )

        @gr.render(triggers=[blocks.load], queue=False, show_progress="minimal")
        def tabs() -> None:
            _build_tabs(surface, history, past, turns, folder)

    return blocks


def _build_tabs(
    surface: Surface, history: History, past: PastRequests, turns: Turns, folder: Path
) -> None:
    try:
        models = surface.tasks.models()
        calls = surface.tasks.calls()
    except NaiadError as error:
        html_block(errors([str(error)]))
        return
    others = [model for model in models if model not in {call.model for call in calls.values()}]
    tabs: list[Any] = []
    with gr.Tabs():
        for name, call in calls.items():
            with _tab(tabs, name):
                build_task_tab(name, call, past, turns, folder / name)
        for model in others:
            with _tab(tabs, model):
                build_tensor_tab(model, surface.tasks.client, past)
        with gr.Tab("Overview") as overview:
            timer = build_overview(surface, history, past, overview)
    for tab in tabs:
        tab.select(lambda: gr.Timer(active=False), None, timer, **QUICK)


@contextmanager
def _tab(tabs: list[Any], name: str) -> Generator[None]:
    """Make a tab in the current layout; it says what is wrong with its model, if anything is."""
    with gr.Tab(name.replace("_", " ")) as tab:
        tabs.append(tab)
        try:
            yield
        except NaiadError as error:
            html_block(errors([str(error)]))


def _theme() -> Any:
    """Return Gradio's theme with fonts of the reader's own system."""
    theme = Default(font=_FONTS, font_mono=_MONO, primary_hue="blue")
    return theme.set(
        # Gradio's own greys are too pale to be read easily.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
    )


class OwnOrigin:
    """ASGI middleware that forbids the page to load anything from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [one for one in message["headers"] if one[0] != b"content-security-policy"]
                policy = (b"content-security-policy", _POLICY.encode())
                message["headers"] = [*others, policy]
            await send(message)

        await self._app(scope, receive, answer)
