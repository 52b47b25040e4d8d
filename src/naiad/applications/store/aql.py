"""AQL, ArangoDB's query language: query texts and their bind variables.

All input is bound: values as ``@name``, attribute names as ``n[@name]``, collections as
``@@name``. The texts contain only words written in this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from naiad.applications.store.base import Direction
from naiad.applications.store.filters import Condition

# In AQL null is less than every value and unequal to it; here a null meets no condition.
_OPERATORS: Final = {
    "=": "{0} == {1}",
    "!=": "({0} != null AND {0} != {1})",
    "<": "({0} != null AND {0} < {1})",
    "<=": "({0} != null AND {0} <= {1})",
    ">": "{0} > {1}",
    ">=": "({0} != null AND {0} >= {1})",
    "between": "({0} != null AND {0} >= {1}[0] AND {0} <= {1}[1])",
    "in": "{0} IN {1}",
    "not in": "({0} != null AND {0} NOT IN {1})",
    "has": "{1} IN {0}",
    "missing": "{0} == {1}",
}

_DIRECTIONS: Final[Mapping[Direction, str]] = {"out": "OUTBOUND", "in": "INBOUND", "both": "ANY"}


@dataclass(slots=True)
class Query:
    """The bind variables of a query, collected while its text is built."""

    bind: dict[str, Any] = field(default_factory=dict[str, Any])

    def value(self, value: Any) -> str:
        """Bind a value; return its name in the text."""
        name = f"v{len(self.bind)}"
        self.bind[name] = value
        return f"@{name}"

    def collection(self, name: str) -> str:
        """Bind a collection; return its name in the text."""
        key = f"c{len(self.bind)}"
        self.bind[f"@{key}"] = name
        return f"@@{key}"

    def filters(self, conditions: Iterable[Condition], variable: str) -> str:
        """Return FILTER clauses for conditions on a variable's attributes."""
        found = (
            _OPERATORS[each.operator].format(
                f"{variable}[{self.value(each.property)}]", self.value(each.value)
            )
            for each in conditions
        )
        return " ".join(f"FILTER {condition}" for condition in found)

    def along(self, edges: Sequence[str], direction: Direction, start: str, hops: str) -> str:
        """Return a traversal along edge collections; ``start`` and ``hops`` are text."""
        collections = ", ".join(self.collection(edge) for edge in edges)
        return f"IN 1..{hops} {_DIRECTIONS[direction]} {start} {collections}"

    def involving(self, nodes: Iterable[str]) -> str:
        """Return the WITH clause of node collections a traversal may reach; clusters need it."""
        return f"WITH {', '.join(self.collection(node) for node in nodes)}"
