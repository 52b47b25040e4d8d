"""The clients against a real Triton, over gRPC and HTTP, blocking and asyncio."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest

from naiad.client import AsyncClient, Client, ModelInfo
from naiad.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    NaiadError,
    PipelineError,
    Unavailable,
)
from naiad.triton.server import Server

Run = Callable[[Callable[[Any], Any]], Any]

TEXTS = ["a", "é", b"\x00\xff", b"nul at the end\x00\x00", b""]


def blocking(url: str) -> Run:
    def run(ask: Callable[[Client], Any]) -> Any:
        with Client(url) as client:
            return ask(client)

    return run


def in_a_loop(url: str) -> Run:
    def run(ask: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            async with AsyncClient(url) as client:
                return await ask(client)

        return asyncio.run(main())

    return run


@pytest.fixture(params=["grpc", "http"])
def url(triton: Server, request: pytest.FixtureRequest) -> str:
    return triton.grpc_url if request.param == "grpc" else triton.http_url


@pytest.fixture(params=[blocking, in_a_loop], ids=["blocking", "asyncio"])
def run(url: str, request: pytest.FixtureRequest) -> Run:
    return request.param(url)


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


def test_an_answer_has_every_output_in_its_dtype(run: Run) -> None:
    answer = run(lambda client: client.infer("echo", values=[1, 2.5], texts=TEXTS, offset=[10]))
    assert answer["values_out"].tolist() == [11.0, 12.5]
    assert answer["values_out"].dtype == np.float32
    assert answer["texts_out"].tolist() == [
        text.encode() if isinstance(text, str) else text for text in TEXTS
    ]


def test_an_answer_is_writable(run: Run) -> None:
    answer = run(lambda client: client.infer("echo", values=[1.0]))
    answer["values_out"][0] = 7
    assert answer["values_out"] == [7]


def test_empty_tensors_come_back_empty(run: Run) -> None:
    answer = run(lambda client: client.infer("echo", values=[], texts=[]))
    assert answer["values_out"].shape == (0,)
    assert answer["texts_out"].shape == (0,)


def test_only_requested_outputs_are_sent(run: Run) -> None:
    answer = run(lambda client: client.infer("echo", values=[1], outputs=["values_out"]))
    assert list(answer) == ["values_out"]


def test_parameters_and_the_request_id_reach_the_model(run: Run) -> None:
    parameters = {"text": "é", "yes": True, "number": -(2**40), "share": 0.25}
    answer = run(
        lambda client: client.infer(
            "echo", {"values": [1]}, parameters=parameters, request_id="run 7, event 3"
        )
    )
    told = json.loads(answer["request"][0])
    assert told == {"id": "run 7, event 3", "parameters": parameters}
    assert [type(told["parameters"][name]) for name in parameters] == [str, bool, int, float]


def test_a_batching_model_takes_a_leading_batch_dimension(run: Run) -> None:
    first, second = np.arange(48).reshape(3, 16), np.ones((3, 16), dtype=int)
    answer = run(lambda client: client.infer("simple", INPUT0=first, INPUT1=second))
    np.testing.assert_array_equal(answer["OUTPUT0"], first + second)
    np.testing.assert_array_equal(answer["OUTPUT1"], first - second)


def test_twenty_megabytes_pass(run: Run) -> None:
    values = np.random.default_rng(1).random(5_000_000, dtype=np.float32)
    answer = run(lambda client: client.infer("echo", values=values, outputs=["values_out"]))
    np.testing.assert_array_equal(answer["values_out"], values)


@pytest.mark.parametrize(
    ("fail", "kind", "message"),
    [
        ("invalid", InvalidInput, r"^values\[1\] is 3; echo takes 0 to 2$"),
        ("internal", PipelineError, r"^RuntimeError: the flux capacitor is empty$"),
    ],
)
def test_an_error_of_the_model_is_raised_in_its_words(
    run: Run, fail: str, kind: type[NaiadError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run(lambda client: client.infer("echo", values=[1], parameters={"fail": fail}))
    assert run(lambda client: client.infer("echo", values=[1]))["values_out"] == [1]


def test_a_model_that_is_unavailable_twice_answers_at_the_third_attempt(run: Run) -> None:
    parameters = {"fail": "unavailable", "times": 2, "key": uuid.uuid4().hex}
    answer = run(lambda client: client.infer("echo", values=[1], parameters=parameters))
    assert answer["values_out"] == [1]


def test_a_model_that_stays_unavailable_is_reported_as_such(url: str) -> None:
    with Client(url, retries=1) as client, pytest.raises(Unavailable, match="being replaced"):
        client.infer("echo", values=[1], parameters={"fail": "unavailable"})


def test_a_slow_answer_runs_into_the_deadline(run: Run) -> None:
    with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
        run(
            lambda client: client.infer(
                "echo", values=[1], parameters={"sleep": "0.6"}, timeout=0.2
            )
        )


def test_invalid_inputs_are_refused_before_triton_sees_them(client: Client) -> None:
    def failures() -> int:
        return client.statistics("echo")["model_stats"][0]["inference_stats"]["fail"]["count"]

    before = failures()
    for wrong in ({"values": [[1.0]]}, {"values": ["a"]}, {}, {"values": [1], "more": [1]}):
        with pytest.raises(InvalidInput):
            client.infer("echo", wrong)
    assert failures() == before


def test_an_unknown_model_is_answered_with_the_known_ones(run: Run) -> None:
    for ask in (
        lambda client: client.infer("ekko", values=[1]),
        lambda client: client.metadata("ekko"),
        lambda client: client.config("ekko"),
        lambda client: client.statistics("ekko"),
    ):
        with pytest.raises(ModelNotFound, match=r'has no model "ekko"; its models: .*echo.*simple'):
            run(ask)


def test_readiness_is_reported_for_server_and_models(run: Run) -> None:
    assert run(lambda client: client.ready()) is True
    assert run(lambda client: client.ready("echo")) is True
    assert run(lambda client: client.ready("ekko")) is False


def test_the_models_are_listed_with_their_state(run: Run) -> None:
    models = run(lambda client: client.models())
    assert ModelInfo("echo", "1", "READY") in models
    assert all(model.ready for model in models)


def test_both_protocols_describe_a_model_alike(triton: Server) -> None:
    with Client(triton.grpc_url) as grpc, Client(triton.http_url) as http:
        assert grpc.metadata() == http.metadata()
        assert grpc.metadata()["name"] == "triton"
        for model in ("echo", "simple"):
            assert grpc.metadata(model) == http.metadata(model)
            assert grpc.config(model) == http.config(model)
        stats = [client.statistics("echo")["model_stats"][0] for client in (grpc, http)]
        assert stats[0].keys() == stats[1].keys()


def test_many_requests_are_answered_in_order(client: Client) -> None:
    requests = ({"values": [number]} for number in itertools.count())
    answers = client.infer_many("echo", requests, concurrency=8)
    values = [answer["values_out"][0] for answer in itertools.islice(answers, 100)]
    assert values == list(range(100))


def test_many_requests_from_an_event_loop_are_answered_in_order(url: str) -> None:
    async def main() -> list[float]:
        requests = [{"values": [number]} for number in range(100)]
        async with AsyncClient(url) as client:
            answers = client.infer_many("echo", requests, concurrency=16)
            return [answer["values_out"][0] async for answer in answers]

    assert asyncio.run(main()) == list(range(100))


def test_one_bad_request_among_many_keeps_its_place(client: Client) -> None:
    requests: list[dict[str, Any]] = [{"values": [0]}, {"values": ["bad"]}, {"values": [2]}]
    answers = list(client.echo.try_many(requests))
    assert [type(answer) for answer in answers] == [dict, InvalidInput, dict]


def test_one_client_serves_sixteen_threads(client: Client) -> None:
    wrong: list[int] = []

    def ask(number: int) -> None:
        for step in range(10):
            answer = client.infer("echo", values=[number, step], outputs=["values_out"])
            if answer["values_out"].tolist() != [number, step]:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
