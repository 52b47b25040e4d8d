"""How well labels fit texts: by a sentence encoder, or by a network for entailment."""

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
from naiad.applications.text.embedding.encoder import (
    Encoder,
    Tokenizer,
    Tokens,
    open_network,
    run_ragged,
)
from naiad.applications.text.embedding.facts import TOKENIZER_FILE
from naiad.applications.text.embedding.networks import Floats
from naiad.applications.text.zero_shot.facts import EntailmentFacts, is_entailment
from naiad.applications.text.zero_shot.question import Question
from naiad.applications.text.zero_shot.schema import MAX_PAIRS, PLACE
from naiad.errors import InvalidInput
from naiad.weights import check_file

SCALE: Final = 20.0
"""By which cosines are multiplied before the softmax: that with which sentence encoders are trained
to tell the right sentence from others (MultipleNegativesRankingLoss of sentence-transformers)."""

CACHED: Final = 10_000
"""Labels whose vectors a worker keeps: 15 MB of all-MiniLM-L6-v2's."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be read to answer a question.

    Attributes:
        tokens: of each sequence: a text, or a text and a label.
        vectors: of the labels, float32 ``[labels, width]``.
    """

    tokens: Tokens
    vectors: Floats


class Classifier(Protocol):
    """A network with what belongs to it."""

    def read(self, question: Question) -> Reading:
        """What the network must read of a question."""
        ...

    def run(self, ids: Integers, kinds: Integers, lengths: Integers) -> Floats:
        """Numbers of each sequence of many questions, float32 ``[sequences, n]``."""
        ...

    def score(self, numbers: Floats, vectors: Floats, multi_label: bool) -> Floats:
        """How well each label fits, float32 ``[texts, labels]`` of 0 to 1.

        Args:
            numbers: of the sequences of one question, as :meth:`run` gave them.
            vectors: of its labels, as :meth:`read` gave them.
            multi_label: each label by itself; else the scores of a text add up to 1.
        """
        ...


def open_classifier(folder: Path, device: str = "cpu") -> Classifier:
    """Load the network of a folder onto ``device`` (``"cpu"``, ``"cuda:0"``).

    Raises:
        WeightsError: a file is missing, damaged, or not what the facts were written for.
        MissingExtra: what runs it is not installed.
    """
    return Entailment(folder, device) if is_entailment(folder) else Similarity(folder, device)


class Similarity:
    """Compares the vector of a text with those of labels, by a sentence encoder.

    The labels' vectors are kept, so that known labels cost nothing.
    """

    template: Final = PLACE

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load an encoder."""
        self._encoder = Encoder(folder, device)
        self._known = VectorCache(self._encoder.encode, CACHED)

    def read(self, question: Question) -> Reading:
        """The texts; the labels' vectors are known, or are computed now."""
        tokens = self._encoder.tokenize(question.texts)
        return Reading(tokens, self._known(question.hypotheses(self.template)))

    def run(self, ids: Integers, kinds: Integers, lengths: Integers) -> Floats:
        """The vectors of texts."""
        return self._encoder.embed(ids, lengths)

    def score(self, numbers: Floats, vectors: Floats, multi_label: bool) -> Floats:
        """A softmax of the cosines; or, of several labels, the cosines, those below 0 as 0."""
        cosines = _unit(numbers) @ _unit(vectors).T
        return np.clip(cosines, 0, 1) if multi_label else softmax(SCALE * cosines)


class Entailment:
    """Asks a network whether the hypothesis "this is about LABEL" follows from a text.

    Yin et al., arXiv:1909.00161. It reads each text with each label.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load a network that was trained on natural language inference."""
        self.facts = EntailmentFacts.read(folder)
        check_file(folder / self.facts.file, self.facts.sha256)
        self._tokenize = Tokenizer(folder / TOKENIZER_FILE, self.facts.max_tokens)
        kind = "AutoModelForSequenceClassification"
        self._network = open_network(folder, self.facts.file, device, kind)

    def read(self, question: Question) -> Reading:
        """Pairs of each text with each label.

        Raises:
            InvalidInput: they are too many.
        """
        texts, labels = len(question.texts), len(question.labels)
        if texts * labels > MAX_PAIRS:
            raise InvalidInput(
                f"{texts:,} texts with {labels:,} labels each are {texts * labels:,} pairs; a "
                f"network for entailment takes at most {MAX_PAIRS:,} in one request"
            )
        hypotheses = question.hypotheses(self.facts.template)
        pairs = [(text, hypothesis) for text in question.texts for hypothesis in hypotheses]
        # Nothing is known of a label beforehand; its row tells how many there are.
        return Reading(self._tokenize(pairs), np.zeros((labels, 1), np.float32))

    def run(self, ids: Integers, kinds: Integers, lengths: Integers) -> Floats:
        """The logits of contradiction and of entailment of each pair."""
        logits = np.zeros((len(lengths), 2), np.float32)
        chosen = [self.facts.contradiction, self.facts.entailment]
        tokens = {IDS: ids, KINDS: kinds, MASK: np.ones_like(ids)}
        for run in run_ragged(self._network, tokens, lengths):
            logits[run.texts] = run.numbers[:, chosen]
        return logits

    def score(self, numbers: Floats, vectors: Floats, multi_label: bool) -> Floats:
        """Of several labels, the probability that each follows and is not contradicted; else a
        softmax over the labels of how much each follows.
        """
        logits = numbers.reshape(-1, len(vectors), 2)
        return softmax(logits)[:, :, 1] if multi_label else softmax(logits[:, :, 1])


class VectorCache:
    """The vectors of the texts that were asked for last."""

    def __init__(self, encode: Callable[[Sequence[str]], Floats], size: int) -> None:
        """Keep at most ``size`` of what ``encode`` gives."""
        self._encode = encode
        self._size = size
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> Floats:
        """The vectors of some texts, of which only unknown ones are computed."""
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
    """Numbers along the last axis that add up to 1."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _unit(vectors: Floats) -> Floats:
    """Vectors of length 1, as not all encoders give them."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, 1e-12)
