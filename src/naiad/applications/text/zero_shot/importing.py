"""From networks as Hugging Face has them to a folder that Naiad serves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.text.embedding.bert import IDS, KINDS, MASK
from naiad.applications.text.embedding.encoder import Tokenizer, open_network
from naiad.applications.text.embedding.facts import CONFIG_FILE, TOKENIZER_FILE, EncoderFacts
from naiad.applications.text.embedding.importing import (
    copy_tokenizer,
    find_source,
    import_encoder,
    is_classifier,
    max_positions,
    place_network,
    read_json,
)
from naiad.applications.text.zero_shot.facts import TEMPLATE, EntailmentFacts
from naiad.errors import WeightsError
from naiad.weights import FACTS_FILE, file_sha256

_KIND = "AutoModelForSequenceClassification"


def import_network(
    source: str,
    folder: Path,
    *,
    int8: bool = False,
    template: str | None = None,
    notice: str = "",
    progress: bool = False,
) -> EncoderFacts | EntailmentFacts:
    """Make a folder of a sentence encoder or of a network for entailment.

    Args:
        source: a folder as Hugging Face has them, or a name there, which is downloaded.
        folder: where to write; made if need be.
        int8: of an encoder, compute the matrix products in 8 bits.
        template: of a network for entailment, the hypothesis.
        notice: what every user must know of it.
        progress: show progress bars of downloads.

    Raises:
        WeightsError: there is no such network, or it cannot be had so.
        MissingExtra: what downloads, makes or runs it is not installed.
    """
    found = find_source(source, progress=progress)
    if not is_classifier(read_json(found / CONFIG_FILE)):
        if template is not None:
            raise WeightsError(f"{source} is a sentence encoder, which has no template of its own")
        return import_encoder(found, folder, name=source, int8=int8, notice=notice)
    if int8:
        raise WeightsError(f"{source} is a network that classifies; int8 is for sentence encoders")
    return import_entailment(
        found, folder, name=source, template=template or TEMPLATE, notice=notice
    )


def import_entailment(
    source: Path,
    folder: Path,
    *,
    name: str,
    template: str = TEMPLATE,
    notice: str = "",
) -> EntailmentFacts:
    """Make a folder of a network, ready to be served; it is tried before anything is kept.

    Args:
        source: a folder as Hugging Face has them, with ``config.json``, ``tokenizer.json`` and
            ``onnx/model.onnx`` or ``model.safetensors``.
        folder: where to write; made if need be.
        name: what the network is called.
        template: the hypothesis made of a label, which takes the place of ``{}``.
        notice: what every user must know of it.

    Raises:
        WeightsError: the source holds no such network.
        MissingExtra: what runs it is not installed.
    """
    config = read_json(source / CONFIG_FILE)
    classes = _classes(config, source)
    with tempfile.TemporaryDirectory(prefix="naiad-entailment-") as scratch:
        draft = Path(scratch)
        file = place_network(source, draft, _KIND)
        copy_tokenizer(source, draft)
        facts = EntailmentFacts(
            name=name,
            file=file,
            sha256=file_sha256(draft / file),
            max_tokens=max_positions(source, config),
            entailment=_place(classes, "entail", source),
            contradiction=_place(classes, "contradict", source),
            template=template,
            notice=notice,
            provenance={"source": name},
        )
        _try_out(draft, facts, len(classes))
        (draft / FACTS_FILE).write_text(facts.to_json(), "utf-8")
        shutil.copytree(draft, folder, dirs_exist_ok=True)
    return facts


def _classes(config: Mapping[str, Any], source: Path) -> dict[str, int]:
    """The place of each of the network's classes, by its name."""
    classes = config.get("label2id")
    try:
        return {str(name).lower(): int(place) for name, place in dict(classes or {}).items()}
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{source / CONFIG_FILE}: label2id is {classes!r}") from error


def _place(classes: Mapping[str, int], wanted: str, source: Path) -> int:
    found = [place for name, place in classes.items() if name.startswith(wanted)]
    if len(found) != 1:
        raise WeightsError(
            f"{source} is no network for entailment: its classes are "
            f"{', '.join(classes) or 'not named'}; there must be entailment and contradiction"
        )
    return found[0]


def _try_out(folder: Path, facts: EntailmentFacts, classes: int) -> None:
    tokens = Tokenizer(folder / TOKENIZER_FILE, facts.max_tokens)([("a text", "a label")])
    ids, kinds = (array[None].astype(np.int64) for array in (tokens.ids, tokens.kinds))
    network = open_network(folder, facts.file, "cpu", _KIND)
    logits = network({IDS: ids, KINDS: kinds, MASK: np.ones_like(ids)})
    if logits.shape != (1, classes):
        raise WeightsError(
            f"the network gives numbers of shape {list(logits.shape)} for a pair of texts; it "
            f"must give one for each of its {classes} classes"
        )
