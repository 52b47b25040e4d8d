from pathlib import Path

from naiad.triton.log_entries import LogEvent
from naiad.triton.logs import LogFollower
from naiad.triton.startup import Startup, last_words


def told(expected: int | None, *events: LogEvent) -> Startup:
    progress = Startup(expected)
    for event in events:
        progress.note(event)
    return progress


def test_a_start_is_hopeless_only_when_every_model_is_done():
    loading = [LogEvent("loading", model="a"), LogEvent("loading", model="b")]
    failed = LogEvent("failed", "ValueError: no", "a")
    assert not told(2, *loading, failed).is_hopeless()
    assert not told(2, failed).is_hopeless()  # nothing is known of b yet
    assert told(2, *loading, failed, LogEvent("ready", model="b")).is_hopeless()
    assert not told(1, LogEvent("loading", model="a"), LogEvent("ready", model="a")).is_hopeless()


def test_a_start_is_hopeless_when_triton_says_so():
    assert told(3, LogEvent("loading", model="a"), LogEvent("stopping")).is_hopeless()


def test_the_reason_names_each_model_that_failed():
    b = LogEvent("failed", "b is broken", "b")
    a = LogEvent("failed", "a is broken", "a")
    assert told(3, b, a).reason() == "2 of 3 models did not load:\na: a is broken\nb: b is broken"
    assert told(1, a).reason() == "the model did not load: a: a is broken"
    assert told(1, LogEvent("error", "out of luck")).reason() == "out of luck"
    assert told(1).reason() == ""


def test_last_words_say_how_triton_ended(tmp_path: Path):
    follower = LogFollower(tmp_path / "log")
    assert "SIGKILL (out of memory" in last_words([{"status": -9}], follower)
    assert "SIGSEGV (a crash)" in last_words([{"status": -11}], follower)
    assert last_words([{"status": 3}], follower) == "Triton ended by itself with status 3"
    assert "no such file" in last_words([{"status": None, "reason": "no such file"}], follower)
    (tmp_path / "log").write_text("the last line\n")
    assert last_words([], follower).endswith("the last line")


def test_a_start_of_models_that_were_served_before_goes_on_without_some():
    failed = [LogEvent("loading", model="a"), LogEvent("failed", "a is broken", "a")]
    assert not told(None, *failed).is_hopeless()
    assert told(None, *failed, LogEvent("stopping")).is_hopeless()


def test_models_that_were_left_out_count_as_failed():
    ready = [LogEvent("loading", model="a"), LogEvent("ready", model="a")]
    progress = Startup(1, {"b": "no GPU"})
    assert not progress.is_hopeless()
    for event in ready:
        progress.note(event)
    assert progress.is_hopeless()
    assert progress.reason() == "1 of 2 models did not load:\nb: no GPU"
