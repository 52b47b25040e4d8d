"""Conversion of a sentence encoder on Hugging Face into a folder that Naiad serves."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from naiad.applications.text.embedding.bert import IDS, KINDS, MASK, BertConfig, write_bert
from naiad.applications.text.embedding.card import (
    CONFIG_FILE,
    ONNX_FILE,
    TOKENIZER_FILE,
    TORCH_FILE,
    EncoderCard,
    Pooling,
)
from naiad.applications.text.embedding.encoder import Tokenizer, open_network
from naiad.applications.text.embedding.networks import (
    EXTRA,
    TORCH_EXTRA,
    load_transformers,
    need,
)
from naiad.applications.text.embedding.packaged import ABOUT, NAME, ORIGIN, SHA256, packaged
from naiad.artifacts import cache_directory
from naiad.card import About
from naiad.errors import WeightsError
from naiad.weights import CARD_FILE, check_file, file_sha256, read_json

_REVISION: Final = 2
"""Revision of written folders; raising it makes older ones in the cache unused."""

_WANTED: Final = ("*.json", "*.txt", "*.model", "model*.safetensors", "onnx/model.onnx")
_TRIAL: Final = "a heist in space"
_LONGEST: Final = 512  # tokens that an encoder reads, where its files do not say


class _Module(msgspec.Struct):
    """A module of a sentence-transformers model, in ``modules.json``."""

    type: str
    path: str


def served_folder(given: Path | None) -> Path:
    """Return the folder to serve an encoder from: ``given``, its conversion, or the default one.

    A conversion is kept in Naiad's cache and made only once.

    Raises:
        WeightsError: the folder has no encoder, or the default one is not installed.
        MissingExtra: a package that converts or runs it is not installed.
    """
    if given is not None and (not given.is_dir() or (given / CARD_FILE).is_file()):
        return given
    source = packaged() if given is None else given
    weights = source / TORCH_FILE
    digest = file_sha256(weights) if weights.is_file() else ""
    if given is None and digest != SHA256:
        raise WeightsError(f"{weights}: its sha256 is {digest}; that of {NAME} is {SHA256}")
    if not digest:  # another kind of network, perhaps a large one, which is not cached
        raise WeightsError(
            f"{source} has neither {CARD_FILE} nor {TORCH_FILE}; convert it to a folder that can "
            f"be served: naiad weights import zero_shot {source} -o encoder/"
        )
    name = NAME if given is None else given.resolve().name
    folder = cache_directory() / "encoders" / f"{name}-{_identity(source, digest)}-{_REVISION}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as scratch:
            made = Path(scratch) / "encoder"
            about, origin = (ABOUT, ORIGIN) if given is None else (About(), "")
            import_encoder(source, made, name=name, origin=origin, about=about)
            try:
                made.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was first
                    raise
    return folder


def _identity(source: Path, digest: str) -> str:
    """Return a digest of a source folder: of its network's sha256 and its JSON files."""
    digests = [digest, *(file_sha256(path) for path in sorted(source.rglob("*.json")))]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:12]


