"""Which settings of history and traces go together."""

import pytest

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
