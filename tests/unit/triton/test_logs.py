from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import naiad
from naiad.triton.log_entries import Entry, EntryReader, LogEvent
from naiad.triton.logs import LogFollower, explain

# Written by Triton 2.51, shortened.
LOG = Path(__file__).with_name("triton_log.txt").read_text()

EVENTS = [
    LogEvent(
        "failed",
        "config.pbtxt, line 6, column 7: "
        'Message type "inference.ModelConfig" has no field named "inputt".',
        "badcfg",
    ),
    LogEvent("loading", model="broken"),
    LogEvent("loading", model="identity"),
    LogEvent("ready", model="identity"),
    LogEvent(
        "failed",
        'ValueError: say "weights"\n'
        "  at /repo/broken/1/model.py:5, in _load\n"
        "  at /repo/broken/1/model.py:3, in initialize",
        "broken",
    ),
    LogEvent("listening", "HTTPService"),
    LogEvent("warning", "3 events had unknown hits"),
    LogEvent("stopping"),
    LogEvent("error", "failed to load all models"),
]


def events_of(path: Path, text: str) -> list[LogEvent]:
    path.write_text(text)
    follower = LogFollower(path)
    return follower.rest()


def event_of(path: Path, line: str) -> LogEvent | None:
    return next(iter(events_of(path, line + "\n")), None)


def test_a_log_becomes_what_a_user_wants_to_know_and_no_noise(tmp_path: Path):
    assert events_of(tmp_path / "log", LOG) == EVENTS


def test_what_tritons_http_server_writes_between_entries_is_part_of_none(tmp_path: Path):
    foreign = "[\x1b[1;33mWARN\x1b[0;39m]  \x1b[33mevhtp.c:4050\x1b[39m NODELAY NOT SUPPORTED\n"
    line = (
        'I1129 15:42:11.866827 2528 http_server.cc:362] "Started Metrics Service at unix:/m:8002"\n'
    )
    path = tmp_path / "log"
    assert events_of(path, line + foreign) == [LogEvent("listening", "Metrics Service")]
    assert LogFollower(path).tail() == line.strip()


def test_a_log_that_grows_is_read_once_and_half_written_lines_wait(tmp_path: Path):
    path = tmp_path / "log"
    path.touch()
    follower = LogFollower(path)
    seen: list[LogEvent] = []
    with path.open("a") as file:
        for start in range(0, len(LOG), 37):
            file.write(LOG[start : start + 37])
            file.flush()
            seen += follower.poll()
    assert [*seen, *follower.poll()] == EVENTS


@given(st.lists(st.integers(0, len(LOG)), max_size=8))
def test_entries_do_not_depend_on_how_the_text_is_cut(cuts: list[int]):
    def entries(places: list[int]) -> list[Entry]:
        reader, found = EntryReader(), list[Entry]()
        for start, end in zip([0, *places], [*places, len(LOG)], strict=True):
            found += reader.feed(LOG[start:end])
        return [*found, *reader.flush()]

    assert entries(sorted(cuts)) == entries([])


def test_a_model_that_prints_without_end_does_not_fill_the_memory():
    reader = EntryReader()
    entries = list(reader.feed(LOG.splitlines()[-2] + "\n" + "noise\n" * 100_000))
    entries += reader.flush()
    assert max(len(entry.message) for entry in entries) < 10_000


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (
            'E1121 01:50:10.36 8871 main.cc:245] "failed to start GRPC service: Unavailable - '
            "Socket '127.0.0.1:18001' already in use \"",
            LogEvent("error", "port 18001 is in use", port=18001),
        ),
        (
            "/cache/triton_python_backend_stub: error while loading shared libraries: "
            "libpython3.11.so.1.0: cannot open shared object file: No such file or directory",
            LogEvent(
                "error",
                "the shared library libpython3.11.so.1.0 of Triton's stub was not found",
            ),
        ),
        (
            "I1121 01:50:23.66 9080 pb_stub.cc:2105]  Failed to preinitialize Python stub: "
            "Python model file not found in '/repo/gat/1/model.py'",
            LogEvent("failed", "/repo/gat/1/model.py not found", "gat"),
        ),
        (
            "E1121 01:50:23.64 9070 model_repository_manager.cc:724] \"failed to load model 'gat': "
            'at least one version must be available"',
            LogEvent("failed", "at least one version must be available", "gat"),
        ),
        (
            "E1121 01:50:10.356610621    8871 chttp2_server.cc:1060]    UNKNOWN:No address added "
            "out of total 1 resolved",
            None,
        ),
        ("Signal (15) received.", None),
        (
            "error: creating server: Internal - failed to stat file /tmp/nope",
            LogEvent("error", "failed to stat file /tmp/nope"),
        ),
    ],
)
def test_known_lines_are_said_in_plain_words(tmp_path: Path, line: str, event: LogEvent | None):
    assert event_of(tmp_path / "log", line) == event


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("ModuleNotFoundError: No module named 'torch_geometric.nn'", "package torch_geometric is"),
        ("Stub process 'gat_0_0' is not healthy.", "process ended unexpectedly"),
        ("Failed to increase the shared memory pool size for key 'x'", "--shm-size=1g"),
    ],
)
def test_known_errors_come_with_what_helps(message: str, advice: str):
    assert explain(message).startswith(message)
    assert advice in explain(message)


