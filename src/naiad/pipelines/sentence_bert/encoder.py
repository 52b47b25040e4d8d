"""A sentence encoder: from texts to tokens, and from tokens to vectors, without wasted padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.errors import WeightsError
from naiad.pipelines.sentence_bert.buckets import Integers, buckets
from naiad.pipelines.sentence_bert.facts import ONNX_FILE, TOKENIZER_FILE, EncoderFacts
from naiad.pipelines.sentence_bert.networks import (
    EXTRA,
    Floats,
    Ints,
    Network,
    OnnxNetwork,
    TransformersNetwork,
    need,
)
from naiad.weights import check_file

_SMALLEST = 1e-12  # as torch's normalize has it


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of some texts, one text behind the other.

    Attributes:
        ids: int32 ``[tokens]``.
        lengths: tokens of each text, int32 ``[texts]``.
        truncated: whether a text had more than the encoder reads, bool ``[texts]``.
    """

    ids: NDArray[np.int32]
    lengths: NDArray[np.int32]
    truncated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Run:
    """What a network gave for some of the texts.

    Attributes:
        texts: their numbers, int64 ``[n]``.
        states: a vector per token, float32 ``[n, longest, dimension]``.
        mask: which of those are of tokens, int64 ``[n, longest]``.
    """

    texts: NDArray[np.int64]
    states: Floats
    mask: Ints


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
        ids = [np.array(encoding.ids, np.int32) for encoding in encodings]
        return Tokens(
            np.concatenate([*ids, np.zeros(0, np.int32)]),
            np.array([len(one) for one in ids], np.int32),
            np.array([bool(encoding.overflowing) for encoding in encodings], bool),
        )


class Encoder:
    """An encoder in a folder, see :mod:`naiad.pipelines.sentence_bert.facts`."""

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
        for run in run_ragged(self._network, ids, np.ones_like(ids), lengths):
            vectors[run.texts] = pool(run.states, run.mask, self.facts.pooling)
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
        for run in run_ragged(self._network, ids[inside], mask[inside], lengths):
            longest = run.states.shape[1]
            states[run.texts, :longest] = run.states * run.mask[:, :, None]
        return states


def open_network(folder: Path, file: str, device: str) -> Network:
    """The network of a folder whose facts name ``file``, on ``device``."""
    if file == ONNX_FILE:
        return OnnxNetwork(folder / file, device)
    return TransformersNetwork(folder, device)


def run_ragged(
    network: Network,
    ids: Integers,
    mask: Integers,
    lengths: Integers,
) -> Iterator[Run]:
    """Run a network on texts of any lengths, those of about one length together.

    Args:
        network: takes rectangles of tokens.
        ids: the tokens of all texts, one text behind the other, integers ``[tokens]``.
        mask: which of them are to be read, of the same shape.
        lengths: tokens of each text, integers ``[texts]``.
    """
    starts = np.cumsum(lengths) - lengths
    for texts in buckets(lengths):
        places = np.arange(lengths[texts].max())
        inside = places < lengths[texts][:, None]
        # Padding is any token: the mask hides it.
        chosen = np.where(inside, starts[texts][:, None] + places, starts[texts][:, None])
        part = np.where(inside, mask[chosen], 0).astype(np.int64)
        yield Run(texts, network(ids[chosen].astype(np.int64), part), part)


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
