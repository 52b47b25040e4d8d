"""AQL, the language of ArangoDB: texts of queries, and their bind variables.

Everything that comes from outside is a bind variable: values as ``@name``, attribute names as
``n[@name]``, collections as ``@@name``. The texts are made of this module's own words alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from naiad.applications.store.base import Direction
from naiad.applications.store.filters import Condition

# In AQL null is less than everything, and so unlike everything too; here it is neither.
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
    """A text and its bind variables, which are added while it is put together."""

    bind: dict[str, Any] = field(default_factory=dict[str, Any])

    def value(self, value: Any) -> str:
        """A value, as the text has it."""
        name = f"v{len(self.bind)}"
        self.bind[name] = value
        return f"@{name}"

    def collection(self, name: str) -> str:
        """A collection, as the text has it."""
        key = f"c{len(self.bind)}"
        self.bind[f"@{key}"] = name
        return f"@@{key}"

    def filters(self, conditions: Iterable[Condition], variable: str) -> str:
        """FILTER lines for conditions on a variable's attributes."""
        found = (
            _OPERATORS[each.operator].format(
                f"{variable}[{self.value(each.property)}]", self.value(each.value)
            )
            for each in conditions
        )
        return " ".join(f"FILTER {condition}" for condition in found)

    def along(self, edges: Sequence[str], direction: Direction, start: str, hops: str) -> str:
        """A traversal from ``start``, both as the text has them, along collections of edges."""
        collections = ", ".join(self.collection(edge) for edge in edges)
        return f"IN 1..{hops} {_DIRECTIONS[direction]} {start} {collections}"

    def involving(self, nodes: Iterable[str]) -> str:
        """The collections of nodes that a traversal may come to, which a cluster wants to know."""
        return f"WITH {', '.join(self.collection(node) for node in nodes)}"
