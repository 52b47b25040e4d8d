"""The highest load that still passes, by bisection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


async def highest(
    passes: Callable[[float], Awaitable[bool]],
    guess: float,
    *,
    tolerance: float = 0.05,
    most: int = 10,
) -> float | None:
    """The highest rate that was seen to pass; None where none did.

    Starts at ``guess``, goes up by halves until a rate fails, then halves the interval between
    the highest that passed and the lowest that failed until it is at most ``tolerance`` of the
    latter, or ``most`` rates were tried.
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