def test_the_tail_is_without_tables(tmp_path: Path):
    (tmp_path / "log").write_text(LOG)
    tail = LogFollower(tmp_path / "log").tail(8)
    assert tail.splitlines()[-1] == "error: creating server: Internal - failed to load all models"
    assert "|" not in tail
    assert len(tail.splitlines()) == 8


def of_worker(source: str, text: str, severity: str = "E") -> str:
    return f"{severity}1121 01:43:28.121897 7160 {source}@m:12] {text}\n"


def test_hooks_output_is_told_with_the_users_frames_only(tmp_path: Path):
    traceback = (
        "Traceback (most recent call last):\n"
        f'  File "{naiad.__path__[0]}/runtime/runner.py", line 213, in evaluate\n'
        "    result = forward()\n"
        "             ^^^^^^^^^\n"
        '  File "/home/me/my.py", line 12, in forward\n'
        "    return foo\n"
        "NameError: name 'foo' is not defined"
    )
    raised = of_worker("naiad.runtime.runner", f"M.forward() raised\n{traceback}")
    log = (
        of_worker("print", "hello", "I")
        + of_worker("other", "not shown", "I")
        + of_worker("py.warnings", "/home/me/my.py:3: UserWarning: careful\n  f(1)", "W")
        + raised * 12
        + "Fatal Python error: Segmentation fault\n\n"
        + f'Current thread 0x1 (most recent call first):\n  File "/home/me/my.py", line 3 in f\n'
        f'  File "{naiad.__path__[0]}/runtime/runner.py", line 213 in evaluate\n\n'
        "Extension modules: numpy (total: 1)\n"
    )
    shown = [
        "Traceback (most recent call last):",
        '  File "/home/me/my.py", line 12, in forward',
        "    return foo",
        "NameError: name 'foo' is not defined",
    ]
    assert events_of(tmp_path / "log", log) == [
        LogEvent("printed", "hello", "m"),
        LogEvent("warning", "/home/me/my.py:3: UserWarning: careful\n  f(1)", "m"),
        LogEvent("error", "\n".join(["M.forward() raised", *shown]), "m"),
        LogEvent("error", f"M.forward() raised {shown[-1]} (10 times)", "m"),
        LogEvent(
            "error",
            "Fatal Python error: Segmentation fault\n\n"
            'Current thread 0x1 (most recent call first):\n  File "/home/me/my.py", line 3 in f',
        ),
    ]


def test_an_error_is_news_again_once_its_model_is_loaded_again(tmp_path: Path):
    loading = 'I1121 01:43:28.121897 7160 model_lifecycle.cc:472] "loading: m:1"\n'
    ready = """I1121 01:43:28.121897 7160 model_lifecycle.cc:849] "successfully loaded 'm'"\n"""
    hello, raised = of_worker("print", "hello", "I"), of_worker("mine", "no")
    log = (loading + hello * 2 + ready + hello * 2 + raised * 2) * 2
    events = [(event.kind, event.text) for event in events_of(tmp_path / "log", log)]
    printed = ("printed", "hello")
    assert events == [("loading", ""), printed, ("ready", ""), *[printed] * 2, ("error", "no")] * 2


def test_links_are_shown_as_what_they_stand_for(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("Python model file not found in '/tmp/x/linked-0/m/1/model.py'\n")
    follower = LogFollower(log, {Path("/tmp/x/linked-0"): Path("/models")})
    assert follower.tail() == "Python model file not found in '/models/m/1/model.py'"
