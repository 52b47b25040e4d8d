"""Classification by a GLiClass network, which reads a text with all labels at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from naiad.applications.text.embedding.bert import IDS, MASK
from naiad.applications.text.embedding.buckets import Integers
from naiad.applications.text.embedding.card import TOKENIZER_FILE
from naiad.applications.text.embedding.encoder import Tokenizer, Tokens, run_ragged
from naiad.applications.text.embedding.networks import Floats
from naiad.applications.text.zero_shot.card import GliclassCard
from naiad.applications.text.zero_shot.classifier import Reading, softmax
from naiad.applications.text.zero_shot.gliclass_network import GliclassNetwork
from naiad.applications.text.zero_shot.question import Question
from naiad.applications.text.zero_shot.schema import PLACE
from naiad.card import read_card
from naiad.errors import InvalidInput, WeightsError
from naiad.weights import check_file

LABEL: Final = "<<LABEL>>"
SEPARATOR: Final = "<<SEP>>"


class Gliclass:
    """A `Classifier` by a GLiClass network."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load a network that was imported.

        Raises:
            WeightsError: a file is missing or damaged, or the tokenizer has other marks.
            MissingExtra: transformers or torch is not installed.
        """
        card = read_card(folder, GliclassCard)
        check_file(folder / card.file, card.sha256)
        self.tokenize = Tokenizer(folder / TOKENIZER_FILE, None)
        self._network = GliclassNetwork(folder, device)
        self._most_tokens = card.max_tokens
        config = self._network.config
        for mark, index in (
            (LABEL, config.class_token_index),
            (SEPARATOR, config.text_token_index),
        ):
            if self.tokenize.id_of(mark) != index:
                raise WeightsError(
                    f"{folder}: {mark} is token {self.tokenize.id_of(mark)} of the tokenizer and "
                    f"{index} of config.json; they must be of the same network"
                )

    def read(self, question: Question) -> Reading:
        """Return a sequence per text, with all labels; the end of a long text is cut off.

        Raises:
            InvalidInput: there are too many labels, they leave no room for a text, or a text or a
                label has one of the marks.
        """
        labels, config = question.hypotheses(PLACE), self._network.config
        most = config.most_labels
        if most is not None and len(labels) > most:
            raise InvalidInput(
                f"the request has {len(labels):,} labels; this network takes at most {most:,}"
            )
        _refuse_marks(question.texts, "text")
        _refuse_marks(labels, "labels")
        prompt = "".join(f"{LABEL}{label}" for label in labels) + SEPARATOR
        encodings = self.tokenize.encodings(
            [prompt + text if config.prompt_first else text + prompt for text in question.texts]
        )
        cut = [self._cut(encoding) for encoding in encodings]
        lengths = np.array([len(ids) for ids in cut], np.int32)
        ids = np.array([token for ids in cut for token in ids], np.int32)
        truncated = lengths < np.array([len(encoding.ids) for encoding in encodings])
        tokens = Tokens(ids, np.zeros_like(ids), lengths, truncated)
        # Labels have no vectors here; the rows only tell their number.
        return Reading(tokens, np.zeros((len(labels), 1), np.float32))

    def _cut(self, encoding: Any) -> list[int]:
        """Return the tokens, with the last ones of the text left out if there are too many."""
        ids: list[int] = encoding.ids
        over = len(ids) - self._most_tokens
        if over <= 0:
            return ids
        config = self._network.config
        if config.prompt_first:
            start, end = ids.index(config.text_token_index) + 1, len(ids)
        else:
            start, end = 0, ids.index(config.class_token_index)
        special = encoding.special_tokens_mask
        while start < end and special[start]:
            start += 1
        while start < end and special[end - 1]:
            end -= 1
        if end - start <= over:
            raise InvalidInput(
                f"the labels take {len(ids) - (end - start):,} tokens; the network reads "
                f"{self._most_tokens:,} with the text: give fewer or shorter labels"
            )
        return ids[: end - over] + ids[end:]

    def run(self, ids: Integers, kinds: Integers, lengths: Integers) -> Floats:
        """Compute a logit per label; -inf behind those of a text."""
        marks = ids == self._network.config.class_token_index
        ends = np.cumsum(lengths)
        labels = np.add.reduceat(marks, ends - lengths) if len(lengths) else np.zeros(0, np.int64)
        logits = np.full((len(lengths), int(labels.max(initial=0))), -np.inf, np.float32)
        for run in run_ragged(self._network, {IDS: ids, MASK: np.ones_like(ids)}, lengths):
            logits[run.texts, : run.numbers.shape[1]] = run.numbers
        return logits

    def score(self, numbers: Floats, vectors: Floats, multi_label: bool) -> Floats:
        """Return a softmax of the logits; with ``multi_label``, a sigmoid of each."""
        logits = numbers[:, : len(vectors)]
        if not multi_label:
            return softmax(logits)
        return np.exp(-np.logaddexp(0, -logits))  # no overflow


def _refuse_marks(texts: Sequence[str], name: str) -> None:
    for number, text in enumerate(texts):
        for mark in (LABEL, SEPARATOR):
            if mark in text:
                raise InvalidInput(
                    f"{name}[{number}] has {mark}, by which this network tells labels from the "
                    "text; leave it out"
                )
