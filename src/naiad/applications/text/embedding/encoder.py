"""A sentence encoder: from texts to tokens, and from tokens to vectors, without wasted padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.text.embedding.bert import IDS, KINDS, MASK
from naiad.applications.text.embedding.buckets import Integers, buckets
from naiad.applications.text.embedding.facts import ONNX_FILE, TOKENIZER_FILE, EncoderFacts
from naiad.applications.text.embedding.networks import (
    EXTRA,
    Floats,
    Ints,
    Network,
    OnnxNetwork,
    TransformersNetwork,
    need,
)
from naiad.errors import WeightsError
from naiad.weights import check_file

_SMALLEST = 1e-12  # as torch's normalize has it


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of some texts, one text behind the other.

    Attributes:
        ids: int32 ``[tokens]``.
        kinds: 1 for those of the second text of a pair, else 0, int32 ``[tokens]``.
        lengths: tokens of each text, int32 ``[texts]``.
        truncated: whether a text had more than the encoder reads, bool ``[texts]``.
    """

    ids: NDArray[np.int32]
    kinds: NDArray[np.int32]
    lengths: NDArray[np.int32]
    truncated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Run:
    """What a network gave for some of the texts.

    Attributes:
        texts: their numbers, int64 ``[n]``.
        mask: which of their places have tokens, int64 ``[n, longest]``.
        numbers: what the network gave, float32 ``[n, longest, ...]`` or ``[n, ...]``.
    """

    texts: NDArray[np.int64]
    mask: Ints
    numbers: Floats


class Tokenizer:
    """Texts to tokens, at most ``max_tokens`` of each."""

    def __init__(self, file: Path, max_tokens: int) -> None:
        """Load a ``tokenizer.json``.

        Raises:
            WeightsError: it is missing, or is none.
            MissingExtra: the tokenizers library is not installed.
        """
        library = need("tokenizers", EXTRA)
        try:
            self._tokenizer = library.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises plain Exceptions
            raise WeightsError(f"{file} is no tokenizer: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self.vocabulary = int(self._tokenizer.get_vocab_size())

    def __call__(self, texts: Sequence[Any]) -> Tokens:
        """The tokens of some texts, or of pairs of texts."""
        encodings = self._tokenizer.encode_batch(list(texts))
        return Tokens(
            np.array([n for encoding in encodings for n in encoding.ids], np.int32),
            np.array([n for encoding in encodings for n in encoding.type_ids], np.int32),
            np.array([len(encoding.ids) for encoding in encodings], np.int32),
            np.array([bool(encoding.overflowing) for encoding in encodings], bool),
        )


class Encoder:
    """An encoder in a folder, see :mod:`naiad.applications.text.embedding.facts`."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load it onto ``device`` (``"cpu"``, ``"cuda:0"``).

        Raises:
            WeightsError: a file is missing, damaged, or not what the facts were written for.
            MissingExtra: what runs it is not installed.
        """
        self.facts = EncoderFacts.read(folder)
        check_file(folder / self.facts.file, self.facts.sha256)
        self.tokenize = Tokenizer(folder / TOKENIZER_FILE, self.facts.max_tokens)
        self._network = open_network(folder, self.facts.file, device)

    def embed(self, ids: Integers, lengths: Integers) -> Floats:
        """A vector per text, float32 ``[texts, dimension]``.

        Args:
            ids: the tokens of all texts, one text behind the other, integers ``[tokens]``.
            lengths: tokens of each text, integers ``[texts]``.
        """
        vectors = np.zeros((len(lengths), self.facts.dimension), np.float32)
        for run in run_ragged(self._network, {IDS: ids, MASK: np.ones_like(ids)}, lengths):
            vectors[run.texts] = pool(run.numbers, run.mask, self.facts.pooling)
        if self.facts.normalise:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors /= np.maximum(norms, _SMALLEST)
        return vectors

    def encode(self, texts: Sequence[str]) -> Floats:
        """A vector per text, float32 ``[texts, dimension]``."""
        tokens = self.tokenize(texts)
        return self.embed(tokens.ids, tokens.lengths)

    def states(self, ids: Integers, mask: Integers) -> Floats:
        """A vector per token, and 0 for padding, float32 ``[texts, tokens, dimension]``.

        Args:
            ids: integers ``[texts, tokens]``.
            mask: 1 for tokens and 0 for padding, which may be anywhere; of the same shape.
        """
        width = ids.shape[1]
        # Behind the last token there is nothing to compute.
        lengths = np.where(mask.any(axis=1), width - mask[:, ::-1].argmax(axis=1), 0)
        inside = np.arange(width) < lengths[:, None]
        states = np.zeros((*ids.shape, self.facts.dimension), np.float32)
        tokens = {IDS: ids[inside], MASK: mask[inside]}
        for run in run_ragged(self._network, tokens, lengths):
            longest = run.mask.shape[1]
            states[run.texts, :longest] = run.numbers * run.mask[:, :, None]
        return states


def open_network(folder: Path, file: str, device: str, kind: str = "AutoModel") -> Network:
    """The network of a folder, on ``device``.

    Args:
        folder: where it is.
        file: ``model.onnx``, or ``model.safetensors`` for the transformers library.
        device: ``"cpu"``, ``"cuda:0"``.
        kind: the library's auto class; of no concern to ONNX.
    """
    if file == ONNX_FILE:
        return OnnxNetwork(folder / file, device)
    return TransformersNetwork(folder, kind, device)


def run_ragged(
    network: Network, tokens: Mapping[str, Integers], lengths: Integers
) -> Iterator[Run]:
    """Run a network on texts of any lengths, those of about one length together.

    Args:
        network: takes rectangles of tokens.
        tokens: what it takes of each token, one text behind the other, integers ``[tokens]`` each:
            ``input_ids`` and ``attention_mask`` at least.
        lengths: tokens of each text, integers ``[texts]``.
    """
    starts = np.cumsum(lengths) - lengths
    for texts in buckets(lengths):
        places = np.arange(lengths[texts].max())
        inside = places < lengths[texts][:, None]
        first = starts[texts][:, None]
        chosen = np.where(inside, first + places, first)
        # Padding is any token of the text: the mask hides it.
        given = {name: array[chosen].astype(np.int64) for name, array in tokens.items()}
        given[MASK] *= inside
        given.setdefault(KINDS, np.zeros_like(given[IDS]))
        yield Run(texts, given[MASK], network(given))


def pool(states: Floats, mask: Ints, how: str) -> Floats:
    """The vector of each text from those of its tokens, padding left out.

    Args:
        states: float32 ``[texts, tokens, dimension]``.
        mask: 1 for tokens, ``[texts, tokens]``, at least one of each text.
        how: ``mean`` of all, ``max`` of all per dimension, or ``cls``, the first.
    """
    if how == "cls":
        return states[:, 0]
    if how == "max":
        return np.where(mask[:, :, None] > 0, states, -np.inf).max(axis=1).astype(np.float32)
    weights = mask.astype(np.float32)
    return np.einsum("btd,bt->bd", states, weights) / weights.sum(axis=1, keepdims=True)
