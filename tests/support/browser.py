"""Chromium, driven by Playwright, which downloads nothing: the page as people see it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

Scheme = Literal["light", "dark"]
_PATIENCE = 20_000  # milliseconds: the machine runs other tests


class Page:
    """The page of a server in a browser, with what the browser asked for.

    Attributes:
        page: Playwright's.
        hosts: of all requests.
        troubles: errors on the browser's console, and requests that were answered with one.
    """

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url = page, url
        self.hosts: set[str] = set()
        self.troubles: list[str] = []
        page.set_default_timeout(_PATIENCE)
        page.on("request", lambda request: self._asked(request.url))
        page.on("websocket", lambda socket: self._asked(socket.url))
        page.on("response", lambda r: self._answered(r.status, r.url))
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))

    def open(self) -> None:
        """Open the page, and wait for its tabs."""
        self.page.goto(self.url)
        self.page.get_by_role("tab").first.wait_for()

    def tabs(self) -> list[str]:
        """Return the names of all tabs, with those that a narrow window has in a menu."""
        names = self.page.get_by_role("tab").filter(visible=True).all_inner_texts()
        return [*names, *self.page.locator(".overflow-dropdown button").all_inner_texts()]

    def tab(self, name: str) -> Any:
        """Choose a tab, and return its panel."""
        chosen = self.page.get_by_role("tab", name=name, exact=True).filter(visible=True)
        if chosen.count():
            chosen.first.click()
        else:
            self.page.locator(".overflow-menu > button").click()
            self.page.locator(".overflow-dropdown button", has_text=name).click()
        return self.page.get_by_role("tabpanel").filter(visible=True)

    def answer(self, panel: Any, example: str | None) -> str:
        """Click an example, or the button itself; return the state once there is an answer."""
        panel.get_by_role("button", name=example or "Ask", exact=True).click()
        return self.answered(panel)

    def answered(self, panel: Any) -> str:
        """Wait for the answer to a question that was asked; return the state then."""
        state = panel.get_by_role("status").filter(visible=True)
        state.filter(has_text="nswer").filter(has_text=" in ").wait_for()
        return state.inner_text()

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob"):
            self.hosts.add(parts.netloc)

    def _answered(self, status: int, url: str) -> None:
        if status >= 400:
            self.troubles.append(f"{status} {url}")

    def _said(self, kind: str, text: str) -> None:
        if kind == "error":
            self.troubles.append(text)


@contextmanager
def open_browser() -> Iterator[Any]:
    """Start Chromium; skip without Playwright or a browser."""
    api: Any = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed")
    with api.sync_playwright() as playwright:
        # Root has no sandbox, nor have containers.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(
    browser: Any,
    url: str,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: Scheme = "light",
    password: str | None = None,
) -> Iterator[Page]:
    """Open a page in a window of a size in pixels, with a password if it asks for one."""
    size = {"width": width, "height": height}
    login = None if password is None else {"username": "anyone", "password": password}
    context = browser.new_context(viewport=size, color_scheme=scheme, http_credentials=login)
    try:
        shown = Page(context.new_page(), url)
        shown.open()
        yield shown
    finally:
        context.close()


def shoot(page: Page, path: Path, *, most: int = 150_000) -> None:
    """Write a screenshot as a WebP file of at most so many bytes."""
    from io import BytesIO

    from PIL import Image

    image = Image.open(BytesIO(page.page.screenshot(full_page=True)))
    for quality in (90, 80, 65, 50):
        image.convert("RGB").save(path, "WEBP", quality=quality, method=6)
        if path.stat().st_size <= most:
            return
    raise AssertionError(f"{path} has {path.stat().st_size:,} bytes")
