"""Clients that speak only JSON over HTTP send and get bytes in base64."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import numpy as np
import openapi_spec_validator
import psutil
import pytest
import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.support.gate import eventually
from tests.support.ports import free_ports

import naiad
from naiad import testing
from naiad.applications.image.pipeline import EXAMPLE
from naiad.applications.text.zero_shot.task import ZeroShotTask
from naiad.audit import audit
from naiad.client.access import Access
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline
from naiad.core.schema import Array, Tensor
from naiad.tasks.calls import TaskCall
from naiad.triton.server import Server
from naiad.ui import task_answers
from naiad.ui.task_answers import MOST_UNITS, TooLargeError
from naiad.ui.task_fields import Given
from naiad.ui.tasks_api import MOST_AT_ONCE
from naiad.ui.uploads import Uploads

MOST = 1000
BASE64 = {"naiad_bytes": "base64"}
AS_JSON = {"content-type": "application/json"}
AS_FORM = {"content-type": "multipart/form-data"}
AS_FORM_OF_PARTS = {"content-type": "multipart/form-data; boundary=x"}
PART = b'--x\r\ncontent-disposition: form-data; name="files"; filename="a"\r\n\r\n'
FILE = {"name": "a.png", "content": ""}


class Reversed(Pipeline):
    """Files, each of them reversed: a pair in each row."""

    name = "reversed"
    inputs = {"files": Tensor("bytes", ("rows", 2), counts="bytes")}
    outputs = {"files": Tensor("bytes", ("rows", 2))}
    limit = Budget(bytes=MOST)
    arrays = "numpy"

    def forward(self, batch: Batch) -> dict[str, Array]:
        turned = [file[::-1] for file in batch["files"].flat]
        return {"files": np.array([*turned, None], object)[:-1].reshape(-1, 2)}

    def example(self) -> dict[str, Array]:
        return {"files": np.array([[b"ab", b""]], object)}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    ui = naiad.UiSettings(ui_port=0, max_upload_mb=40)
    with testing.serve("image", "zero_shot", Reversed, instances=1, ui=ui, health_port=0) as server:
        yield server


def coded(*files: bytes) -> list[str]:
    return [base64.b64encode(file).decode() for file in files]


def ask(
    server: Server, model: str, name: str, shape: list[int], data: list[str], **more: Any
) -> dict[str, list[Any]]:
    """Send one BYTES tensor as JSON; return the data of the outputs, which are JSON too.

    Raises:
        ValueError: the server's error.
    """
    tensor = {"name": name, "shape": shape, "datatype": "BYTES", "data": data}
    body = {"parameters": BASE64, "inputs": [tensor], **more}
    url = f"{server.http_url}/v2/models/{model}/infer"
    try:
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=30) as reply:
            answer = json.load(reply)
    except urllib.error.HTTPError as error:
        raise ValueError(f"{error.code}: {json.load(error)['error']}") from None
    return {output["name"]: output["data"] for output in answer["outputs"]}


def test_a_picture_is_classified_as_by_our_client(server: Server):
    found = ask(server, "image", "images", [2], coded(EXAMPLE.read_bytes()) * 2)
    with server.client() as client:
        expected, _ = client.image.infer([EXAMPLE, EXAMPLE])
    assert found["classes"] == list(expected.classes) * 2
    labels = [base64.b64decode(label).decode() for label in found["labels"]]
    assert labels == list(expected.labels) * 2
    np.testing.assert_allclose(found["scores"], list(expected.scores) * 2, rtol=1e-6)


def test_any_bytes_and_lengths_go_and_come(server: Server):
    files = [bytes(range(256)), b"", b"\0", b"\xff\xfe", b"abc", "é\n".encode()]
    found = ask(server, "reversed", "files", [3, 2], coded(*files))
    assert found["files"] == coded(*(file[::-1] for file in files))


def test_requests_in_base64_share_batches_with_others(server: Server):
    plain = np.array([[b"abc", b"d\0"]], object)
    texts = np.array([[text.encode() for text in coded(b"abc", b"d\0")]], object)
    with naiad.Client(server.grpc_url) as client, ThreadPoolExecutor(16) as pool:

        def answer(number: int) -> list[list[bytes]]:
            files, parameters = (texts, BASE64) if number % 2 else (plain, None)
            found = client.infer("reversed", {"files": files}, parameters=parameters)
            return found["files"].tolist()

        answers = list(pool.map(answer, range(32)))
    assert answers[::2] == [[[b"cba", b"\0d"]]] * 16
    assert answers[1::2] == [[[text.encode() for text in coded(b"cba", b"\0d")]]] * 16


def test_limits_are_of_the_decoded_bytes(server: Server):
    full = [b"x" * (MOST - 1), b"y"]
    assert ask(server, "reversed", "files", [1, 2], coded(*full))["files"] == coded(*full)
    with pytest.raises(ValueError, match=r"400: .*the request has 1,001 bytes; .* at most 1,000"):
        ask(server, "reversed", "files", [1, 2], coded(*full[:1], b"yy"))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (["QUJD", "QU\nJD"], r'files: element 1 of 2 is not base64: character 2 is "\x0a"'),
        (["QUJD", "QUJ"], "files: element 1 of 2 is not base64: it has 3 characters"),
        (["QR==", ""], "files: element 0 of 2 is not base64: character 1 has bits beyond"),
        (["plain text", ""], 'files: element 0 of 2 is not base64: character 5 is " "'),
    ],
)
def test_what_is_not_base64_is_refused_with_its_position(server: Server, data: list[str], why: str):
    with pytest.raises(ValueError, match="400: ") as caught:
        ask(server, "reversed", "files", [1, 2], data)
    assert why in str(caught.value)


@pytest.mark.parametrize(("value", "said"), [("hex", '"hex"'), (64, "64"), (True, "true")])
def test_another_value_of_the_parameter_is_refused(server: Server, value: Any, said: str):
    with pytest.raises(ValueError, match="400: ") as caught:
        ask(server, "reversed", "files", [1, 2], ["", ""], parameters={"naiad_bytes": value})
    assert f'parameter naiad_bytes is {said}; it must be "base64"' in str(caught.value)


@pytest.fixture(scope="module")
def page(server: Server) -> str:
    """Return the address of the tasks over HTTP, beside the server."""
    return server.page_url.removesuffix("/ui")


@pytest.fixture(scope="module")
def document(page: str) -> dict[str, Any]:
    return requests.get(f"{page}/openapi.json", timeout=60).json()


def call(page: str, task: str, **sent: Any) -> tuple[int, dict[str, Any]]:
    answer = requests.post(f"{page}/v1/tasks/{task}", timeout=60, **sent)
    return answer.status_code, answer.json()


def left_behind() -> set[Path]:
    return {*Path(tempfile.gettempdir()).glob("naiad-ui-*/naiad-upload-*")}


def test_a_task_answers_texts_as_our_client_does(server: Server, page: str):
    labels, texts = ["cats", "the weather"], ["It rains.", "A kitten sleeps."]
    status, found = call(page, "zero_shot", json={"texts": texts, "labels": labels})
    with server.client() as client:
        expected = client.zero_shot.infer(texts, labels=labels)
    assert status == 200
    assert [column["name"] for column in found["columns"]] == ["text", "label", *labels]
    for text, one, right in zip(texts, found["answers"], expected, strict=True):
        (row,) = one["rows"]
        scores = dict(zip(right.labels, right.scores, strict=True))
        assert (one["name"], row["text"], row["label"]) == (text, text, right.label)
        assert [row[label] for label in labels] == pytest.approx([scores[x] for x in labels], 1e-5)


def test_files_are_sent_as_a_form_or_in_base64_and_deleted(server: Server, page: str):
    content = EXAMPLE.read_bytes()
    before = left_behind()
    files = [("files", ("../a.png", content)), ("files", ("a.png", b"no picture"))]
    status, form = call(page, "image", files=files, data={"top": "2", "picture": "true"})
    body = {"files": [{"name": "../a.png", "content": coded(content)[0]}], "top": 2}
    _, plain = call(page, "image", json=body)
    with server.client() as client:
        expected = client.image.infer([EXAMPLE], top=2)[0]
    assert status == 200
    good, bad = form["answers"]
    assert [row["label"] for row in good["rows"]] == list(expected.labels)
    assert [row["score"] for row in good["rows"]] == pytest.approx(list(expected.scores), 1e-5)
    assert plain["answers"] == [good]
    assert good["name"] == bad["name"] == "a.png"
    assert bad["rows"] == []
    assert bad["error"]["status"] == 400
    assert bad["error"]["message"].startswith("is not a readable image")
    assert base64.b64decode(form["picture"]["content"]).startswith(b"\x89PNG")
    assert left_behind() <= before


@pytest.mark.parametrize(
    ("task", "sent", "status", "said"),
    [
        ("nothing", {"json": {}}, 404, "no task 'nothing' is served; tasks: image, zero_shot"),
        ("zero_shot", {"json": {"texts": ["a"]}}, 400, "there are no labels"),
        (
            "zero_shot",
            {"json": {"texts": ["a"], "labels_file": "/etc/passwd"}},
            400,
            "unknown field",
        ),
        ("zero_shot", {"json": {"texts": [""], "labels": ["a"]}}, 400, "is empty; it must have"),
        ("zero_shot", {"data": b"{}"}, 415, "send application/json or multipart/form-data"),
        ("image", {"json": {"files": ["/etc/passwd"]}}, 400, '"name" and "content", in base64'),
        ("image", {"json": {"files": []}}, 400, "there are no images to ask about"),
        ("image", {"files": {"files": ("a", b"x")}, "data": {"top": "0"}}, 400, "at least 1"),
        ("image", {"files": {"file": ("a", b"x")}}, 400, "files are sent as files"),
        (
            "image",
            {"json": {"files": [{"name": "a.png", "content": "a"}]}},
            400,
            "the content of 'a.png' is not base64",
        ),
        (
            "image",
            {"files": [("files", ("a.png", b"x"))], "data": {"top": ["1", "2"]}},
            400,
            "top is given 2 times; give it once",
        ),
        (
            "zero_shot",
            {"data": '{"texts": ["a"], "labels": ["a"], "texts": ["b"]}', "headers": AS_JSON},
            400,
            "'texts' is given 2 times; give it once",
        ),
        ("zero_shot", {"data": b"x", "headers": AS_FORM}, 400, "Missing boundary in multipart."),
        ("image", {"data": b"x", "headers": AS_FORM_OF_PARTS}, 400, "Invalid multipart data."),
        (
            "zero_shot",
            {"json": {"texts": ["a"], "labels": ["\ud800"]}},
            400,
            "labels[0]: character 0 is the surrogate U+D800",
        ),
        ("zero_shot", {"json": {"texts": ["a"], "\ud800": 1}}, 400, r"unknown field '\ud800'"),
        # Beyond the limits.
        (
            "zero_shot",
            {"json": {"texts": ["a"] * 1001, "labels": ["a"]}},
            413,
            "over 1,000 texts; ask about fewer in a call, or use `naiad process zero_shot`",
        ),
        ("image", {"json": {"files": [FILE] * 1001}}, 413, "over 1,000 files; ask about fewer"),
        (
            "image",
            {"files": [("files", (f"{number}.png", b"x")) for number in range(1001)]},
            413,
            "the form is too large: Too many files. Maximum number of files is 1000.",
        ),
        (
            "zero_shot",
            {"files": [("texts", (None, "a"))] * 2001},
            413,
            "the form is too large: Too many fields.",
        ),
        (
            "zero_shot",
            {"files": {"texts": (None, "a" * 1_100_000)}},
            413,
            "the form is too large: Part exceeded maximum size of 1024KB.",
        ),
        (
            "zero_shot",
            {"data": b" " * 32_000_001, "headers": AS_JSON},
            413,
            "the JSON is larger than 32,000,000 bytes; send files as multipart/form-data",
        ),
        (
            "image",
            {"files": {"files": ("a.png", bytes(40_000_000))}},
            413,
            "the request is larger than 40,000,000 bytes",
        ),
        (
            "image",
            {"data": iter([PART, *[bytes(1_000_000)] * 40]), "headers": AS_FORM_OF_PARTS},
            413,
            "the request is larger than 40,000,000 bytes",
        ),
    ],
)
def test_errors_have_a_status_and_the_message_of_the_client(
    page: str, task: str, sent: dict[str, Any], status: int, said: str
):
    found = call(page, task, **sent)
    assert found[0] == status
    assert said in found[1]["error"]


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b'{"texts": [NaN]}', b"\xff", b"null"])
def test_a_body_that_is_no_json_object_is_refused(page: str, text: bytes):
    headers = {"content-type": "application/json"}
    status, found = call(page, "zero_shot", data=text, headers=headers)
    assert status == 400
    assert "the body" in found["error"]


def begun(page: str, task: str, body: bytes, length: int) -> socket.socket:
    """Send a call's head and some of its body; return the connection."""
    address = urlsplit(page)
    connection = socket.create_connection((address.hostname, address.port), 20)
    head = f"POST /v1/tasks/{task} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n"
    connection.sendall(f"{head}content-type: application/json\r\n\r\n".encode() + body)
    return connection


