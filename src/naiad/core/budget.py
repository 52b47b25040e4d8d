"""Budgets over named dimensions, which limit the size of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from naiad.errors import InvalidInput, SchemaError


class Budget(Mapping[str, int]):
    """Sizes by dimension name: ``Budget(nodes=50_000, edges=500_000, requests=64)``.

    A name may also be a tensor's ``counts``. Dimensions that are not named are not bounded.

    Raises:
        SchemaError: a size is not a positive integer.
    """

    __slots__ = ("_sizes",)

    def __init__(self, **sizes: int) -> None:
        """Bound each named dimension."""
        for name, size in sizes.items():
            if size < 1:
                raise SchemaError(f"Budget({name}={size}): a size must be at least 1")
        self._sizes = sizes

    def __getitem__(self, name: str) -> int:
        return self._sizes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __repr__(self) -> str:
        return f"Budget({', '.join(f'{k}={v}' for k, v in self._sizes.items())})"

    def holds(self, used: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
        """Return True if a batch that uses ``used`` has room for a request of ``sizes``."""
        return all(used.get(k, 0) + sizes.get(k, 0) <= v for k, v in self._sizes.items())

    def refuse_oversize(self, sizes: Mapping[str, int]) -> None:
        """Raise InvalidInput, naming dimension, size and limit, if one request exceeds a limit."""
        for name, limit in self._sizes.items():
            if sizes.get(name, 0) > limit:
                raise InvalidInput(
                    f"the request has {sizes[name]:,} {name}; this model takes at most {limit:,}"
                )


def group(budget: Budget, sizes: list[dict[str, int]]) -> list[list[int]]:
    """Cut a sequence of requests, in order, into runs that each fit the budget."""
    groups: list[list[int]] = []
    used: dict[str, int] = {}
    for number, size in enumerate(sizes):
        if not groups or not budget.holds(used, size):
            groups.append([])
            used = {}
        groups[-1].append(number)
        add_sizes(used, size)
    return groups


def add_sizes(used: dict[str, int], sizes: Mapping[str, int]) -> None:
    """Add a request's size along each dimension to ``used``."""
    for name, size in sizes.items():
        used[name] = used.get(name, 0) + size
