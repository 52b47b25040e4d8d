"""A worker answers every task, whatever its contents and its hooks.

For an hour: ``make fuzz SECONDS=3600``.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.fuzz.budget import SECONDS
from tests.fuzz.pipelines import Everything, Merged, Texts
from tests.fuzz.tasks import Ask, ahead, answers, numbers_of, packed

from naiad.core.pipeline import Pipeline, random_arrays
from naiad.error_text import _encoded_size
from naiad.runtime.merging import Merger
from naiad.runtime.preparer import Preparer
from naiad.runtime.runner import Runner
from naiad.runtime.shared import Arena
from naiad.runtime.wire import Wire
from naiad.triton.worker import answer, serve_ahead

ODD = [-1, 0, 1, 2, 2**31, 2**32, 2**60, 2**61, 2**62, 2**63 - 1, -(2**63)]


class Desk:
    """A worker without its process."""

    numbers_of = staticmethod(numbers_of)

    def __init__(self, pipeline: type[Pipeline]) -> None:
        runner = Runner(pipeline())
        self.wire = Wire.of(pipeline, runner.contract)
        self.inbox, self.outbox = Arena(), Arena()
        self._runner = runner
        self._rest = (self.inbox, self.outbox, self.wire, runner, Merger.of(runner))

    def answer(self, task: bytes) -> bytes:
        return answer(task, *self._rest)

    def ask(self, asked: list[Ask]) -> list[Any]:
        return self.found(packed(*self.numbers_of(self.wire, asked, self.inbox)))

    def found(self, task: bytes) -> list[Any]:
        return answers(self.wire, self.answer(task), self.outbox)

    def close(self) -> None:
        self.inbox.close()
        self.outbox.close()


class DeskAhead(Desk):
    """A worker that prepares requests during ``forward``, without its process."""

    numbers_of = staticmethod(ahead)

    def __init__(self, pipeline: type[Pipeline]) -> None:
        super().__init__(pipeline)
        self._ours, theirs = Pipe()
        self._free = os.eventfd(1, os.EFD_SEMAPHORE)
        rest = (self.inbox, [self.outbox], self._free, self.wire, Preparer(self._runner, 1))
        self._serving = threading.Thread(target=serve_ahead, args=(theirs, *rest), daemon=True)
        self._serving.start()

    def found(self, task: bytes) -> list[Any]:
        self._ours.send_bytes(task)
        found: list[Any] = []
        prepared = False
        while not prepared or len(found) < self.wire.requests(task):
            assert self._ours.poll(20), "there is no answer"
            if said := self._ours.recv_bytes():
                found += answers(self.wire, said, self.outbox)
                os.eventfd_write(self._free, 1)
            else:
                prepared = True
        return found

    def close(self) -> None:
        self._ours.close()
        self._serving.join(20)
        assert not self._serving.is_alive()
        super().close()


@pytest.fixture(scope="module")
def desks() -> Iterator[dict[str, Desk]]:
    made = {pipeline.name: Desk(pipeline) for pipeline in (Everything, Merged, Texts)}
    made |= {f"{kind.name} ahead": DeskAhead(kind) for kind in (Everything, Texts)}
    yield made
    for desk in made.values():
        desk.close()


def some_ask(rng: random.Random, wire: Wire) -> Ask:
    """Make a mostly valid request."""
    sizes = {dim: rng.randint(0, 4) for dim in wire.dims} | {"hits": 3, "spacepoints": 2}
    arrays = random_arrays(wire.inputs, sizes, rng.randrange(2**32))
    for name, tensor in wire.inputs.items():
        if rng.random() < (0.5 if tensor.optional else 0.01):
            del arrays[name]
    ask = Ask.of(arrays)
    ask.id = rng.choice([b"", b"an id", b"caf\xe9", rng.randbytes(6)])
    ask.parameters = rng.choice([b"", b"", b'{"a": 1}', b"{", b"[]", b'"\xff"', b"[" * 9999])
    for name in list(ask.data):
        data, shape = bytearray(ask.data[name]), list(ask.shapes[name])
        what = rng.randrange(60)
        if what == 0:
            data = rng.randbytes(rng.randrange(40))
        elif what == 1:
            shape = [rng.choice(ODD) for _ in range(rng.randrange(4))]
        elif what == 2 and shape:
            shape[rng.randrange(len(shape))] = rng.choice(ODD)
        elif what == 3 and data:
            data[rng.randrange(len(data))] = rng.randrange(256)
        ask.data[name], ask.shapes[name] = bytes(data), shape
    return ask


def checked(found: list[Any], *allowed: tuple[int, str]) -> None:
    """Check that errors are of the allowed classes, with text that can be sent."""
    for outcome in found:
        if isinstance(outcome, tuple):
            code, kind, text = outcome
            assert (code, kind) in {(3, "InvalidInput"), (1, "PipelineError"), *allowed}, outcome
            assert _encoded_size(text) <= 2500
            assert not any(unicodedata.category(c) == "Cc" for c in text.replace("\n", ""))


def fuzz(check: Any) -> int:
    """Test a property for its share of the time; return the number of examples."""
    tried = 0
    deadline = time.monotonic() + SECONDS / 3
    rounds = settings(
        max_examples=50,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    once = rounds(check)
    while time.monotonic() < deadline:
        once()
        tried += 50
    return tried


def test_no_task_ends_a_worker(desks: dict[str, Desk]) -> None:
    kinds: Counter[type] = Counter()

    @given(st.integers(0, 2**32), st.sampled_from(sorted(desks)))
    def check(seed: int, name: str) -> None:
        rng, desk = random.Random(seed), desks[name]
        asked = [some_ask(rng, desk.wire) for _ in range(rng.randint(1, 3))]
        numbers, text = desk.numbers_of(desk.wire, asked, desk.inbox)
        claims = numbers[4]
        # The native backend does not write these, but they must not end the worker either.
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            at = rng.choice([0, *range(2, len(numbers))])  # 1: the number of requests
            numbers[at] = rng.choice([*ODD, rng.randint(-9, 99)])
        found = desk.found(packed(numbers, text))
        assert len(found) == len(asked)
        # Other bytes may say that nobody waits any more.
        moved = isinstance(desk, DeskAhead) and numbers[4] != claims
        checked(found, *([(4, "Unavailable")] if moved else []))
        kinds.update(map(type, found))

    print(f"tasks of a worker: {fuzz(check):,} tried, workers ended 0")
    assert kinds[dict] > 0, "no request was answered"
    assert kinds[tuple] > 0, "no request was refused"


class Failing(Pipeline):
    """A pipeline whose ``hook`` does ``deed`` if a request has a 1."""

    inputs = Texts.inputs | {"mark": Merged.inputs["scalar"]}
    sample = {"text": inputs["text"], "mark": inputs["mark"]}
    outputs = {"text": inputs["text"], "mark": inputs["mark"]}
    result = outputs
    arrays = "numpy"
    hook = ""
    deed: Any = None

    def prepare(self, request: Any) -> Any:
        given = {name: request[name] for name in self.sample}
        return self.do("prepare", request["mark"] == 1, given)

    def forward(self, batch: Any) -> Any:
        return self.do("forward", (batch["mark"] == 1).any(), dict(batch))

    def finish(self, result: Any) -> Any:
        return self.do("finish", result["mark"] == 1, dict(result))

    def do(self, hook: str, marked: Any, otherwise: Any) -> Any:
        return Failing.deed(otherwise) if marked and hook == self.hook else otherwise


class _Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class _Leaving(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class _Meta(type):
    @property
    def __name__(cls) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise RuntimeError("no name")


class _Nameless(Exception, metaclass=_Meta):
    pass


class _Own(Exception):
    code = ["?"]


def _deep() -> None:
    _deep()


def _chained() -> None:
    error: BaseException = ValueError("the first")
    for _ in range(1200):
        following = ValueError("another")
        following.__cause__ = error
        error = following
    raise error


def _raise(error: BaseException) -> None:
    raise error


texts = st.text() | st.just("caf\udce9\ud800") | st.just("a\x00\x1b[2J") | st.just("é" * 30000)
errors = st.one_of(
    texts.map(ValueError),
    texts.map(KeyError),
    st.sampled_from([SystemExit(3), SystemExit(), KeyboardInterrupt(), GeneratorExit()]),
    st.sampled_from([_Own(), BaseException("base")]),
    st.sampled_from([MemoryError(), StopIteration(3), EOFError(), OSError(9, "bad")]),
    st.just(UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "?")),
    texts.map(lambda text: RuntimeError(f"out of memory {text}")),
)
raising = errors.map(lambda error: lambda _: _raise(error)) | st.sampled_from(
    [
        lambda _: _deep(),
        lambda _: _chained(),
        lambda _: _raise(_Silent()),
        lambda _: _raise(_Leaving()),
        lambda _: _raise(_Nameless()),
    ]
)


wrong_values: list[Any] = [
    None, 3, "text", [], [("text", 3)], object(), {}, {3: np.zeros(1)}, {"mark": None},
    {"text": "a", "mark": 1.0}, {"caf\udce9": np.zeros(1)}, (x for x in [1]),
]  # fmt: skip
wrong_arrays: list[Any] = [
    np.zeros((0, 2**40), np.float32),
    np.broadcast_to(np.float32(1), (2**44,)),
    np.zeros(3, ">f4"),
    np.zeros(7, np.complex128),
    np.array([None, 3, "x"], object),
    np.array([b"a", "caf\udce9", bytearray(b"x")], object),
    np.array("text"),
    np.ma.masked_array([1.0], [True]),
    np.zeros(2, [("a", "i4")]),
    np.array(["2020-01-01"], "M8[D]"),
    [b"a"], 1.5, "x", None, memoryview(b"x"), type,
]  # fmt: skip


@st.composite
def returning(draw: st.DrawFn) -> Any:
    if draw(st.booleans()):
        value = draw(st.sampled_from(wrong_values))
        return lambda _: value
    name = draw(st.sampled_from(["text", "mark"]))
    value = draw(st.sampled_from(wrong_arrays))

    def wrong(otherwise: Any) -> Any:
        return {**otherwise, name: value}

    return wrong


def marked(mark: float, text: bytes = b"abc") -> Ask:
    return Ask.of({"text": np.array([text], object), "mark": np.asarray([mark], np.float32)})


@pytest.fixture
def as_in_a_worker() -> Iterator[None]:
    """Ignore Ctrl-C as workers do, and discard their logs."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    log = logging.getLogger("naiad")
    with Path(os.devnull).open("w", encoding="utf-8", errors="backslashreplace") as nowhere:
        handler = logging.StreamHandler(nowhere)
        log.addHandler(handler)
        log.propagate = False
        yield
        log.propagate = True
        log.removeHandler(handler)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kind", [Desk, DeskAhead])
