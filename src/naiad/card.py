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


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A measured quality.

    Attributes:
        name: of the metric, such as ``semantic accuracy``.
        value: of the metric.
        kind: of the metric, as Hugging Face names it: ``accuracy``.
        unit: physical unit of the value; "" for a number.
        split: part of the data: ``test``, ``validation``.
        data: the data, in words.
        count: number of units in the part; 0 if unknown.
    """

    name: str
    value: float
    kind: str = "accuracy"
    unit: str = ""
    split: str
    data: str
    count: int = 0


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts about a network for those who decide whether to use it; "" if not stated.

    Attributes:
        license: of the weights, by its SPDX identifier, such as ``Apache-2.0``.
        data: that it was trained on, in a sentence or two.
        datasets: their names on the Hugging Face hub.
        simulated: whether the data is simulated, and says nothing of the quality on real data.
        task: as the Hugging Face hub names tasks, such as ``image-classification``.
        use: what it is for.
        misuse: what it is not for.
    """

    license: str = ""
    data: str = ""
    datasets: tuple[str, ...] = ()
    simulated: bool = False
    task: str = ""
    use: str = ""
    misuse: str = ""


class ModelCard(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag=FORMAT):
    """The fields that every card has.

    Attributes:
        notice: what every user of the network must know.
        provenance: its origin, in free words.
        about: its licence, data and use.
        evaluations: measured quality.
        versions: of the packages by which it was made; set when the network is saved.
        sha256: of the network's file; set when the network is saved.
    """

    notice: str = ""
    provenance: Mapping[str, str] = {}
    about: About = About()
    evaluations: tuple[Evaluation, ...] = ()
    versions: Mapping[str, str] = {}
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
        import torch

        from naiad import __version__

        data, sha256 = pack(network)
        versions = {"naiad": __version__, "torch": str(torch.__version__)}
        card = msgspec.structs.replace(self, sha256=sha256, versions=versions)
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
