"""Model cards in the layout of the Hugging Face hub: ``README.md`` with YAML before the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from naiad.card import FORMAT, Evaluation, ModelCard, read_card
from naiad.errors import InvalidInput
from naiad.typed_json import decode
from naiad.weights import CARD_FILE

Json = dict[str, Any]

_NOT_STATED: Final = "Not stated."
_DATA_TYPES: Final = {True: "simulated", False: "other"}


class _AnyCard(ModelCard, frozen=True, kw_only=True):
    """What the cards of some applications also say."""

    trained_on: str = ""
    metrics: Mapping[str, Any] = {}


def model_card(folder: Path, name: str, application: str = "") -> str:
    """Return the model card of a folder of weights as the Hugging Face hub has it.

    Facts that the folder's card lacks are said not to be stated, or left out of the YAML.

    Args:
        folder: of the weights.
        name: of the model.
        application: by which ``naiad serve`` runs it; "" if not known.

    Raises:
        WeightsError: the folder has no valid card.
    """
    card = read_card(folder, _AnyCard)
    import yaml

    front = yaml.safe_dump(
        _front(card, name, application), sort_keys=False, allow_unicode=True, width=100
    )
    return f"---\n{front}---\n\n{_text(card, name, application)}"


CARD_PARAMETER: Final = "model_card"
"""Parameter of an exported model: the card of its weights, as JSON."""


def card_json(folder: Path | None) -> str | None:
    """Return the card of weights as a server tells it to clients; None if they have none.

    Raises:
        WeightsError: the card is not valid.
    """
    if folder is None or not (folder / CARD_FILE).is_file():
        return None
    return msgspec.json.encode(read_card(folder, _AnyCard)).decode()


def card_text(told: str, name: str, application: str = "") -> str:
    """Return the text of the model card that a server tells, as :func:`model_card` without YAML.

    Raises:
        InvalidInput: ``told`` is no card.
    """
    try:
        card = decode(told, _AnyCard, version=FORMAT)
    except ValueError as error:
        raise InvalidInput(f"{name} has no valid {CARD_PARAMETER}: {error}") from None
    return _text(card, name, application)


def _text(card: _AnyCard, name: str, application: str) -> str:
    return "\n\n".join(_body(card, name, application)) + "\n"


def _front(card: ModelCard, name: str, application: str) -> Json:
    """Return the fields before the text, which the hub reads."""
    about = card.about
    tags = ["naiad", "triton", *([application] if application else [])]
    if about.simulated:
        tags.append("simulated-data")
    front: Json = {"library_name": "naiad", "tags": list(dict.fromkeys(tags))}
    if about.license:
        front = {"license": about.license.lower(), **front}
    if about.task:
        front["pipeline_tag"] = about.task
    if about.datasets:
        front["datasets"] = list(about.datasets)
    if card.evaluations:
        front["metrics"] = list(dict.fromkeys(one.kind for one in card.evaluations))
        front["model-index"] = [{"name": name, "results": _results(card)}]
    return front


def _results(card: ModelCard) -> list[Json]:
    parts: dict[tuple[str, str], list[Evaluation]] = {}
    for one in card.evaluations:
        parts.setdefault((one.data, one.split), []).append(one)
    return [
        {
            "task": {"type": card.about.task or "other"},
            "dataset": {
                "name": data,
                "type": _DATA_TYPES[card.about.simulated],
                "split": split,
            },
            "metrics": [
                {"type": one.kind, "name": _named(one), "value": one.value} for one in measured
            ],
        }
        for (data, split), measured in parts.items()
    ]


def _body(card: _AnyCard, name: str, application: str) -> Iterator[str]:
    about = card.about
    yield f"# {name}"
    if card.notice:
        yield f"> **{card.notice[0].upper()}{card.notice[1:]}.**"
    yield f"## Intended use\n\n{about.use or _NOT_STATED}"
    yield f"## Not for\n\n{about.misuse or _NOT_STATED}"
    data = about.data or card.trained_on or _NOT_STATED
    if about.simulated:
        data += "\n\nThe data is simulated: the metrics say nothing of the quality on real data."
    yield f"## Training data\n\n{data}"
    yield f"## Evaluation\n\n{_table(card)}"
    yield f"## Licence\n\n{about.license or _NOT_STATED}"
    if application:
        yield f"## Use\n\n```bash\nnaiad serve {application} --weights DIR\n```"
    facts = {"sha256": card.sha256, **card.provenance}
    lines = [f"- {key.replace('_', ' ')}: `{value}`" for key, value in facts.items() if value]
    yield "## Provenance\n\n" + ("\n".join(lines) or _NOT_STATED)
    made = ", ".join(f"{package} {version}" for package, version in card.versions.items())
    yield f"## Versions\n\nMade with: {made or 'not recorded'}. Format of the card: {FORMAT}."


def _table(card: _AnyCard) -> str:
    if card.evaluations:
        head = "| metric | value | split | data | units |\n|---|---|---|---|---|\n"
        return head + "\n".join(
            f"| {_cell(one.name)} | {one.value:g}{one.unit and ' ' + _cell(one.unit)} "
            f"| {_cell(one.split)} | {_cell(one.data)} | {f'{one.count:,}' if one.count else ''} |"
            for one in card.evaluations
        )
    if not card.metrics:
        return _NOT_STATED
    lines = "\n".join(f"- {key}: {value}" for key, value in card.metrics.items())
    return f"{lines}\n\nOn which part of the data is not stated."


def _cell(text: str) -> str:
    """Return text for a cell of a table in Markdown."""
    return " ".join(text.replace("|", "\\|").split())


def _named(one: Evaluation) -> str:
    return f"{one.name} ({one.unit})" if one.unit else one.name
