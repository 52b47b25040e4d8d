"""Rounds that measure everything once, sides in turn, so that ratios are close in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.nugraph3.inputs import SIZES, Events, Size
from benchmarks.nugraph3.loop import Loop, Pace
from benchmarks.nugraph3.sides import NAIAD, Side
from benchmarks.nugraph3.speed import Moment, Speed, speed

from naiad.bench.target import Target
from naiad.client.address import Address
from naiad.client.client import Client
from naiad.client.spec import ModelSpec

CLIENTS = (1, 8)
MANY = 16
"""Concurrent clients for the comparison with the loop without a server."""


@dataclass(frozen=True, slots=True)
class Round:
    """The measurements: speeds by size, clients and side, and the loop's pace by size."""

    speeds: dict[tuple[Size, int, str], Speed] = field(default_factory=dict)
    loop: dict[Size, Pace] = field(default_factory=dict)

    def throughput_ratio(self, size: Size, clients: int, other: str) -> float:
        """Return the ratio of Naiad's answers per second to another side's."""
        ours, theirs = (self.speeds[size, clients, side] for side in (NAIAD, other))
        return ours.throughput / theirs.throughput

    def to_json(self) -> dict[str, Any]:
        """Return the round for JSON."""
        return {
            "speeds": [
                {"size": size, "clients": clients, "side": side, **asdict(found)}
                for (size, clients, side), found in self.speeds.items()
            ],
            "loop": {size: asdict(pace) for size, pace in self.loop.items()},
        }


def steps(runs: int, sides: Iterable[str]) -> int:
    """Return the number of measurements in ``runs`` rounds."""
    return runs * len(SIZES) * (len(CLIENTS) * len(list(sides)) + 2)


class Rounds:
    """Requests packed once for each side, and the loop."""

    def __init__(
        self,
        sides: Mapping[str, Side],
        events: Mapping[Size, Events],
        loop: Loop,
        batches: Mapping[Size, int],
        moment: Moment,
    ) -> None:
        """Pack the requests; ``batches`` are the loop's, by size."""
        self._sides = tuple(sides)
        self._servers = {name: side.pid for name, side in sides.items()}
        self._loop, self._batches, self._moment = loop, batches, moment
        self._targets = {
            (name, size): target_of(side, events[size])
            for name, side in sides.items()
            for size in SIZES
        }

    async def run(self, runs: int, on_step: Callable[[str], None]) -> list[Round]:
        """Run rounds; call ``on_step`` before each measurement."""
        try:
            return [await self._round(number, on_step) for number in range(runs)]
        finally:
            for target in self._targets.values():
                await target.close()

    async def _round(self, number: int, on_step: Callable[[str], None]) -> Round:
        found = Round()
        # The order alternates between rounds, so that no side always follows the same one.
        turn = number % len(self._sides)
        sides = self._sides[turn:] + self._sides[:turn]
        for size in SIZES:
            for clients in CLIENTS:
                for name in sides:
                    await self._served(found, size, clients, name, on_step)
            if number % 2:
                await self._served(found, size, MANY, NAIAD, on_step)
            await self._looped(found, size, on_step)
            if not number % 2:
                await self._served(found, size, MANY, NAIAD, on_step)
        return found

    async def _served(
        self, found: Round, size: Size, clients: int, name: str, on_step: Callable[[str], None]
    ) -> None:
        on_step(f"{name}, {size} events, {clients} at once")
        found.speeds[size, clients, name] = await speed(
            self._targets[name, size], clients, self._moment, server=self._servers[name]
        )

    async def _looped(self, found: Round, size: Size, on_step: Callable[[str], None]) -> None:
        on_step(f"a loop without a server, {size} events")
        found.loop[size] = await asyncio.to_thread(
            self._loop.run, size, self._batches[size], self._moment.seconds
        )


def target_of(side: Side, events: Events) -> Target:
    """Return the sender of events to a side."""
    with Client(side.url) as client:
        spec = ModelSpec.from_config(client.config(side.model))
    return Target(Address.parse(side.url), spec, events.requests, timeout=120.0)
