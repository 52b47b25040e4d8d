"""Servers in words."""

from __future__ import annotations

from pathlib import Path

from naiad.triton.about import About
from naiad.triton.server import Server

RUNNING = About(
    running=True,
    addresses={"gRPC": "127.0.0.1:8001", "HTTP": "http://127.0.0.1:8000", "metrics": "http://m"},
    models=["simple"],
    missing={"<b>": "no <weights>"},
    log=Path(__file__),
)


def test_a_server_that_does_not_run_says_so(tmp_path: Path) -> None:
    server = Server(tmp_path)
    assert repr(server) == "Server(not running)"
    assert "not running" in server._repr_html_()


def test_a_server_says_its_addresses_models_and_log() -> None:
    assert str(RUNNING) == "Server(127.0.0.1:8001, http://127.0.0.1:8000; simple, <b> (not ready))"
    shown = RUNNING.html()
    assert "simple: ready<br>&lt;b&gt;: no &lt;weights&gt;" in shown
    for part in ("127.0.0.1:8001<", "http://m", "test_about.py"):
        assert part in shown
