"""Strangers, other sites' pages and large bodies are refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from naiad.ui.guard import LOOPBACK, Guard

MOST = 1_000


async def length(request: Request) -> JSONResponse:
    return JSONResponse({"length": len(await request.body())})


@pytest.fixture
def app() -> Starlette:
    return Starlette(routes=[Route("/", length, methods=["GET", "POST"])])


@pytest.fixture
def client(app: Starlette) -> Iterator[TestClient]:
    app.add_middleware(Guard, origins=["https://app.example.org"], max_bytes=MOST)
    with TestClient(app, "http://localhost:7860") as client:
        yield client


@pytest.mark.parametrize("host", [*sorted(LOOPBACK), "localhost:7860", "[::1]:7860", "LOCALHOST"])
def test_names_of_this_host_are_accepted(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:7860", "127.0.0.1.x", ""])
def test_other_names_are_refused(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert repr(host) in answer.json()["error"]


def test_any_name_is_accepted_behind_a_gate(app: Starlette) -> None:
    app.add_middleware(Guard, hosts=())
    assert TestClient(app).get("/", headers={"host": "gpu.example.org"}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:7860", 200),
        ("https://app.example.org", 200),
        ("http://localhost:1234", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_pages_of_other_sites_may_not_post(client: TestClient, origin: str, status: int) -> None:
    answer = client.post("/", content=b"a", headers={"origin": origin})
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


def test_a_body_is_bounded_with_and_without_a_stated_length(client: TestClient) -> None:
    assert client.post("/", content=b"x" * MOST).json() == {"length": MOST}
    whole = b"x" * (MOST + 1)
    for content in (whole, iter([whole[:600], whole[600:]])):
        answer = client.post("/", content=content)
        assert answer.status_code == 413
        assert answer.json() == {"error": "the request is larger than 1,000 bytes"}


def test_answers_are_not_framed_by_other_sites(client: TestClient) -> None:
    headers = client.get("/").headers
    assert headers["content-security-policy"] == "frame-ancestors 'self'"
    assert headers["x-content-type-options"] == "nosniff"