def test_one_call_too_many_is_told_to_try_again(page: str):
    body = {"texts": ["It rains."], "labels": ["cats", "the weather"]}
    url = f"{page}/v1/tasks/zero_shot"
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_AT_ONCE):
            stack.enter_context(begun(page, "zero_shot", b"{", 1000))
        refused = eventually(lambda: requests.post(url, json=body, timeout=60).status_code == 429)
        assert refused
        answer = requests.post(url, json=body, timeout=60)
        assert answer.headers["retry-after"] == "1"
        assert answer.json() == {"error": "32 calls are being answered; try again later"}
    # Those that hung up while they sent are forgotten.
    assert eventually(lambda: call(page, "zero_shot", json=body)[0] == 200)


def test_a_call_is_given_up_when_its_client_hangs_up(server: Server, page: str):
    texts = [f"text {number} {'of many words ' * 20}" for number in range(MOST_UNITS)]
    files = [{"name": "a.txt", "content": coded("\n".join(texts).encode())[0]}]
    body = json.dumps({"files": files, "labels": ["a", "b"]}).encode()
    before = left_behind()

    def asked() -> int:
        (about,) = client.statistics("zero_shot")["model_stats"]
        return int(about["inference_stats"]["success"].get("count", 0))

    with naiad.Client(server.grpc_url) as client:
        first = asked()
        with begun(page, "zero_shot", body, len(body)):
            assert eventually(lambda: asked() > first)
            assert left_behind() > before
        assert eventually(lambda: left_behind() <= before)
        last = asked()
        time.sleep(0.3)
        assert asked() == last
        assert last - first < MOST_UNITS / ZeroShotTask.group


