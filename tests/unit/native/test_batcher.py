"""The native backend's batcher makes the batches that ``naiad.batching.Batcher`` makes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from naiad.batching import Batcher, Budget
from naiad.errors import Unavailable

BUDGET = Budget(requests=5, nodes=20, edges=40)
CAPACITY = 12
WAITING = Budget(nodes=90, edges=150)

puts = st.tuples(st.just("put"), st.integers(-2, 2), st.integers(0, 30), st.integers(0, 60))
takes = st.tuples(st.just("take"), st.integers(1, 8))
sessions = st.lists(puts | puts | takes, max_size=60)


def in_python(session: list[Any]) -> list[str]:
    batcher = Batcher[int](BUDGET, capacity=CAPACITY, waiting=WAITING)
    lines: list[str] = []
    count = 0
    for what, *numbers in session:
        if what == "put":
            priority, nodes, edges = numbers
            try:
                batcher.put(count, {"nodes": nodes, "edges": edges}, priority=priority)
            except Unavailable as error:
                lines.append(str(error).partition(";")[0])
            count += 1
        else:
            lines.append(" ".join(map(str, batcher.take(0, most=numbers[0]) or [])))
    return lines


@settings(max_examples=200)
@given(sessions)
def test_both_batchers_make_the_same_batches(drive: Any, session: list[Any]) -> None:
    text = f"3 {CAPACITY} {BUDGET['requests']} {BUDGET['nodes']} {BUDGET['edges']}\n"
    text += f"{2**63 - 1} {WAITING['nodes']} {WAITING['edges']}\n"  # of requests: unbounded
    for what, first, *rest in session:
        text += f"put {first} 1 {rest[0]} {rest[1]}\n" if what == "put" else f"take {first}\n"
    assert [line.strip() for line in drive("batches", text).splitlines()] == in_python(session)


def test_sums_of_what_waits_do_not_overflow(drive: Any) -> None:
    most = 2**63 - 1
    text = f"3 9 9 10 {most}\n{most} {most} {most}\n"
    text += f"put 0 1 {most} {most}\nput 0 1 {most} {most}\nput 0 1 3 4\n"
    text += "take 9\ntake 9\ntake 9\n"
    lines = [line.strip() for line in drive("batches", text).splitlines()]
    assert lines == ["0", "1", "2"]
