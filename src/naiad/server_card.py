"""The card of a running server: its addresses and settings, for its user's commands on its host.

It is a JSON file beside the control key (:mod:`naiad.control_key`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from naiad.control_key import Place, key_path, read_private, write_private
from naiad.typed_json import decode


@dataclass(frozen=True, slots=True)
class ServerCard:
    """Description of a server.

    Attributes:
        pid: Triton's process.
        address: the IP address on which it listens.
        ports: for ``HTTP``, ``gRPC``, ``metrics``, ``page``, and those of the gate.
        urls: where clients on this host reach ``gRPC``, ``HTTP``, ``page``, ``metrics`` and
            ``health``, if the server has them.
        metrics_address: the IP address of the metrics.
        health_address: the IP address of the health port.
        model_control: ``none``, ``poll`` or ``explicit``.
        grpc_tls: whether Triton itself encrypts gRPC.
        gate: settings of the gate in front, with paths as text; None without a gate.
        ui: settings of the page and the tasks; None without them.
        history: path of the ring of its last requests, or "".
        python, directory: the server's interpreter and working directory.
        sources: by model that is of a file, how to write it anew: the fields of an
            `naiad.triton.rebuild.Order`.
    """

    pid: int
    address: str
    ports: Mapping[str, int]
    urls: Mapping[str, str]
    metrics_address: str
    health_address: str
    model_control: str
    grpc_tls: bool
    gate: Mapping[str, Any] | None
    ui: Mapping[str, Any] | None = None
    history: str = ""
    python: str = ""
    directory: str = ""
    sources: Mapping[str, Any] = field(default_factory=dict[str, Any])


def publish_card(card: ServerCard, places: Iterable[Place]) -> list[Path]:
    """Write a card to a file for each of the server's addresses; return the files.

    Raises:
        EngineError: a file cannot be written.
    """
    text = json.dumps(asdict(card), default=str)
    return [write_private(card_path(place), text) for place in places]


def find_card(place: Place | None) -> ServerCard | None:
    """Return the card of the server at ``place`` on this host, or None."""
    text = read_private(card_path(place)) if place is not None else None
    try:
        return decode(text, ServerCard) if text else None
    except ValueError:
        return None


def url_of(place: Place | None, use: str) -> str | None:
    """Return the URL for a use, such as ``metrics``, of the server at ``place``, or None."""
    card = find_card(place)
    return card.urls.get(use) if card is not None else None


def card_path(place: Place) -> Path:
    """Return the file that holds the card of the server at ``place``."""
    return key_path(place).with_suffix(".json")