def test_an_answer_with_too_many_rows_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(task_answers, "MOST_ROWS", 1)
    with naiad.Client(server.grpc_url) as client, Uploads() as uploads:
        asked = Given(typed=("a", "b"), options={"labels": ["a", "b"]})
        with pytest.raises(TooLargeError, match="over 1 rows; ask about fewer in a call"):
            task_answers.answer(TaskCall(client, ZeroShotTask), asked, uploads, lambda: True)


def test_strangers_are_refused_before_the_server_is_asked(page: str):
    for headers, status in (
        ({"host": "evil.example"}, 421),
        ({"origin": "https://evil.example"}, 403),
    ):
        assert call(page, "image", json={}, headers=headers)[0] == status


def test_an_audit_lists_who_may_ask_the_tasks(server: Server, page: str):
    findings = {found.subject: found for found in audit(server.http_url, Access())}
    tasks = findings["page and tasks"]
    assert tasks.state == f"every user of this host, at {page}/ui, with requests up to 40 MB"
    assert (tasks.verdict, tasks.remedy) == ("note", "to restrict them: --gate and --api-keys")
    assert findings["pages of other sites"].state.startswith("refused")


def test_the_document_says_what_is_served(server: Server, document: dict[str, Any]):
    openapi_spec_validator.validate(document)
    assert document["servers"] == [{"url": server.http_url}]
    models = {f"/v2/models/{name}" for name in ("image", "zero_shot", "reversed")}
    tasks = {"/v1/tasks/image", "/v1/tasks/zero_shot"}
    assert document["paths"].keys() == models | {f"{one}/infer" for one in models} | tasks
    beside = requests.get(f"{server.health_url}/openapi.json", timeout=30).json()
    openapi_spec_validator.validate(beside)
    assert beside["paths"].keys() == document["paths"].keys() - tasks
    (tensor,) = beside["components"]["schemas"]["reversed.request"]["properties"]["inputs"][
        "items"
    ]["anyOf"]
    assert tensor["x-dimensions"] == ["rows", 2]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        if "post" in item:
            yield path, item["post"]


