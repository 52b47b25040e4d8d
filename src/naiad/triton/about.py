"""A server in words, for terminals and notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from naiad.notebook_html import facts


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A server as its ``repr`` and notebooks show it.

    Attributes:
        running: whether it runs; if not, there are no addresses.
        addresses: URL of each protocol, gRPC's and HTTP's first.
        models: names of those that are ready.
        missing: reasons why others are not, by name.
        log: its log.
    """

    running: bool
    addresses: Mapping[str, str]
    models: Sequence[str] = ()
    missing: Mapping[str, str]
    log: Path | None = None

    def __str__(self) -> str:
        """Return the addresses and models in a line."""
        if not self.running:
            return "Server(not running)"
        models = [*self.models, *(f"{name} (not ready)" for name in self.missing)]
        first = [*self.addresses.values()][:2]
        return f"Server({', '.join(first)}; {', '.join(models) or 'no models'})"

    def html(self) -> str:
        """Return the addresses, the state of each model, and the log."""
        log = {"log": str(self.log)} if self.log and self.log.exists() else {}
        if not self.running:
            return facts("Naiad server, not running", log)
        models = [f"{name}: ready" for name in self.models]
        models += [f"{name}: {reason}" for name, reason in self.missing.items()]
        return facts("Naiad server", {**self.addresses, "models": models or "none", **log})
