"""The notice of a served model."""

from __future__ import annotations

from naiad.client.spec import card_of
from naiad.client.transport import Json


def notice_of(config: Json) -> str:
    """Return the notice in the configuration of a model that Naiad serves, or ""."""
    return card_of(config).get("notice", "")
