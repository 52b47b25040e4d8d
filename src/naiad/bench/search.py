"""Search for the highest passing load by bisection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


async def highest(
    passes: Callable[[float], Awaitable[bool]],
    guess: float,
    *,
    tolerance: float = 0.05,
    most: int = 10,
) -> float | None:
    """Return the highest rate that passed, or None.

    Start at ``guess``, increase by half until a rate fails, then halve the interval between the
    highest that passed and the lowest that failed until it is at most ``tolerance`` of the latter,
    or ``most`` rates were tried.
    """
    passed, failed, rate = 0.0, None, guess
    for _ in range(most):
        if await passes(rate):
            passed = rate
        else:
            failed = rate
        if failed is None:
            rate = 1.5 * passed
        elif failed - passed <= tolerance * failed:
            break
        else:
            rate = (passed + failed) / 2
    return passed or None
