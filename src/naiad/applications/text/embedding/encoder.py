"""A sentence encoder: from texts to tokens, and from tokens to vectors, with little padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.text.embedding.bert import IDS, KINDS, MASK
from naiad.applications.text.embedding.buckets import Integers, buckets
from naiad.applications.text.embedding.card import ONNX_FILE, TOKENIZER_FILE, EncoderCard
from naiad.applications.text.embedding.letters import unread
from naiad.applications.text.embedding.networks import (
    EXTRA,
    Floats,
    Ints,
    TokenNetwork,
    need,
    open_onnx_network,
    open_transformers_network,
)
from naiad.card import read_card
from naiad.core.settings import Runtime
from naiad.errors import InvalidInput, WeightsError
from naiad.weights import check_file

_SMALLEST = 1e-12  # as in torch's normalize


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of some texts, concatenated.

    Attributes:
        ids: int32 ``[tokens]``.
        kinds: 1 in the second text of a pair, else 0, int32 ``[tokens]``.
        lengths: tokens of each text, int32 ``[texts]``.
        truncated: True for texts that were cut to the encoder's length, bool ``[texts]``.
    """

    ids: NDArray[np.int32]
    kinds: NDArray[np.int32]
    lengths: NDArray[np.int32]
    truncated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Run:
    """A network's output for some of the texts.

    Attributes:
        texts: their indices, int64 ``[n]``.
        mask: 1 for tokens, 0 for padding, int64 ``[n, longest]``.
        numbers: the output, float32 ``[n, longest, ...]`` or ``[n, ...]``.
    """

    texts: NDArray[np.int64]
    mask: Ints
    numbers: Floats