def test_every_example_of_the_documents_is_answered(
    server: Server, page: str, document: dict[str, Any]
):
    beside = requests.get(f"{server.health_url}/openapi.json", timeout=30).json()
    asked: list[str] = []
    for path, operation in [*operations(document), *operations(beside)]:
        content = operation["requestBody"]["content"]["application/json"]
        for example in content.get("examples", {}).values():
            url = (page if path.startswith("/v1/") else server.http_url) + path
            answer = requests.post(url, json=example["value"], timeout=60)
            assert answer.status_code == 200, answer.text
            asked.append(path)
    assert {"/v1/tasks/zero_shot", "/v2/models/zero_shot/infer"} <= {*asked}
    assert "/v2/models/reversed/infer" in asked


# Sizes that must agree, and texts that must not be blank, are not in JSON Schema.
LEFT_OUT = [positive_data_acceptance]


# Triton 2.51 answers JSON that it cannot read with 500, such as 2.0 where an integer is due.
OF_TRITON = [*LEFT_OUT, not_a_server_error]


def keeps_to(
    operation: Any, mode: GenerationMode, url: str, left_out: list[Any] = LEFT_OUT
) -> set[int]:
    """Send requests made from an operation, valid or not; return the statuses of the answers."""
    statuses: set[int] = set()

    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=5,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(case=operation.as_strategy(mode))
    def keeps(case: Any) -> None:
        answer = case.call(base_url=url)
        statuses.add(answer.status_code)
        case.validate_response(answer, excluded_checks=left_out)

    keeps()
    return statuses


