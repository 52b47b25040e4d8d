"""The model card: ``weights.json``, which describes the network in the file beside it.

Each application has its own kind of card, with more fields than :class:`ModelCard`. Reading one
needs neither torch nor safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from naiad.errors import WeightsError
from naiad.files import write_whole
from naiad.typed_json import decode
from naiad.weights import CARD_FILE, TENSORS_FILE, pack, read_text

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self

FORMAT: Final = 1

Card = TypeVar("Card", bound="ModelCard")


class ModelCard(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag=FORMAT):
    """The fields that every card has.

    Attributes:
        notice: what every user of the network must know.
        provenance: its origin, in free words.
        sha256: of the network's file; set when the network is saved.
    """

    notice: str = ""
    provenance: Mapping[str, str] = {}
    sha256: str = ""

    def to_json(self) -> str:
        """Return the text of ``weights.json``."""
        return json.dumps(msgspec.to_builtins(self), indent=2) + "\n"

    def save(self, folder: Path) -> None:
        """Write the card to a folder."""
        write_whole(folder / CARD_FILE, self.to_json().encode())

    def save_with(self, network: torch.nn.Module, folder: Path) -> Self:
        """Write a network and its card to a folder, which is created if needed.

        Returns:
            The card as written, with the sha256 of the network's file.
        """
        data, sha256 = pack(network)
        card = msgspec.structs.replace(self, sha256=sha256)
        write_whole(folder / TENSORS_FILE, data)
        card.save(folder)
        return card


def read_card(folder: Path, kind: type[Card]) -> Card:
    """Read the card in a folder; as a plain :class:`ModelCard`, that of any application.

    Raises:
        WeightsError: the card is missing or of another kind; names the file and the field.
    """
    path = folder / CARD_FILE
    text = read_text(path)
    try:
        return decode(text, kind, version=FORMAT)
    except ValueError as error:
        raise WeightsError(f"{path}: not a valid {kind.__name__}: {error}") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
