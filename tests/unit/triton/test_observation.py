"""Which settings of history and traces go together."""

import pytest
from tests.support.history import write

from naiad.core.settings import ServeSettings
from naiad.errors import EngineError
from naiad.triton.observation import Observation


def observation(**settings: object) -> Observation:
    return Observation(ServeSettings(**settings), print)  # pyright: ignore[reportArgumentType]


def test_a_history_is_kept_while_the_server_runs() -> None:
    one = observation(history=5)
    assert one.path == ""
    one.begin()
    assert one.history is not None
    assert one.history.capacity == 5
    assert one.path == one.history.path
    one.end()
    assert one.path == ""
    one.end()


def test_exemplars_are_the_requests_whose_traces_are_sampled() -> None:
    one = observation(history=5)
    assert one.exemplars() == []
    one.begin()
    assert one.history is not None
    write(one.history, trace="a" * 32)
    write(one.history, trace="b" * 32, sampled=False)
    write(one.history)
    (found,) = one.exemplars()
    assert (found.family, found.trace_id) == ("naiad_request_seconds", "a" * 32)
    assert found.labels == {"model": "net", "version": "3"}
    assert found.value == pytest.approx(0.1)
    one.end()


def test_without_a_history_there_are_no_traces() -> None:
    none = observation(history=0)
    none.begin()
    assert none.path == ""
    with pytest.raises(EngineError, match="--history must not be 0"):
        observation(history=0, otlp="http://localhost:4318").begin()
    wrong = observation(otlp="localhost:4317")
    with pytest.raises(EngineError, match="must be a URL of OTLP over HTTP"):
        wrong.begin()
    wrong.end()