def import_encoder(
    source: Path,
    folder: Path,
    *,
    name: str,
    origin: str = "",
    int8: bool = False,
    notice: str = "",
    about: About = About(),
) -> EncoderCard:
    """Convert an encoder to a folder that can be served; try it before writing anything.

    Args:
        source: a folder in Hugging Face's form: ``config.json``, ``tokenizer.json`` and
            ``model.safetensors`` or ``onnx/model.onnx``; one of sentence-transformers also has
            ``modules.json`` and the files it names.
        folder: the folder to write, created if needed.
        name: name of the encoder.
        origin: its origin; by default its name.
        int8: compute the matrix products in 8-bit integers, scaled per channel.
        notice: what every user must know of it.
        about: its licence, data and use.

    Raises:
        WeightsError: the source has no encoder, or it cannot be converted.
        MissingExtra: a package that converts or runs it is not installed.
    """
    config = read_json(source / CONFIG_FILE, dict[str, Any])
    if is_classifier(config) or is_gliclass(config):
        raise WeightsError(
            f"{source} is a classifier, not an encoder; if it is for entailment, or a GLiClass: "
            f"naiad weights import zero_shot {source} -o classifier/"
        )
    with tempfile.TemporaryDirectory(prefix="naiad-encoder-") as scratch:
        draft = Path(scratch)
        file = _write_network(source, config, draft)
        if int8:
            _quantise(draft / file)
        copy_tokenizer(source, draft)
        longest = _max_tokens(source, config)
        pooling, normalise = _modules(source)
        card = EncoderCard(
            name=name,
            file=file,
            sha256=file_sha256(draft / file),
            dimension=_try_out(draft, file, longest),
            max_tokens=longest,
            pooling=pooling,
            normalise=normalise,
            precision="int8" if int8 else "fp32",
            notice=notice,
            provenance={"source": origin or name},
            about=about,
        )
        card.save(draft)
        shutil.copytree(draft, folder, dirs_exist_ok=True)
    return card


