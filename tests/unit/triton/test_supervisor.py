from hypothesis import given
from hypothesis import strategies as st

from naiad.triton.probing import Finding
from naiad.triton.supervisor import Restarts, Silence, Supervision

SILENT = Finding("silent", "no answer to its example within 10 s")


def test_the_first_restart_has_no_pause_and_each_further_one_twice_the_pause():
    restarts = Restarts(Supervision(window=600, first_pause=1, longest_pause=5))
    assert [restarts.pause(now=0, served=True) for _ in range(7)] == [0, 1, 2, 4, 5, 5, 5]


def test_restarts_of_long_ago_lengthen_no_pause():
    restarts = Restarts(Supervision(window=600, first_pause=1))
    assert [restarts.pause(now, served=True) for now in (0, 10)] == [0, 1]
    assert restarts.pause(605, served=True) == 1  # the one at 11 s still counts
    assert restarts.pause(2000, served=True) == 0


@given(st.lists(st.floats(0, 100), max_size=60), st.floats(1, 1000))
def test_a_server_that_serves_each_time_is_never_given_up(gaps: list[float], window: float):
    policy = Supervision(failed_starts=1, window=window, first_pause=0.5, longest_pause=4)
    restarts, now = Restarts(policy), 0.0
    for gap in gaps:
        now += gap
        pause = restarts.pause(now, served=True)
        assert pause is not None
        assert 0 <= pause <= 4


@given(st.integers(1, 6), st.lists(st.booleans(), max_size=40))
def test_only_starts_that_fail_in_a_row_give_a_server_up(allowed: int, lives: list[bool]):
    restarts, failed = Restarts(Supervision(failed_starts=allowed)), 0
    for now, served in enumerate(lives):
        failed = 0 if served else failed + 1
        assert (restarts.pause(now, served=served) is None) == (failed >= allowed)


def test_one_unanswered_probe_is_no_silence_and_none_for_long_is():
    silence = Silence(limit=30)
    assert silence.note("a", SILENT, asked=0, now=40) == ""
    why = silence.note("a", SILENT, asked=45, now=55)
    assert why == "a has not answered for 55 s: no answer to its example within 10 s"


def test_silence_ends_with_any_answer_even_an_error():
    for verdict in ("answers", "busy", "refuses"):
        silence = Silence(limit=30)
        assert silence.note("a", SILENT, asked=0, now=10) == ""
        assert silence.note("a", Finding(verdict, "?"), asked=15, now=16) == ""
        assert silence.note("a", SILENT, asked=20, now=60) == ""


def test_models_are_silent_each_for_itself():
    silence = Silence(limit=30)
    silence.note("a", SILENT, asked=0, now=10)
    assert silence.note("b", SILENT, asked=40, now=50) == ""
    assert silence.note("a", SILENT, asked=40, now=50) != ""
