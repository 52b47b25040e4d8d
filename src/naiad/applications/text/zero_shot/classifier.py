"""Scores of labels for texts, by a sentence encoder or by a network for entailment."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from naiad.applications.text.embedding.bert import IDS, KINDS, MASK
from naiad.applications.text.embedding.buckets import Integers
from naiad.applications.text.embedding.card import TOKENIZER_FILE
from naiad.applications.text.embedding.encoder import (
    Encoder,
    Tokenizer,
    Tokens,
    open_network,
    run_ragged,
)
from naiad.applications.text.embedding.networks import Floats
from naiad.applications.text.zero_shot.card import GLICLASS, TASK, EntailmentCard, method_of
from naiad.applications.text.zero_shot.question import Question
from naiad.applications.text.zero_shot.schema import MAX_PAIRS, PLACE
from naiad.card import read_card
from naiad.core.settings import Runtime
from naiad.errors import InvalidInput, WeightsError
from naiad.weights import check_file

SCALE: Final = 20.0
"""Factor of cosines before the softmax, as in the training of sentence encoders
(MultipleNegativesRankingLoss of sentence-transformers)."""

CACHED: Final = 10_000
"""Labels whose vectors a worker keeps: 15 MB with all-MiniLM-L6-v2."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Input of the network for a question.

    Attributes:
        tokens: of each sequence: a text, or a text and a label.
        vectors: of the labels, float32 ``[labels, width]``.
    """

    tokens: Tokens
    vectors: Floats


class Classifier(Protocol):
    """A network with its tokenizer and its scoring."""

    tokenize: Tokenizer

    def read(self, question: Question) -> Reading:
        """Return the network's input for a question."""
        ...

    def run(self, ids: Integers, kinds: Integers, lengths: Integers) -> Floats:
        """Run the sequences of many questions; return float32 ``[sequences, n]``."""
        ...

    def score(self, numbers: Floats, vectors: Floats, multi_label: bool) -> Floats:
        """Score each label from 0 to 1; return float32 ``[texts, labels]``.

        Args:
            numbers: of the sequences of one question, from :meth:`run`.
            vectors: of its labels, from :meth:`read`.
            multi_label: score each label by itself; else the scores of a text add up to 1.
        """
        ...


def open_classifier(
    folder: Path,
    device: str = "cpu",
    *,
    runtime: Runtime | None = None,
) -> Classifier:
    """Load the network of a folder onto ``device`` (``"cpu"``, ``"cuda:0"``).

    ``runtime`` is the library that runs it, by default that of its file.

    Raises:
        WeightsError: a file is missing, damaged, or does not match the card's sha256; or the
            runtime cannot run the network.
        MissingExtra: a package that runs it is not installed.
    """
    method = method_of(folder)
    if method == GLICLASS:
        from naiad.applications.text.zero_shot.gliclass import Gliclass

        if runtime not in (None, "torch"):
            raise WeightsError(f"{folder}: {runtime} does not run GLiClass networks; torch does")
        return Gliclass(folder, device)
    kind = Entailment if method == TASK else Similarity
    return kind(folder, device, runtime=runtime)


class Similarity:
    """Comparison of a text's vector with those of labels, by a sentence encoder.

    The labels' vectors are cached.
    """

    template: Final = PLACE

    def __init__(
        self,
        folder: Path,
        device: str = "cpu",
        *,
        runtime: Runtime | None = None,
    ) -> None:
        """Load an encoder."""
        self._encoder = Encoder(folder, device, runtime=runtime)
        self.tokenize = self._encoder.tokenize
        self._known = VectorCache(self._encoder.encode, CACHED)

    def read(self, question: Question) -> Reading:
        """Return the texts' tokens and the labels' vectors, cached or computed."""
        tokens = self.tokenize(question.texts)
        return Reading(tokens, self._known(question.hypotheses(self.template)))

    def run(self, ids: Integers, kinds: Integers, lengths: Integers) -> Floats:
        """Compute the vectors of texts."""
        return self._encoder.embed(ids, lengths)

    def score(self, numbers: Floats, vectors: Floats, multi_label: bool) -> Floats:
        """Return a softmax of the cosines; with ``multi_label``, the cosines, at least 0."""
        cosines = _unit(numbers) @ _unit(vectors).T
        return np.clip(cosines, 0, 1) if multi_label else softmax(SCALE * cosines)


class Entailment:
    """Test by a network whether the hypothesis "this is about LABEL" follows from a text.

    Yin et al., arXiv:1909.00161. The network reads each text with each label.
    """

    def __init__(
        self,
        folder: Path,
        device: str = "cpu",
        *,
        runtime: Runtime | None = None,
    ) -> None:
        """Load a network trained on natural language inference."""
        self.card = read_card(folder, EntailmentCard)
        check_file(folder / self.card.file, self.card.sha256)
        self.tokenize = Tokenizer(folder / TOKENIZER_FILE, self.card.max_tokens)
        kind = "AutoModelForSequenceClassification"
        self._network = open_network(folder, self.card.file, device, kind, runtime=runtime)

    def read(self, question: Question) -> Reading:
        """Return the pairs of each text with each label.

        Raises:
            InvalidInput: too many pairs.
        """
        texts, labels = len(question.texts), len(question.labels)
        if texts * labels > MAX_PAIRS:
            raise InvalidInput(
                f"{texts:,} texts with {labels:,} labels each are {texts * labels:,} pairs; a "
                f"network for entailment takes at most {MAX_PAIRS:,} in one request"
            )
        hypotheses = question.hypotheses(self.card.template)
        pairs = [(text, hypothesis) for text in question.texts for hypothesis in hypotheses]
        # Labels have no vectors here; the rows only tell their number.
        return Reading(self.tokenize(pairs), np.zeros((labels, 1), np.float32))

    def run(self, ids: Integers, kinds: Integers, lengths: Integers) -> Floats:
        """Compute the logits of contradiction and entailment of each pair."""
        logits = np.zeros((len(lengths), 2), np.float32)
        chosen = [self.card.contradiction, self.card.entailment]
        tokens = {IDS: ids, KINDS: kinds, MASK: np.ones_like(ids)}
        for run in run_ragged(self._network, tokens, lengths):
            logits[run.texts] = run.numbers[:, chosen]
        return logits

    def score(self, numbers: Floats, vectors: Floats, multi_label: bool) -> Floats:
        """Return a softmax of entailment over the labels; with ``multi_label``, the probability
        of entailment against contradiction for each label.
        """
        logits = numbers.reshape(-1, len(vectors), 2)
        return softmax(logits)[:, :, 1] if multi_label else softmax(logits[:, :, 1])


class VectorCache:
    """Cache of the vectors of recent texts."""

    def __init__(self, encode: Callable[[Sequence[str]], Floats], size: int) -> None:
        """Keep at most ``size`` vectors of ``encode``."""
        self._encode = encode
        self._size = size
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of texts, computing those that are not cached."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if missing:
            self._vectors.update(zip(missing, self._encode(missing), strict=True))
        for text in texts:
            self._vectors.move_to_end(text)
        found = np.stack([self._vectors[text] for text in texts])
        while len(self._vectors) > self._size:
            self._vectors.popitem(last=False)
        return found


def softmax(logits: Floats) -> Floats:
    """Compute the softmax along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _unit(vectors: Floats) -> Floats:
    """Scale vectors to length 1, as not all encoders do."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, 1e-12)
