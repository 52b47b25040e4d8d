"""Models of one server measured in turn, so that their ratios are of the same moment."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from benchmarks.nugraph3.speed import Moment, Speed, speed

from naiad.bench.target import Target
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
    server: Server, targets: Mapping[str, Target], clients: int, args: argparse.Namespace
) -> list[Speeds]:
    """Return the speeds of each round, in which each model is measured once; close the targets."""
    triton, models = server.pid, [*targets]
    assert triton is not None
    moment = Moment(args.seconds / 6, args.seconds)
    rounds: list[Speeds] = []
    try:
        for number in range(args.runs):
            turn = number % len(models)  # the order alternates between rounds
            order = models[turn:] + models[:turn]
            rounds.append(
                {m: await speed(targets[m], clients, moment, server=triton) for m in order}
            )
    finally:
        for target in targets.values():
            await target.close()
    return rounds