class Tokenizer:
    """Tokenizer that keeps at most ``max_tokens`` of each text."""

    def __init__(self, file: Path, max_tokens: int | None) -> None:
        """Load a ``tokenizer.json``; None for ``max_tokens`` keeps all.

        Raises:
            WeightsError: the file is missing or not a tokenizer.
            MissingExtra: the tokenizers library is not installed.
        """
        library = need("tokenizers", EXTRA)
        try:
            self._tokenizer = library.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises plain Exceptions
            raise WeightsError(f"{file} is not a tokenizer: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if max_tokens is not None:
            self._tokenizer.enable_truncation(max_tokens)
        self.vocabulary = int(self._tokenizer.get_vocab_size())
        self._unknown = {
            number for number in map(self.id_of, ("[UNK]", "<unk>")) if number is not None
        }

    def __call__(self, texts: Sequence[Any]) -> Tokens:
        """Return the tokens of texts, or of pairs of texts."""
        encodings = self.encodings(texts)
        return Tokens(
            np.array([n for encoding in encodings for n in encoding.ids], np.int32),
            np.array([n for encoding in encodings for n in encoding.type_ids], np.int32),
            np.array([len(encoding.ids) for encoding in encodings], np.int32),
            np.array([bool(encoding.overflowing) for encoding in encodings], bool),
        )

    def encodings(self, texts: Sequence[Any]) -> list[Any]:
        """Return the library's encodings of texts, or of pairs of texts."""
        return self._tokenizer.encode_batch(list(texts))

    def id_of(self, token: str) -> int | None:
        """Return the id of a token, or None."""
        return self._tokenizer.token_to_id(token)

    def letters_unread(self, texts: Sequence[str], name: str) -> NDArray[np.float32]:
        """Return the share of each text's letters that the network cannot read as words.

        It is near 1 in scripts that its vocabulary was not made of, see `unread`, and of no use
        between languages of one script.

        Raises:
            InvalidInput: as `refuse_empty`.
        """
        pairs = zip(texts, self.refuse_empty(texts, name), strict=True)
        return np.array([unread(text, one, self._unknown) for text, one in pairs], np.float32)

    def refuse_empty(self, texts: Sequence[str], name: str) -> list[Any]:
        """Return the library's encodings, without the tokens that it puts around a text.

        Raises:
            InvalidInput: a text has none, such as one of invisible characters.
        """
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for number, encoding in enumerate(encodings):
            if not encoding.ids:
                raise InvalidInput(f"{name}[{number}] is empty; it must have text")
        return encodings


class Encoder:
    """An encoder from a folder, see :mod:`naiad.applications.text.embedding.card`."""

    def __init__(
        self,
        folder: Path,
        device: str = "cpu",
        *,
        runtime: Runtime | None = None,
    ) -> None:
        """Load the encoder onto ``device`` (``"cpu"``, ``"cuda:0"``).

        ``runtime`` is the library that runs the network, by default that of its file.

        Raises:
            WeightsError: a file is missing, damaged, or does not match the card's sha256.
            MissingExtra: a package that runs it is not installed.
        """
        self.card = read_card(folder, EncoderCard)
        check_file(folder / self.card.file, self.card.sha256)
        self.tokenize = Tokenizer(folder / TOKENIZER_FILE, self.card.max_tokens)
        self._network = open_network(folder, self.card.file, device, runtime=runtime)

    def embed(self, ids: Integers, lengths: Integers) -> Floats:
        """Return a vector per text, float32 ``[texts, dimension]``.

        Args:
            ids: the tokens of all texts, concatenated, integers ``[tokens]``.
            lengths: tokens of each text, integers ``[texts]``.
        """
        vectors = np.zeros((len(lengths), self.card.dimension), np.float32)
        for run in run_ragged(self._network, {IDS: ids, MASK: np.ones_like(ids)}, lengths):
            vectors[run.texts] = pool(run.numbers, run.mask, self.card.pooling)
        if self.card.normalise:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors /= np.maximum(norms, _SMALLEST)
        return vectors

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return a vector per text, float32 ``[texts, dimension]``."""
        tokens = self.tokenize(texts)
        return self.embed(tokens.ids, tokens.lengths)

    def states(self, ids: Integers, mask: Integers) -> Floats:
        """Return a vector per token, 0 for padding, float32 ``[texts, tokens, dimension]``.

        Args:
            ids: integers ``[texts, tokens]``.
            mask: 1 for tokens, 0 for padding, which may be anywhere; of the same shape.
        """
        width = ids.shape[1]
        # There is nothing to compute after the last token.
        lengths = np.where(mask.any(axis=1), width - mask[:, ::-1].argmax(axis=1), 0)
        inside = np.arange(width) < lengths[:, None]
        states = np.zeros((*ids.shape, self.card.dimension), np.float32)
        tokens = {IDS: ids[inside], MASK: mask[inside]}
        for run in run_ragged(self._network, tokens, lengths):
            longest = run.mask.shape[1]
            states[run.texts, :longest] = run.numbers * run.mask[:, :, None]
        return states


def open_network(
    folder: Path,
    file: str,
    device: str,
    kind: str = "AutoModel",
    *,
    runtime: Runtime | None = None,
) -> TokenNetwork:
    """Load the network of a folder onto ``device``.

    Args:
        folder: the folder.
        file: ``model.onnx``, or ``model.safetensors`` for the transformers library.
        device: ``"cpu"``, ``"cuda:0"``.
        kind: the library's auto class; not used for ONNX.
        runtime: the library that runs the network; by default that of its file.
    """
    if file == ONNX_FILE:
        return open_onnx_network(folder / file, device, runtime=runtime)
    return open_transformers_network(folder, kind, device, runtime=runtime)


def run_ragged(
    network: Callable[[Mapping[str, Ints]], Floats],
    tokens: Mapping[str, Integers],
    lengths: Integers,
) -> Iterator[Run]:
    """Run a network on texts of any lengths, grouped by length.

    Args:
        network: takes rectangles of tokens.
        tokens: its inputs for the tokens of all texts, concatenated, integers ``[tokens]`` each:
            ``input_ids`` and ``attention_mask`` at least.
        lengths: tokens of each text, integers ``[texts]``.
    """
    starts = np.cumsum(lengths) - lengths
    for texts in buckets(lengths):
        places = np.arange(lengths[texts].max())
        inside = places < lengths[texts][:, None]
        first = starts[texts][:, None]
        chosen = np.where(inside, first + places, first)
        # Any token of the text serves as padding, as the mask hides it.
        given = {name: array[chosen].astype(np.int64) for name, array in tokens.items()}
        given[MASK] *= inside
        given.setdefault(KINDS, np.zeros_like(given[IDS]))
        yield Run(texts, given[MASK], network(given))


def pool(states: Floats, mask: Ints, how: str) -> Floats:
    """Combine the vectors of each text's tokens into one, without padding.

    Args:
        states: float32 ``[texts, tokens, dimension]``.
        mask: 1 for tokens, ``[texts, tokens]``; each text has at least one.
        how: ``mean``, ``max`` (per dimension), or ``cls``, the first token.
    """
    if how == "cls":
        return states[:, 0]
    if how == "max":
        return np.where(mask[:, :, None] > 0, states, -np.inf).max(axis=1).astype(np.float32)
    weights = mask.astype(np.float32)
    return np.einsum("btd,bt->bd", states, weights) / weights.sum(axis=1, keepdims=True)