def find_source(source: str, *, progress: bool = False) -> Path:
    """Return the folder of an encoder: ``source``, or the download of that name on Hugging Face.

    Raises:
        WeightsError: no such folder, and it cannot be downloaded.
        MissingExtra: the package that downloads it is not installed.
    """
    if source == NAME:
        check_file(packaged() / TORCH_FILE, SHA256)
        return packaged()
    if Path(source).is_dir():
        return Path(source)
    hub = need("huggingface_hub", TORCH_EXTRA)
    if not progress:
        hub.utils.disable_progress_bars()
    try:
        return Path(hub.snapshot_download(source, allow_patterns=list(_WANTED)))
    except Exception as error:  # the hub's, its HTTP client's, and ValueError
        raise WeightsError(
            f"{source} is not a folder, and could not be downloaded from Hugging Face: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy ``tokenizer.json`` into ``folder``, or let transformers convert another tokenizer.

    Raises:
        WeightsError: the source has no tokenizer.
        MissingExtra: the tokenizer must be converted, and transformers is not installed.
    """
    if (source / TOKENIZER_FILE).is_file():
        shutil.copyfile(source / TOKENIZER_FILE, folder / TOKENIZER_FILE)
        return
    library = need("transformers", TORCH_EXTRA)
    try:
        made = library.AutoTokenizer.from_pretrained(
            source, local_files_only=True, trust_remote_code=False, use_fast=True
        )
        made.backend_tokenizer.save(str(folder / TOKENIZER_FILE))
    except (AttributeError, OSError, ValueError) as error:
        raise WeightsError(f"{source} has no usable tokenizer: {error}") from error


def place_network(source: Path, folder: Path, kind: str) -> str:
    """Copy a network's ONNX file into ``folder``, or else let transformers save the network.

    Args:
        source: a folder in Hugging Face's form.
        folder: the folder to write to.
        kind: transformers' auto class, such as ``AutoModel``.

    Returns:
        The name of its file.

    Raises:
        WeightsError: the source has no network that the library knows.
        MissingExtra: the library is needed and not installed.
    """
    for file in (source / "onnx" / ONNX_FILE, source / ONNX_FILE):
        if file.is_file():
            shutil.copyfile(file, folder / ONNX_FILE)
            return ONNX_FILE
    load_transformers(source, kind).save_pretrained(folder)
    return TORCH_FILE


def is_classifier(config: Mapping[str, Any]) -> bool:
    """Return True if a ``config.json`` is that of a classifier of texts or of pairs of texts."""
    kinds = config.get("architectures") or []
    return any(str(kind).endswith("ForSequenceClassification") for kind in kinds)


def is_gliclass(config: Mapping[str, Any]) -> bool:
    """Return True if a ``config.json`` is that of a GLiClass network."""
    return str(config.get("model_type")).lower() == "gliclass"


def max_positions(source: Path, config: Mapping[str, Any]) -> int:
    """Return the number of tokens that a network reads, by its and its tokenizer's config.

    RoBERTa and similar networks have positions that are never used, which only the tokenizer's
    config tells.
    """
    path = source / "tokenizer_config.json"
    told = read_json(path, dict[str, Any]).get("model_max_length") if path.is_file() else None
    longest = config.get("max_position_embeddings")
    return min(int(length or _LONGEST) for length in (told, longest))


def _write_network(source: Path, config: Mapping[str, Any], folder: Path) -> str:
    """Write the network in the fastest form available; return the name of its file."""
    bert = BertConfig.of(config)
    if bert is not None and (source / TORCH_FILE).is_file():
        library = need("safetensors.numpy", EXTRA)
        write_bert(bert, library.load_file(source / TORCH_FILE), folder / ONNX_FILE)
        return ONNX_FILE
    return place_network(source, folder, "AutoModel")


def _quantise(file: Path) -> None:
    if file.name != ONNX_FILE:
        raise WeightsError(
            "int8 is for encoders in ONNX, and this one runs in torch; import it with its "
            "onnx/model.onnx"
        )
    library = need("onnxruntime.quantization", EXTRA)
    onnx = need("onnx", EXTRA)
    draft = file.with_suffix(".int8")
    logging.disable(logging.WARNING)  # it advises a preparation without effect here
    try:
        library.quantize_dynamic(
            file,
            draft,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=library.QuantType.QInt8,
            # No dtype is inferred after Attention, an operator of onnxruntime.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        logging.disable(logging.NOTSET)
    draft.replace(file)


def _max_tokens(source: Path, config: Mapping[str, Any]) -> int:
    path = source / "sentence_bert_config.json"
    wanted = read_json(path, dict[str, Any]).get("max_seq_length") if path.is_file() else None
    return min(int(wanted or _LONGEST), max_positions(source, config))


def _modules(source: Path) -> tuple[Pooling, bool]:
    """Return the pooling and normalisation of sentence-transformers; by default mean and True."""
    path = source / "modules.json"
    if not path.is_file():
        return "mean", True
    pooling: Pooling = "mean"
    normalise = False
    for module in read_json(path, list[_Module]):
        kind = module.type.rpartition(".")[2]
        if kind == "Pooling":
            config = source / Path(module.path).name / CONFIG_FILE
            pooling = _pooling(read_json(config, dict[str, Any]), source)
        elif kind == "Normalize":
            normalise = True
        elif kind != "Transformer":
            raise WeightsError(f"{path} has a module {kind}, which Naiad does not support")
    return pooling, normalise


def _pooling(config: Mapping[str, Any], source: Path) -> Pooling:
    modes: dict[str, Pooling] = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
    }
    chosen = [name for name, on in config.items() if name.startswith("pooling_mode") and on is True]
    if len(chosen) != 1 or chosen[0] not in modes:
        known = ", ".join(modes.values())
        raise WeightsError(f"{source} pools by {', '.join(chosen)}; Naiad supports one of {known}")
    return modes[chosen[0]]


def _try_out(folder: Path, file: str, longest: int) -> int:
    """Return the dimension of an encoder's vectors, by encoding a text."""
    tokens = Tokenizer(folder / TOKENIZER_FILE, longest)([_TRIAL])
    ids = tokens.ids[None].astype(np.int64)
    given = {IDS: ids, MASK: np.ones_like(ids), KINDS: np.zeros_like(ids)}
    states = open_network(folder, file, "cpu")(given)
    if states.ndim != 3 or states.shape[:2] != ids.shape:
        raise WeightsError(
            f"the network returns numbers of shape {list(states.shape)} for tokens of shape "
            f"{list(ids.shape)}; it must return one vector per token"
        )
    return int(states.shape[2])
