"""An application served in two ways: as its public example does it, and by Naiad."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from benchmarks.nugraph3.speed import Sender

import naiad
from naiad.bench.target import Target
from naiad.client.address import Address
from naiad.client.client import Client
from naiad.client.spec import ModelSpec
from naiad.core.schema import Array, Arrays
from naiad.triton.server import Server

EXAMPLE, NAIAD = "example", "Naiad"

TIMEOUT = 300.0  # seconds; a CT takes many of them where sixteen programs share two cores

_VARIED = 5  # tolerances by which some answer must differ from the first

Ask: TypeAlias = Callable[[naiad.AsyncClient, Any], Awaitable[Arrays]]
"""Answers a question, with whatever the client does before and after it asks the server."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to answer questions.

    Attributes:
        server: where the model is.
        questions: in the order in which they are asked.
        ask: answers one of them.
        model: where a question is the tensors of one request, the model that is sent it.
    """

    server: Server
    questions: Sequence[Any]
    ask: Ask
    model: str = ""

    @classmethod
    def plain(cls, server: Server, model: str, requests: Sequence[Arrays]) -> Way:
        """Return a way whose client does nothing but send requests to a model."""
        return cls(server, requests, lambda client, arrays: client.infer(model, arrays), model)

    def client(self) -> naiad.AsyncClient:
        """Return a client of the server."""
        return naiad.AsyncClient(self.server.grpc_url, timeout=TIMEOUT)

    def sender(self) -> Sender:
        """Return what a load generator sends; requests of a plain way are packed once."""
        if not self.model:
            return _Asking(self)
        with Client(self.server.grpc_url) as client:
            spec = ModelSpec.from_config(client.config(self.model))
        return Target(Address.parse(self.server.grpc_url), spec, self.questions, timeout=TIMEOUT)


class _Asking:
    """A load generator's client that computes before and after it asks the server."""

    def __init__(self, way: Way) -> None:
        self._way, self._client = way, way.client()

    async def send(self, number: int) -> tuple[int, int]:
        """Answer question ``number`` (they repeat); its bytes are not counted."""
        questions = self._way.questions
        await self._way.ask(self._client, questions[number % len(questions)])
        return 0, 0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


@dataclass(frozen=True, slots=True)
class Ways:
    """Both ways to answer the same questions; ``about`` describes these, for the report."""

    example: Way
    naiad: Way
    about: str


@dataclass(frozen=True, slots=True)
class Case:
    """An application, or one kind of its inputs.

    Attributes:
        name: on the command line.
        title: of its rows in the table.
        example: what the example does, in one sentence.
        start: serves both ways; takes a scratch folder, and whether to try it with small inputs.
        compare: describes the agreement of the example's answers with Naiad's, or raises
            :class:`Different`.
        target: the least ratio of answers per second, or None where there is no aim.
        clients: numbers of clients at once.
        needs: a module that some installations lack.
    """

    name: str
    title: str
    example: str
    start: Callable[[Path, bool], AbstractContextManager[Ways]]
    compare: Callable[[Sequence[Arrays], Sequence[Arrays]], str]
    target: float | None
    clients: tuple[int, ...] = (1, 16)
    needs: str = "torch"


class Different(Exception):
    """Both ways answer differently: their speeds cannot be compared."""


def within(tolerance: float, *outputs: tuple[str, str]) -> Callable[..., str]:
    """Return a comparison of outputs, by the example's name and by Naiad's.

    Numbers may differ by ``tolerance``, and must differ by more between questions: else equal
    answers would show nothing. Bytes must be equal.
    """

    def compare(example: Sequence[Arrays], ours: Sequence[Arrays]) -> str:
        worst, verdicts, varied = 0.0, 0, False
        for one, other in zip(example, ours, strict=True):
            for theirs, mine in outputs:
                a, b = one[theirs], other[mine]
                if a.shape != b.shape:
                    raise Different(f"{mine} is {list(b.shape)}, the example's {list(a.shape)}")
                if a.dtype != np.object_:
                    worst = max(worst, _gap(a, b))
                    first = example[0][theirs]
                    varied |= a.shape != first.shape or _gap(a, first) > _VARIED * tolerance
                elif (a != b).any():
                    raise Different(f"{mine} is {b.tolist()}, the example's {a.tolist()}")
                else:
                    verdicts += a.size
        if worst > tolerance:
            raise Different(f"answers differ by {worst:.2g}; they may by {tolerance:g}")
        if not varied:
            raise Different("all questions have the same answer, which shows nothing; vary them")
        same = f", {verdicts} of {verdicts} verdicts equal" if verdicts else ""
        return f"largest difference {worst:.1g}{same}"

    return compare


def _gap(a: Array, b: Array) -> float:
    """Return the largest difference; a NaN counts as one."""
    return float(np.nan_to_num(np.abs(a.astype(np.float64) - b), nan=np.inf).max(initial=0.0))
