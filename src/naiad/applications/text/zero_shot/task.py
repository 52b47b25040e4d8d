"""The task of ``zero_shot``: texts and labels in, labels by score out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from naiad.applications.text.zero_shot.labels import (
    Asked,
    Table,
    read_labels,
    read_table,
    split_labels,
)
from naiad.applications.text.zero_shot.question import as_request
from naiad.core.schema import Arrays
from naiad.errors import InvalidInput
from naiad.tasks.notebook import Shown
from naiad.tasks.task import Column, ImportsWeights, Parses, Report, Reports, Task
from naiad.tasks.views import Scores

SAMPLE_LABELS: Final = ("business", "space and science", "politics")
"""Labels of requests for measurements."""


@dataclass(frozen=True)
class Classification(Shown):
    """The labels of one text, the best first.

    Attributes:
        labels: all requested labels.
        scores: of each, 0 to 1.
        truncated: whether the text was cut at its end.
        asked: the labels in the order of the request.
        own: whether they are of this text alone.
        unread: share of its letters that the network does not read, 0 to 1.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    truncated: bool = False
    asked: tuple[str, ...] = field(default=(), repr=False)
    own: bool = field(default=False, repr=False)
    unread: float = field(default=0.0, repr=False)

    @property
    def label(self) -> str:
        """The best label."""
        return self.labels[0]

    @property
    def score(self) -> float:
        """The best label's score."""
        return self.scores[0]


