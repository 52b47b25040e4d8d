"""What a client asks, in which order, whatever carries the questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from naiad.client.grpc import GrpcCalls
from naiad.client.operations import Operations
from naiad.client.spec import ModelSpec
from naiad.client.transport import ModelInfo
from naiad.errors import (
    InvalidInput,
    ModelNotFound,
    NaiadError,
    NotAllowed,
    PipelineError,
    Unavailable,
)


def made() -> Operations:
    return Operations(GrpcCalls(), "grpc://triton:8001")


def config(*inputs: str) -> dict[str, Any]:
    return {
        "name": "m",
        "max_batch_size": 0,
        "input": [{"name": name, "data_type": "TYPE_FP32", "dims": [-1]} for name in inputs],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [1]}],
    }


def drive(questions: Any, answers: dict[str, Callable[[], Any]]) -> tuple[Any, list[str]]:
    """Run an operation against canned answers; return its result and the questions asked."""
    asked: list[str] = []
    try:
        call = next(questions)
        while True:
            method = call.request[0]
            asked.append(method)
            try:
                answer = answers[method]()
            except NaiadError as error:
                call = questions.throw(error)
            else:
                call = questions.send(answer)
    except StopIteration as stop:
        return stop.value, asked


def fail(error: NaiadError) -> Callable[[], Any]:
    def raising() -> Any:
        raise error

    return raising


def infer(operations: Operations | None = None, version: int | None = None, **arrays: Any) -> Any:
    operations = operations or made()
    return operations.infer("m", arrays, None, None, "", 60.0, version)


def test_the_configuration_is_asked_for_once() -> None:
    operations = made()
    parameters = {"parameters": {"notice": {"string_value": "careful"}}}
    answers = {"ModelConfig": lambda: config("x") | parameters, "ModelInfer": lambda: {"y": 1}}
    asked = drive(infer(operations, x=[1]), answers)
    assert asked == ({"y": 1}, ["ModelConfig", "ModelInfer"])
    assert drive(infer(operations, x=[1]), answers) == ({"y": 1}, ["ModelInfer"])
    assert drive(operations.card("m"), answers) == ({"notice": "careful"}, [])
    assert drive(made().card("m"), answers) == ({"notice": "careful"}, ["ModelConfig"])


def test_a_bad_request_is_refused_before_it_is_sent() -> None:
    answers = {"ModelConfig": lambda: config("x")}
    with pytest.raises(InvalidInput, match="no input z"):
        drive(infer(z=[1]), answers)


def test_a_replaced_model_is_noticed_before_a_request_is_refused() -> None:
    operations = made()
    operations.specs["m"] = ModelSpec.from_config(config("old"))
    answers = {"ModelConfig": lambda: config("new"), "ModelInfer": lambda: {"y": 1}}
    assert drive(infer(operations, new=[1]), answers) == ({"y": 1}, ["ModelConfig", "ModelInfer"])
    assert list(operations.specs["m"].inputs) == ["new"]


def test_an_unknown_model_is_answered_with_those_there_are() -> None:
    answers = {
        "ModelConfig": fail(ModelNotFound("unknown model")),
        "RepositoryIndex": lambda: (
            ModelInfo("b", "1", "READY"),
            ModelInfo("a", "1", "READY"),
            ModelInfo("c", "1", "UNAVAILABLE"),
        ),
    }
    with pytest.raises(
        ModelNotFound, match=r'grpc://triton:8001 has no model "m"; its models: a, b$'
    ):
        drive(infer(x=[1]), answers)


def test_an_unknown_model_of_a_server_without_a_list_is_not_its_own_cause() -> None:
    answers = {
        "ModelConfig": fail(ModelNotFound("unknown model")),
        "RepositoryIndex": fail(InvalidInput("not implemented")),
    }
    with pytest.raises(ModelNotFound, match=r"^unknown model$") as raised:
        drive(infer(x=[1]), answers)
    assert raised.value.__cause__ is None


def test_a_version_that_is_not_there_is_answered_with_those_there_are() -> None:
    answers = {
        "ModelConfig": lambda: config("x"),
        "ModelInfer": fail(ModelNotFound("unknown model")),
        "RepositoryIndex": lambda: (
            ModelInfo("m", "1", "UNAVAILABLE", "unloaded"),
            ModelInfo("m", "2", "READY"),
            ModelInfo("m", "3", "READY"),
        ),
    }
    with pytest.raises(ModelNotFound, match=r"has no version 1; it has 2, 3$"):
        drive(infer(version=1, x=[1]), answers)
    with pytest.raises(InvalidInput, match="version is 0; it must be a whole number, 1 or more"):
        drive(infer(version=0, x=[1]), answers)


def test_only_models_of_the_repository_are_loaded_and_unloaded() -> None:
    answers = {
        "RepositoryIndex": lambda: (ModelInfo("model", "", ""),),
        "RepositoryModelUnload": lambda: None,
    }
    assert drive(made().unload("model"), answers)[1][-1] == "RepositoryModelUnload"
    with pytest.raises(ModelNotFound, match='its models: model; did you mean "model"'):
        drive(made().unload("modle"), answers)


def test_a_server_that_loads_nothing_when_asked_says_with_what_it_would() -> None:
    said = "explicit model load / unload is not allowed if polling is enabled"
    answers = {
        "RepositoryIndex": lambda: (ModelInfo("m", "1", "READY"),),
        "RepositoryModelLoad": fail(InvalidInput(said)),
    }
    with pytest.raises(InvalidInput, match="--model-control-mode explicit"):
        drive(made().load("m"), answers)


def test_a_model_that_is_not_ready_is_unavailable_with_the_reason() -> None:
    answers = {
        "ModelConfig": fail(ModelNotFound("unknown model")),
        "RepositoryIndex": lambda: (ModelInfo("m", "1", "UNAVAILABLE", "no such file"),),
    }
    with pytest.raises(Unavailable, match=r'"m" at .* is UNAVAILABLE: no such file'):
        drive(infer(x=[1]), answers)


def test_who_may_not_list_the_models_is_told_of_those_that_have_statistics() -> None:
    answers = {
        "ModelConfig": fail(ModelNotFound("unknown model 'm'")),
        "RepositoryIndex": fail(NotAllowed("not yours")),
        "ModelStatistics": lambda: {"model_stats": [{"name": "mm", "version": "2"}]},
    }
    with pytest.raises(ModelNotFound, match='its models: mm; did you mean "mm"'):
        drive(infer(x=[1]), answers)
    answers["ModelStatistics"] = fail(NotAllowed("nor those"))
    with pytest.raises(ModelNotFound, match="unknown model 'm'"):
        drive(infer(x=[1]), answers)


def test_where_models_cannot_be_listed_the_first_error_stands() -> None:
    answers = {
        "ModelConfig": fail(ModelNotFound("unknown model 'm'")),
        "RepositoryIndex": fail(PipelineError("not allowed")),
    }
    with pytest.raises(ModelNotFound, match="unknown model 'm'"):
        drive(infer(x=[1]), answers)


@pytest.mark.parametrize("error", [Unavailable("down"), ModelNotFound("m"), InvalidInput("m")])
def test_a_server_that_cannot_be_asked_is_not_ready(error: NaiadError) -> None:
    assert drive(made().ready(None), {"ServerReady": fail(error)})[0] is False
    assert drive(made().ready("m"), {"ModelReady": fail(error)})[0] is False


def test_a_ready_server_is_ready() -> None:
    assert drive(made().ready(None), {"ServerReady": lambda: True})[0] is True
