"""Models measured in turn, so that their ratios are of the same moment."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from benchmarks.nugraph3.speed import Moment, Sender, Speed, speed

from naiad.triton.server import Server

Speeds = dict[str, Speed]
"""Of each model, in one round."""


def parser(name: str, about: str | None, *, clients: str) -> argparse.ArgumentParser:
    """Return a parser of the options --runs, --seconds and --clients, with these by default."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--runs", type=int, default=5, help="rounds; 5 by default")
    made.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    made.add_argument("--clients", default=clients, help=f"at once; {clients} by default")
    return made


async def in_turn(
    server: Server, targets: Mapping[str, Sender], clients: int, args: argparse.Namespace
) -> list[Speeds]:
    """Return the speeds of each round, in which each model is measured once; close the targets."""
    assert server.pid is not None
    sides = {model: (target, server.pid) for model, target in targets.items()}
    return await alternating(sides, clients, args.runs, Moment(args.seconds / 6, args.seconds))


async def alternating(
    sides: Mapping[str, tuple[Sender, int]],
    clients: int,
    runs: int,
    moment: Moment,
    on_step: Callable[[str], None] = lambda side: None,
) -> list[Speeds]:
    """Return the speeds of each round, in which each side is measured once; close the senders.

    Args:
        sides: a sender, and the process of its server, by name.
        clients: at once.
        runs: number of rounds.
        moment: of each measurement.
        on_step: called with a side before it is measured.
    """
    names, rounds = [*sides], list[Speeds]()
    try:
        for number in range(runs):
            turn = number % len(names)  # the order alternates between rounds
            found: Speeds = {}
            for name in names[turn:] + names[:turn]:
                on_step(name)
                sender, server = sides[name]
                found[name] = await speed(sender, clients, moment, server=server)
            rounds.append(found)
    finally:
        for sender, _ in sides.values():
            await sender.close()
    return rounds