@pytest.mark.usefixtures("as_in_a_worker")
def test_no_hook_ends_a_worker_whatever_it_does(kind: type[Desk]) -> None:
    desk = kind(Failing)

    hooks = st.sampled_from(["prepare", "forward", "finish"])

    @given(hooks, raising | returning(), st.integers(0, 2))
    def check(hook: str, deed: Any, place: int) -> None:
        Failing.hook, Failing.deed = hook, staticmethod(deed)
        asked = [marked(0.0, b"first"), marked(0.0, b"second")]
        asked.insert(place, marked(1.0))
        found = desk.ask(asked)
        checked(found)
        if hook == "forward" and deed.__name__ == "wrong":
            return  # it gave all requests of the batch a wrong result, of the right form
        guilty = found.pop(place)
        assert isinstance(guilty, tuple), guilty
        assert guilty[:2] == (1, "PipelineError")
        assert all(isinstance(one, dict) for one in found), found
        assert [one["text"][1] for one in found] == [b"\5\0\0\0first", b"\6\0\0\0second"]

    print(f"hooks that fail: {fuzz(check):,} tried, workers ended 0")
    desk.close()


def test_a_task_of_a_megabyte_of_nested_json_is_answered(desks: dict[str, Desk]) -> None:
    ask = Ask(b"", b"[" * 1_000_000)
    (found,) = desks["texts"].ask([ask])
    assert found[0] in (1, 3)
    assert json.dumps(found)
