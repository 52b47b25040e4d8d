"""The task of the graph attention network: citation graphs in, topics out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from naiad.applications.gat.graphs import CitationGraph, read_graph
from naiad.applications.gat.results import GatResult, Labels
from naiad.applications.gat.schema import OUTPUTS
from naiad.core.schema import Arrays
from naiad.tasks.task import (
    Advance,
    Column,
    Draws,
    Found,
    ImportsWeights,
    Reports,
    Rows,
    Simulates,
    Task,
    Trains,
)
from naiad.tasks.views import Plots

if TYPE_CHECKING:
    from naiad.applications.gat.report import TopicsReport

_NOTICE = "Notice for every user of the weights."


class GatTask(
    Task[CitationGraph, GatResult],
    Reports,
    Draws,
    Simulates[CitationGraph],
    Trains,
    ImportsWeights,
    Plots,
):
    """Predict the topic of each paper in a citation graph with a served GAT.

    A graph is an .npz file, or a folder with planetoid's ind.cora.* files.
    Result tables have a row per paper.

    [bold]Examples[/]

      naiad simulate gat -o graph.npz
      naiad infer gat graph.npz --plot graph.png
      naiad infer gat graph.npz -o topics.csv --url gpu-server:8001
      naiad infer gat graph.npz --local --weights my-weights/
    """

    name, model = "gat", "gat_test"
    summary = "topic of each paper in a citation graph, by graph attention"
    pipeline = "naiad.applications.gat.pipeline:Gat"
    network = "naiad.applications.gat.weights:network"
    packages = ("torch", "safetensors")

    unit, suffixes, example = "graphs", (".npz",), "graph.npz"
    columns = (
        Column("paper", "int64", "row of the graph's features"),
        Column("topic", doc="most probable topic"),
        Column("confidence", "float32", "probability of that topic"),
    )
    formats = {".npz": "naiad.applications.gat.results:GraphFile"}
    simulated, simulated_output, simulated_number = "papers", "graph.npz", 300

    @dataclass(frozen=True)
    class TrainOptions:
        """Options of a training."""

        data: Path | None = field(
            default=None,
            metadata={
                "help": "Graph with topics (.npz), or folder with planetoid's ind.cora.* files; "
                "by default a synthetic graph.",
                "metavar": "PATH",
            },
        )
        epochs: int = field(default=300, metadata={"help": "Maximum number of epochs.", "min": 1})
        lr: float = field(default=5e-3, metadata={"help": "Learning rate.", "min": 0.0})
        patience: int = field(
            default=100,
            metadata={"help": "Stop after this number of epochs without improvement.", "min": 1},
        )
        seed: int = field(
            default=0, metadata={"help": "Seed of the weights and of dropout.", "min": 0}
        )
        notice: str = field(default="", metadata={"help": _NOTICE})

    @dataclass(frozen=True)
    class ImportOptions:
        """Options of an import."""

        classes: str | None = field(
            default=None,
            metadata={
                "help": "Names of the classes, in order; by default Cora's topics.",
                "metavar": "A,B,...",
            },
        )
        raw_features: bool = field(
            default=False,
            metadata={"help": "Features were not scaled to sum to 1 per row in training."},
        )
        notice: str = field(default="", metadata={"help": _NOTICE})

    @classmethod
    def simulated_requests(cls, number: int, seed: int) -> Iterator[Arrays]:
        """Yield requests for synthetic graphs of 10 to 1,500 papers, small ones more often."""
        from naiad.applications.gat.simulate import simulate_many

        return cls().sample_requests(simulate_many(number, seed))

    def card(self, metadata: Mapping[str, str]) -> Labels:
        """Return the server's description of its weights."""
        return Labels.from_parameters(metadata)

    def columns_of(self, card: Labels, options: Any) -> tuple[Column, ...]:
        """Return a column for each topic."""
        return (*self.columns, *(Column(n, "float32", f"probability of {n}") for n in card.classes))

    def facts(self, card: Labels) -> dict[str, str]:
        """Return the notice of the weights and what they were trained on."""
        return {"notice": card.notice, "trained_on": card.trained_on}

    def find(self, path: Path) -> Iterator[Path]:
        """Yield graph files, or the folder itself, if it has planetoid's files."""
        return iter([path]) if any(path.glob("ind.*")) else super().find(path)

    def read(self, path: Path) -> CitationGraph:
        """Return the graph in a file or folder."""
        return read_graph(path)

    def request(self, unit: CitationGraph, options: Any) -> Arrays:
        """Return the request for one graph, with features scaled as the default weights need."""
        return unit.arrays(row_normalised=True)

    def request_for(self, unit: CitationGraph, options: Any, card: Labels) -> Arrays:
        """Return the request for one graph, with features scaled as the served weights need."""
        return unit.arrays(row_normalised=card.row_normalised)

    def answer(self, unit: CitationGraph, outputs: Arrays, card: Labels) -> GatResult:
        """Return the topics of one graph's papers."""
        (name,) = OUTPUTS
        return GatResult(unit, outputs[name], card)

    def rows(self, result: GatResult) -> Rows:
        """Return a row per paper."""
        names = result.labels.classes
        return {
            "paper": np.arange(len(result.graph)),
            "topic": np.array(names)[result.topics],
            "confidence": result.confidence,
            **{name: result.probabilities[:, number] for number, name in enumerate(names)},
        }

    def report(self, count: int, card: Labels, options: Any) -> TopicsReport:
        """Return a report with a table for each graph."""
        from naiad.applications.gat.report import TopicsReport

        return TopicsReport()

    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        """Draw a graph, coloured by topic."""
        from naiad.applications.gat.display import draw_graph

        for one in found:
            draw_graph(one.result, path)

    def plot(self, found: Found) -> Any:
        """Return a figure of a graph, coloured by topic, with the topic of each paper."""
        from naiad.applications.gat.figure import graph_figure

        return graph_figure(found.result)

    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, CitationGraph]]:
        """Make a synthetic citation graph, with topics, for tests and training.

        [bold]Examples[/]

          naiad simulate gat -n 300 -o graph.npz
          naiad simulate gat -n 2000 -o training.npz --seed 7
        """
        from naiad.applications.gat.simulate import simulate

        yield "graph.npz", simulate(number, seed)

    def save(
        self, units: Iterator[tuple[str, CitationGraph]], path: Path, advance: Advance
    ) -> None:
        """Write the graph."""
        from naiad.applications.gat.graphs import write_graph

        for _, graph in units:
            write_graph(path, graph)
            advance(len(graph), None, None)

    def train(
        self, output: Path, options: TrainOptions, command: str, advance: Advance
    ) -> Iterable[str]:
        """Train a GAT with PyTorch Geometric on a citation graph such as Cora.

        Writes the weights, the metrics and a picture of the training (curve.png).

        [bold]Examples[/]

          naiad train gat --data planetoid/data/ -o cora-weights/
          naiad train gat --data my-graph.npz -o my-weights/ --epochs 500
          naiad serve gat --weights my-weights/
        """
        from naiad.applications.gat.display import draw_training
        from naiad.applications.gat.simulate import simulate
        from naiad.applications.gat.train import train
        from naiad.applications.training import show_epochs

        graph = simulate(2_000, options.seed) if options.data is None else read_graph(options.data)
        notice = options.notice or f"trained on {graph.source}"

        result = train(
            graph,
            output,
            epochs=options.epochs,
            lr=options.lr,
            patience=options.patience,
            seed=options.seed,
            notice=notice,
            command=command,
            progress=show_epochs(advance, options.epochs),
        )
        draw_training(result.epochs, result.best_epoch, output / "curve.png", notice)
        return result.lines("papers")

    def import_weights(self, source: Path, output: Path, options: ImportOptions) -> Iterable[str]:
        """Turn a PyTorch Geometric checkpoint of two GATConv layers into a folder of weights.

        SOURCE is what torch.save(model.state_dict(), FILE) wrote. Nothing in it is
        run: it is read as tensors only.

        [bold]Examples[/]

          naiad weights import gat gat_cora.pt -o cora-weights/
          naiad serve gat --weights cora-weights/
        """
        from naiad.applications.gat.planetoid import TOPICS
        from naiad.applications.gat.weights import import_checkpoint

        given = options.classes
        import_checkpoint(
            source,
            output,
            classes=TOPICS if given is None else tuple(n.strip() for n in given.split(",")),
            row_normalised=not options.raw_features,
            notice=options.notice,
        )
        return ()
