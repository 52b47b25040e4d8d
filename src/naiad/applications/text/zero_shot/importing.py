"""Conversion of a network on Hugging Face into a folder that Naiad serves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.text.embedding.bert import IDS, KINDS, MASK
from naiad.applications.text.embedding.card import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    TORCH_FILE,
    EncoderCard,
)
from naiad.applications.text.embedding.encoder import Tokenizer, open_network
from naiad.applications.text.embedding.importing import (
    copy_tokenizer,
    find_source,
    import_encoder,
    is_classifier,
    is_gliclass,
    max_positions,
    place_network,
)
from naiad.applications.text.zero_shot.card import TEMPLATE, EntailmentCard, GliclassCard
from naiad.applications.text.zero_shot.gliclass_network import read_config
from naiad.applications.text.zero_shot.question import Question
from naiad.errors import WeightsError
from naiad.weights import file_sha256, read_json

_KIND = "AutoModelForSequenceClassification"


def import_network(
    source: str,
    folder: Path,
    *,
    int8: bool = False,
    template: str | None = None,
    notice: str = "",
    progress: bool = False,
) -> EncoderCard | EntailmentCard | GliclassCard:
    """Convert a sentence encoder, network for entailment or GLiClass to a folder to be served.

    Args:
        source: a folder in Hugging Face's form, or a name there, which is downloaded.
        folder: the folder to write, created if needed.
        int8: for an encoder: compute the matrix products in 8 bits.
        template: for a network for entailment: the hypothesis.
        notice: what every user must know of it.
        progress: show progress bars of downloads.

    Raises:
        WeightsError: no such network, or it cannot be converted.
        MissingExtra: a package that downloads, converts or runs it is not installed.
    """
    found = find_source(source, progress=progress)
    config = read_json(found / CONFIG_FILE, dict[str, Any])
    gliclass = is_gliclass(config)
    if template is not None and not is_classifier(config):
        kind = "GLiClass network" if gliclass else "sentence encoder"
        raise WeightsError(f"{source} is a {kind}, which takes no template")
    if gliclass:
        if int8:
            raise WeightsError(f"{source} is a GLiClass network; int8 is for sentence encoders")
        return import_gliclass(found, folder, name=source, notice=notice)
    if not is_classifier(config):
        return import_encoder(found, folder, name=source, int8=int8, notice=notice)
    if int8:
        raise WeightsError(f"{source} is a classifier; int8 is for sentence encoders")
    return import_entailment(
        found, folder, name=source, template=template or TEMPLATE, notice=notice
    )


def import_gliclass(source: Path, folder: Path, *, name: str, notice: str = "") -> GliclassCard:
    """Copy a GLiClass network to a folder that can be served; try it before writing anything.

    Args:
        source: a folder in Hugging Face's form, with ``config.json``, ``model.safetensors`` and a
            tokenizer.
        folder: the folder to write, created if needed.
        name: name of the network.
        notice: what every user must know of it.

    Raises:
        WeightsError: the source has no such network, or one that Naiad does not run.
        MissingExtra: transformers or torch is not installed.
    """
    from naiad.applications.text.zero_shot.gliclass import Gliclass

    config = read_config(source)
    if not (source / TORCH_FILE).is_file():
        raise WeightsError(f"{source} has no {TORCH_FILE}; no pickle (pytorch_model.bin) is read")
    with tempfile.TemporaryDirectory(prefix="naiad-gliclass-") as scratch:
        draft = Path(scratch)
        for file in (CONFIG_FILE, TORCH_FILE):
            shutil.copyfile(source / file, draft / file)
        copy_tokenizer(source, draft)
        card = GliclassCard(
            name=name,
            file=TORCH_FILE,
            sha256=file_sha256(draft / TORCH_FILE),
            max_tokens=max_positions(source, config.encoder_config),
            notice=notice,
            provenance={"source": name},
        )
        card.save(draft)
        network = Gliclass(draft)
        tokens = network.read(Question(("a text",), ("a label", "another"), "")).tokens
        logits = network.run(tokens.ids, tokens.kinds, tokens.lengths)
        if not np.isfinite(logits).all():
            raise WeightsError(f"{source}: the network returns {logits[0].tolist()} for two labels")
        shutil.copytree(draft, folder, dirs_exist_ok=True)
    return card


def import_entailment(
    source: Path,
    folder: Path,
    *,
    name: str,
    template: str = TEMPLATE,
    notice: str = "",
) -> EntailmentCard:
    """Convert a network to a folder that can be served; try it before writing anything.

    Args:
        source: a folder in Hugging Face's form, with ``config.json``, ``tokenizer.json`` and
            ``onnx/model.onnx`` or ``model.safetensors``.
        folder: the folder to write, created if needed.
        name: name of the network.
        template: the hypothesis; the label replaces ``{}``.
        notice: what every user must know of it.

    Raises:
        WeightsError: the source has no such network.
        MissingExtra: a package that runs it is not installed.
    """
    config = read_json(source / CONFIG_FILE, dict[str, Any])
    classes = _classes(config, source)
    with tempfile.TemporaryDirectory(prefix="naiad-entailment-") as scratch:
        draft = Path(scratch)
        file = place_network(source, draft, _KIND)
        copy_tokenizer(source, draft)
        card = EntailmentCard(
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
        _try_out(draft, card, len(classes))
        card.save(draft)
        shutil.copytree(draft, folder, dirs_exist_ok=True)
    return card


def _classes(config: Mapping[str, Any], source: Path) -> dict[str, int]:
    """Return the index of each of the network's classes, by name."""
    classes = config.get("label2id")
    try:
        return {str(name).lower(): int(place) for name, place in dict(classes or {}).items()}
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{source / CONFIG_FILE}: label2id is {classes!r}") from error


def _place(classes: Mapping[str, int], wanted: str, source: Path) -> int:
    found = [place for name, place in classes.items() if name.startswith(wanted)]
    if len(found) != 1:
        raise WeightsError(
            f"{source} is not a network for entailment: its classes are "
            f"{', '.join(classes) or 'not named'}; there must be entailment and contradiction"
        )
    return found[0]


def _try_out(folder: Path, card: EntailmentCard, classes: int) -> None:
    tokens = Tokenizer(folder / TOKENIZER_FILE, card.max_tokens)([("a text", "a label")])
    ids, kinds = (array[None].astype(np.int64) for array in (tokens.ids, tokens.kinds))
    network = open_network(folder, card.file, "cpu", _KIND)
    logits = network({IDS: ids, KINDS: kinds, MASK: np.ones_like(ids)})
    if logits.shape != (1, classes):
        raise WeightsError(
            f"the network returns numbers of shape {list(logits.shape)} for a pair of texts; it "
            f"must return one for each of its {classes} classes"
        )