class ZeroShotTask(
    Task[Asked, Classification], Parses[str], Reports, ImportsWeights, Scores[Classification]
):
    """Say which labels fit texts, with a served network that was trained on none of them.

    Up to ten texts are shown with a bar for each label, more with a line each.
    Tables have a row per text and a column per label. A .csv, .tsv or .jsonl
    file with the columns text and labels has labels for each text; the scores
    are then in one column, as JSON.

    [bold]Examples[/]

      naiad infer zero_shot "Who are you voting for?" --labels "business,politics,space and science"
      naiad infer zero_shot -f headlines.txt --labels sports,economy -o labels.csv
      naiad infer zero_shot "hi" --label "greetings, thanks" --label "business, taxes"
      naiad infer zero_shot -f questions.jsonl -o answers.csv
      tail -n 100 mails.txt | naiad infer zero_shot -f - --labels urgent,spam --multi-label
    """

    name = "zero_shot"
    summary = "which of some labels fit a text, without training"
    pipeline = "naiad.applications.text.zero_shot.pipeline:ZeroShot"
    packages = ("tokenizers", "onnxruntime")
    on_request = True
    demos = {"zero_shot": "naiad.applications.text.zero_shot.demo:run"}

    unit, example = "texts", '"Who are you voting for?" --labels business,science,politics'
    columns = (
        Column("text", fill="unit", doc="the text"),
        Column("label", doc="the one that fits best"),
    )
    listed, grouped = True, ("text",)

    @dataclass(frozen=True)
    class Options:
        """Options of a request."""

        labels: Sequence[str] = field(
            default=(),
            metadata={
                "help": "Labels that may fit a text, with commas between.",
                "metavar": "A,B,C",
                "parser": split_labels,
                "typed": "",
            },
        )
        label: tuple[str, ...] = field(
            default=(),
            metadata={"help": "One label, commas included; may be repeated.", "metavar": "LABEL"},
        )
        labels_file: Path | None = field(
            default=None,
            metadata={"help": "Text file with a label per line.", "metavar": "FILE"},
        )
        hypothesis_template: str = field(
            default="",
            metadata={
                "help": "A sentence with {} for the label, instead of the network's own.",
                "flag": "template",
            },
        )
        multi_label: bool = field(
            default=False, metadata={"help": "Several labels may fit a text, or none."}
        )
        top: int = field(
            default=10,
            metadata={"help": "Number of the best labels to show.", "min": 1, "display": True},
        )

        @cached_property
        def shared(self) -> Sequence[str]:
            """The labels of all texts."""
            if isinstance(self.labels, str):  # refused with the request
                return self.labels
            return (
                *(self.labels or ()),
                *self.label,
                *(() if self.labels_file is None else read_labels(self.labels_file)),
            )

    @dataclass(frozen=True)
    class ImportOptions:
        """Options of an import."""

        int8: bool = field(
            default=False, metadata={"help": "Compute an encoder's matrix products in 8 bits."}
        )
        template: str | None = field(
            default=None,
            metadata={"help": "Of a network for entailment: a sentence with {} for the label."},
        )
        notice: str = field(
            default="",
            metadata={"help": "What users of the weights must know; goes wherever they go."},
        )

    @classmethod
    def simulated_requests(cls, number: int, seed: int) -> Iterator[Arrays]:
        """Yield requests for texts of common words, one each, with three labels."""
        from naiad.applications.text.embedding.simulate import simulated_texts

        return cls().sample_requests(simulated_texts(number, seed))

    def sample_options(self) -> Options:
        """Return three labels."""
        return self.Options(SAMPLE_LABELS)

    def columns_of(self, card: Mapping[str, str], options: Options) -> tuple[Column, ...]:
        """Return a column for each label; one for all where each text has its own."""
        about = "how well it fits, 0 to 1"
        if not options.shared:
            return (*self.columns, Column("scores", doc=f"of each label, {about}, as JSON"))
        return (*self.columns, *(Column(label, "float32", about) for label in options.shared))

    def parse(self, text: str) -> str:
        """Return a text as it was typed."""
        return text

    def open_table(self, path: Path) -> Table | None:
        """Open a table of texts with their labels; None for a file of texts, one per line."""
        return read_table(path)

    def coerce(self, unit: str | tuple[str, Sequence[str]], options: Options) -> Asked:
        """Return a text with its labels: its own, ``(text, labels)``, or those of all.

        Raises:
            InvalidInput: it has both, or neither.
        """
        if isinstance(unit, str):
            if not options.shared:
                raise InvalidInput(
                    "there are no labels; give some (--labels, --label, --labels-file), or a table "
                    "of texts with labels of their own"
                )
            return Asked(unit, options.shared)
        if options.shared:
            raise InvalidInput("it has labels of its own; leave those for all texts out")
        return Asked(unit[0], unit[1], own=True)

    def request(self, unit: Asked, options: Options) -> Arrays:
        """Return a request for one text."""
        return as_request(
            [unit.text], unit.labels, options.hypothesis_template, options.multi_label
        )

    def answer(self, unit: Asked, outputs: Arrays, card: Any) -> Classification:
        """Return the labels of one text."""
        asked, scores = tuple(unit.labels), outputs["scores"][0]
        order = np.argsort(-scores, kind="stable")
        ranked = tuple(asked[int(number)] for number in order)
        truncated = bool(outputs["truncated"][0])
        unread = float(outputs["unread"][0]) if "unread" in outputs else 0.0
        return Classification(
            ranked, tuple(scores[order].tolist()), truncated, asked, unit.own, unread
        )

    def rows(self, result: Classification) -> Iterator[Sequence[object]]:
        """Yield the one row of a text."""
        scores = dict(zip(result.labels, result.scores, strict=True))
        if result.own:
            yield result.label, json.dumps(scores, ensure_ascii=False)
            return
        yield result.label, *(scores[label] for label in result.asked)

    def scores(self, result: Classification) -> dict[str, float]:
        """Return the score of each label."""
        return dict(zip(result.labels, result.scores, strict=True))

    def report(self, count: int, card: Any, options: Options) -> Report:
        """Return a report with bars for a few texts, or a line each for many."""
        from naiad.applications.text.zero_shot.report import LabelsReport

        return LabelsReport(count, options.top, card)

    def import_weights(self, source: Path, output: Path, options: ImportOptions) -> Iterable[str]:
        """Make a folder of an encoder, an entailment or a GLiClass network, ready to be served.

        SOURCE is a folder as Hugging Face has them, or a name there, such as
        facebook/bart-large-mnli, which is downloaded. The network is tried before
        anything is kept. No code that comes with it is run, and no pickle is read:
        it must be safetensors or ONNX.

        [bold]Examples[/]

          naiad weights import zero_shot all-MiniLM-L6-v2 --int8 -o small/
          naiad weights import zero_shot BAAI/bge-small-en-v1.5 -o bge/
          naiad weights import zero_shot facebook/bart-large-mnli -o bart/
          naiad weights import zero_shot knowledgator/gliclass-base-v3.0 -o gliclass/
          naiad serve zero_shot --weights bart/
        """
        from naiad.applications.text.embedding.card import EncoderCard
        from naiad.applications.text.zero_shot.card import EntailmentCard
        from naiad.applications.text.zero_shot.importing import import_network

        card = import_network(
            str(source),
            output,
            int8=options.int8,
            template=options.template,
            notice=options.notice,
            progress=True,
        )
        if isinstance(card, EntailmentCard):
            about = f"a network for entailment, asked {card.template!r}"
        elif isinstance(card, EncoderCard):
            about = f"a sentence encoder, {card.dimension} numbers per text, {card.precision}"
        else:
            about = "a GLiClass network, which reads a text with all labels at once"
        yield f"{about}; reads {card.max_tokens:,} tokens of a text"
