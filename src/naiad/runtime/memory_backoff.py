"""Batch sizes reduced after running out of memory."""

from __future__ import annotations

from collections.abc import Mapping

from naiad.core.budget import Budget
from naiad.error_text import class_name, message_of

_RECOVERY = 1.01  # per successful batch: a size that failed is tried again after about 70 others


class MemoryBackoff:
    """A pipeline's budget, reduced after running out of memory.

    A batch that runs out of memory halves the budget in each of its dimensions; every batch that
    then runs restores a little, until the size that failed is allowed again.
    """

    def __init__(self, budget: Budget) -> None:
        """Begin with the budget that the pipeline declares."""
        self.budget = budget
        """Current limit of a batch. Another thread may read it."""
        self._declared = budget
        self._learned: dict[str, float] = {}
        self._failed: dict[str, int] = {}

    def ran_out(self, totals: Mapping[str, int]) -> None:
        """Reduce the budget: a batch of these sizes ran out of memory."""
        for dim, total in totals.items():
            if total > 1:
                self._failed[dim] = total
                self._learned[dim] = total / 2
        self._decide()

    def ran(self) -> None:
        """Restore a little of the budget: a batch succeeded."""
        if not self._learned:
            return
        for dim, size in list(self._learned.items()):
            self._learned[dim] = size * _RECOVERY
            if self._learned[dim] >= self._failed[dim]:
                del self._learned[dim], self._failed[dim]
        self._decide()

    def _decide(self) -> None:
        sizes = dict(self._declared)
        for dim, size in self._learned.items():
            sizes[dim] = min(int(size), sizes.get(dim, int(size)))
        self.budget = Budget(**sizes)


def ran_out_of_memory(error: BaseException) -> bool:
    """Return True if the host (Python, NumPy, torch) or a GPU ran out of memory."""
    if isinstance(error, MemoryError) or class_name(error) == "OutOfMemoryError":
        return True
    if not isinstance(error, RuntimeError):
        return False
    text = message_of(error).lower()
    return any(
        sign in text for sign in ("out of memory", "can't allocate memory", "not enough memory")
    )
