"""The page and the tasks behind the gate: the same keys, also as passwords of browsers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gate import Gate, running

from naiad.gate import GateSettings
from naiad.gate.keys import add_key

PATHS = [
    "/ui",
    "/ui/gradio_api/info",
    "/favicon.ico",
    "/v1/tasks",
    "/v1/tasks/mednist",
    "/openapi.json",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    return add_key(folder / "keys.json", "alice")


@pytest.fixture(scope="module")
def of_models(folder: Path) -> str:
    return add_key(folder / "keys.json", "dave", models=("a", "b"))


@pytest.fixture(scope="module")
def gate(folder: Path, key: str, of_models: str) -> Iterator[Gate]:
    with running(GateSettings(api_keys=folder / "keys.json"), ui=True) as gate:
        yield gate


def basic(password: str, user: str = "anyone") -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@pytest.mark.parametrize("path", PATHS)
def test_a_key_opens_the_page_and_the_tasks(gate: Gate, key: str, path: str) -> None:
    for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}, basic(key)):
        assert gate.ask("GET", path, headers=headers).status == 200
    seen = gate.behind.seen[-1]
    assert seen.path == path
    assert not {"authorization", "x-api-key"} & seen.headers.keys()
    assert gate.ask("HEAD", path, headers=basic(key)).status == 200


@pytest.mark.parametrize("path", PATHS)
def test_browsers_are_asked_for_a_password(gate: Gate, path: str) -> None:
    wrong = [basic("naiad_" + "x" * 43), basic(""), {"authorization": "Basic !!!"}, {}]
    for headers in wrong:
        answer = gate.ask("GET", path, headers=headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="Naiad", charset="UTF-8"'


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "no colon", "ünï"])
def test_the_user_name_does_not_matter(gate: Gate, key: str, user: str) -> None:
    assert gate.ask("GET", "/v1/tasks", headers=basic(key, user)).status == 200


def test_passwords_are_for_the_page_and_the_tasks_only(gate: Gate, key: str) -> None:
    answer = gate.ask("GET", "/v2/models/a", headers=basic(key))
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_key_for_some_models_is_told_to_the_tasks_and_not_for_the_page(
    gate: Gate, key: str, of_models: str
) -> None:
    assert gate.ask("POST", "/v1/tasks/x", b"{}", {"x-api-key": of_models}).status == 200
    assert gate.behind.seen[-1].headers["x-naiad-models"] == "a,b"
    answer = gate.ask("GET", "/ui/", headers={"x-api-key": of_models})
    assert (answer.status, answer.error) == (
        403,
        "this key is for some models only, and the page shows all",
    )
    forged = {"x-api-key": key, "x-naiad-models": "c"}
    assert gate.ask("GET", "/v1/tasks", headers=forged).status == 200
    assert "x-naiad-models" not in gate.behind.seen[-1].headers


@pytest.mark.parametrize("path", ["/", "/uix", "/v1", "/v1/models", "/v1/tasksx", "/openapi"])
def test_other_paths_are_not_found(gate: Gate, key: str, path: str) -> None:
    assert gate.ask("GET", path, headers={"x-api-key": key}).status == 404


def test_other_methods_are_refused(gate: Gate, key: str) -> None:
    assert gate.ask("DELETE", "/v1/tasks/a", headers={"x-api-key": key}).status == 405


def test_uploads_are_bounded_by_the_gate(folder: Path, key: str) -> None:
    with running(GateSettings(api_keys=folder / "keys.json", max_request_mb=1), ui=True) as gate:
        answer = gate.ask("POST", "/v1/tasks/a", b"x" * 1_000_001, {"x-api-key": key})
        assert answer.status == 413
        assert not gate.behind.seen


def test_without_a_page_its_paths_are_not_found(folder: Path, key: str) -> None:
    with running(GateSettings(api_keys=folder / "keys.json")) as gate:
        for path in PATHS:
            assert gate.ask("GET", path, headers={"x-api-key": key}).status == 404
