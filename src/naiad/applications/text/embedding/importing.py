"""From a folder as Hugging Face has them, or a name there, to one that Naiad serves."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from naiad.applications.text.embedding.bert import IDS, KINDS, MASK, BertConfig, write_bert
from naiad.applications.text.embedding.encoder import Tokenizer, open_network
from naiad.applications.text.embedding.facts import (
    CONFIG_FILE,
    ONNX_FILE,
    TOKENIZER_FILE,
    TORCH_FILE,
    EncoderFacts,
    Pooling,
)
from naiad.applications.text.embedding.networks import (
    EXTRA,
    TORCH_EXTRA,
    load_transformers,
    need,
)
from naiad.applications.text.embedding.packaged import NAME, ORIGIN, SHA256, packaged
from naiad.artifacts import cache_directory
from naiad.errors import WeightsError
from naiad.weights import FACTS_FILE, check_file, file_sha256, read_facts

_REVISION: Final = 1
"""Of what is written: raised when it changes, so that nothing older in the cache is used."""

_WANTED: Final = ("*.json", "*.txt", "*.model", "model*.safetensors", "onnx/model.onnx")
_TRIAL: Final = "a heist in space"
_LONGEST: Final = 512  # tokens, where nothing says how many an encoder reads


def served_folder(given: Path | None) -> Path:
    """The folder to serve an encoder from: ``given``, or what is made of it, or the default one.

    What is made is kept in Naiad's cache, so it is made once.

    Raises:
        WeightsError: the folder holds no encoder, or the default one is not installed.
        MissingExtra: what makes or runs it is not installed.
    """
    if given is not None and (not given.is_dir() or (given / FACTS_FILE).is_file()):
        return given
    source = packaged() if given is None else given
    weights = source / TORCH_FILE
    digest = file_sha256(weights) if weights.is_file() else ""
    if given is None and digest != SHA256:
        raise WeightsError(f"{weights}: its sha256 is {digest}; that of {NAME} is {SHA256}")
    if not digest:  # another kind of network, which need not be small: no cache for it
        raise WeightsError(
            f"{source} has neither {FACTS_FILE} nor {TORCH_FILE}; make a folder of it that can be "
            f"served: naiad weights import zero_shot {source} -o encoder/"
        )
    name = NAME if given is None else given.resolve().name
    folder = cache_directory() / "encoders" / f"{name}-{_identity(source, digest)}-{_REVISION}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as scratch:
            made = Path(scratch) / "encoder"
            import_encoder(source, made, name=name, origin=ORIGIN if given is None else "")
            try:
                made.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was first
                    raise
    return folder


def _identity(source: Path, digest: str) -> str:
    """Tells apart what is made of a folder whose network has that sha256: the rest of what is read
    are JSON files.
    """
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
) -> EncoderFacts:
    """Make a folder of an encoder, ready to be served; it is tried before anything is kept.

    Args:
        source: a folder as Hugging Face has them: ``config.json``, ``tokenizer.json`` and
            ``model.safetensors`` or ``onnx/model.onnx``; with ``modules.json`` and what that names
            where it is of sentence-transformers.
        folder: where to write; made if need be.
        name: what the encoder is called.
        origin: where it comes from; by default its name.
        int8: compute the matrix products with whole numbers of 8 bits, scaled per channel.
        notice: what every user must know of it.

    Raises:
        WeightsError: the source holds no encoder, or it cannot be written so.
        MissingExtra: what makes or runs it is not installed.
    """
    config = read_json(source / CONFIG_FILE)
    if is_classifier(config):
        raise WeightsError(
            f"{source} is a network that classifies, no encoder; if it is one for entailment: "
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
        facts = EncoderFacts(
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
        )
        (draft / FACTS_FILE).write_text(facts.to_json(), "utf-8")
        shutil.copytree(draft, folder, dirs_exist_ok=True)
    return facts


def find_source(source: str, *, progress: bool = False) -> Path:
    """The folder of an encoder: ``source`` itself, or downloaded from Hugging Face by that name.

    Raises:
        WeightsError: there is no such folder, and it cannot be downloaded.
        MissingExtra: what downloads it is not installed.
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
    except Exception as error:  # of the hub's own, of its HTTP client's, and ValueError
        raise WeightsError(
            f"{source} is no folder, and could not be downloaded from Hugging Face: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON file with an object in it.

    Raises:
        WeightsError: it is none, or cannot be read.
    """
    try:
        value = json.loads(read_facts(path))
    except (WeightsError, ValueError) as error:
        raise WeightsError(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path} must hold a JSON object")
    return cast(dict[str, Any], value)


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Put a ``tokenizer.json`` into ``folder``; made by transformers where there is none.

    Raises:
        WeightsError: there is no tokenizer either.
        MissingExtra: one must be made, and transformers is not installed.
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
        raise WeightsError(f"{source} has no tokenizer that can be used: {error}") from error


def place_network(source: Path, folder: Path, kind: str) -> str:
    """Put a network into ``folder``: the ONNX file beside it, or else as transformers saves it.

    Args:
        source: a folder as Hugging Face has them.
        folder: where to write.
        kind: transformers' auto class, such as ``AutoModel``.

    Returns:
        the name of its file.

    Raises:
        WeightsError: the folder holds no network that the library knows.
        MissingExtra: the library is needed, and not installed.
    """
    for file in (source / "onnx" / ONNX_FILE, source / ONNX_FILE):
        if file.is_file():
            shutil.copyfile(file, folder / ONNX_FILE)
            return ONNX_FILE
    load_transformers(source, kind).save_pretrained(folder)
    return TORCH_FILE


def is_classifier(config: Mapping[str, Any]) -> bool:
    """Whether a ``config.json`` is of a network that classifies texts or pairs of them."""
    kinds = config.get("architectures") or []
    return any(str(kind).endswith("ForSequenceClassification") for kind in kinds)


def max_positions(source: Path, config: Mapping[str, Any]) -> int:
    """How many tokens the network in a folder can read, by its ``config.json`` and its tokenizer's.

    RoBERTa and its kin have places that are never used; their tokenizers know.
    """
    path = source / "tokenizer_config.json"
    told = read_json(path).get("model_max_length") if path.is_file() else None
    longest = config.get("max_position_embeddings")
    return min(int(length or _LONGEST) for length in (told, longest))


def _write_network(source: Path, config: Mapping[str, Any], folder: Path) -> str:
    """Write the network, in the fastest form it can be had; the name of its file."""
    bert = BertConfig.of(config)
    if bert is not None and (source / TORCH_FILE).is_file():
        library = need("safetensors.numpy", EXTRA)
        write_bert(bert, library.load_file(source / TORCH_FILE), folder / ONNX_FILE)
        return ONNX_FILE
    return place_network(source, folder, "AutoModel")


def _quantise(file: Path) -> None:
    if file.name != ONNX_FILE:
        raise WeightsError(
            "int8 is for encoders in ONNX, and this one is run by torch; bring it with its "
            "onnx/model.onnx"
        )
    library = need("onnxruntime.quantization", EXTRA)
    onnx = need("onnx", EXTRA)
    draft = file.with_suffix(".int8")
    logging.disable(logging.WARNING)  # it advises a preparation that changes nothing here
    try:
        library.quantize_dynamic(
            file,
            draft,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=library.QuantType.QInt8,
            # What follows attention, an operator of onnxruntime's own, has no dtype by inference.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    finally:
        logging.disable(logging.NOTSET)
    draft.replace(file)


def _max_tokens(source: Path, config: Mapping[str, Any]) -> int:
    path = source / "sentence_bert_config.json"
    wanted = read_json(path).get("max_seq_length") if path.is_file() else None
    return min(int(wanted or _LONGEST), max_positions(source, config))


def _modules(source: Path) -> tuple[Pooling, bool]:
    """How vectors of tokens become one, and whether that is scaled to length 1, as the files of
    sentence-transformers say; without them, the mean, scaled.
    """
    path = source / "modules.json"
    if not path.is_file():
        return "mean", True
    try:
        modules = [(str(m["type"]), str(m["path"])) for m in json.loads(read_facts(path))]
    except (WeightsError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: {error}") from error
    pooling: Pooling = "mean"
    normalise = False
    for kind, where in modules:
        kind = kind.rpartition(".")[2]
        if kind == "Pooling":
            pooling = _pooling(read_json(source / Path(where).name / CONFIG_FILE), source)
        elif kind == "Normalize":
            normalise = True
        elif kind != "Transformer":
            raise WeightsError(f"{path} has a module {kind}, which Naiad does not know")
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
        raise WeightsError(f"{source} pools by {', '.join(chosen)}; Naiad knows one of {known}")
    return modes[chosen[0]]


def _try_out(folder: Path, file: str, longest: int) -> int:
    """The dimension of the vectors that it gives of a text."""
    tokens = Tokenizer(folder / TOKENIZER_FILE, longest)([_TRIAL])
    ids = tokens.ids[None].astype(np.int64)
    given = {IDS: ids, MASK: np.ones_like(ids), KINDS: np.zeros_like(ids)}
    states = open_network(folder, file, "cpu")(given)
    if states.ndim != 3 or states.shape[:2] != ids.shape:
        raise WeightsError(
            f"the network gives numbers of shape {list(states.shape)} for tokens of shape "
            f"{list(ids.shape)}; it must give one vector for each"
        )
    return int(states.shape[2])