def test_the_server_keeps_to_its_document(server: Server, page: str, document: dict[str, Any]):
    statuses: set[int] = set()
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        if operation.path.startswith("/v1/"):
            statuses |= keeps_to(operation, GenerationMode.POSITIVE, page)
            statuses |= keeps_to(operation, GenerationMode.NEGATIVE, page)
        else:  # Triton takes much that is not KServe v2
            url = server.http_url
            statuses |= keeps_to(operation, GenerationMode.POSITIVE, url, OF_TRITON)
    assert {200, 400} <= statuses


def test_the_command_writes_the_same_document(
    server: Server, document: dict[str, Any], tmp_path: Path
):
    file = tmp_path / "openapi.json"
    run = [sys.executable, "-m", "naiad", "codegen", "openapi", "--url", server.grpc_url]
    subprocess.run([*run, "-o", file], check=True, timeout=120)
    written = json.loads(file.read_text("utf-8"))
    assert written["paths"].keys() == document["paths"].keys()
    assert written["components"] == document["components"]
    assert written["paths"]["/v1/tasks/image"]["servers"] == [
        {"url": server.page_url.removesuffix("/ui")}
    ]


def test_the_command_serves_the_same_for_a_server_elsewhere(server: Server):
    (port,) = free_ports(1)
    run = [sys.executable, "-m", "naiad", "ui", "--url", server.http_url, "--port", str(port)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as command:
        try:
            url = f"http://localhost:{port}"
            assert eventually(lambda: answers(f"{url}/v1/tasks"), 60)
            body = {"texts": ["It rains."], "labels": ["cats", "the weather"]}
            status, found = call(url, "zero_shot", json=body)
            assert (status, found["answers"][0]["rows"][0]["label"]) == (200, "the weather")
            told = requests.get(f"{url}/openapi.json", timeout=60).json()
            assert told["servers"] == [{"url": server.http_url}]
        finally:
            command.send_signal(signal.SIGINT)
            shown, _ = command.communicate(timeout=30)
    assert f"{url}/ui, for {server.http_url}" in shown


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=20).status_code == 200
    except requests.ConnectionError:
        return False


def test_the_page_is_started_again_when_it_dies(server: Server, page: str):
    ours = psutil.Process().children(recursive=True)
    (process,) = [one for one in ours if "naiad.ui.process" in one.cmdline()]
    process.kill()
    process.wait(20)
    assert eventually(lambda: answers(f"{page}/v1/tasks"), 60)
