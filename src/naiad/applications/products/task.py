"""The product tasks: numbers in; categories, embeddings and recommendations out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.text import Text

from naiad.application import Application
from naiad.console import bar, print_columns, say
from naiad.core.schema import Arrays
from naiad.errors import InvalidInput
from naiad.tasks.task import (
    Advance,
    Column,
    Draws,
    Found,
    ImportsWeights,
    Parses,
    Reports,
    Rows,
    Simulates,
    Task,
    Trains,
)

if TYPE_CHECKING:
    from naiad.applications.products.graph import ProductGraph
    from naiad.applications.products.results import Labels, ProductsResult

_BAR: Final = 24  # characters of a probability of 1
_MOST_SHOWN: Final = 20
_FANOUTS: Final = {
    "help": "Neighbours sampled per product at each hop, the nearest first.",
    "metavar": "A,B,...",
}


class ProductsTask(
    Task[NDArray[np.int64], "ProductsResult"],
    Parses[NDArray[np.int64]],
    Reports,
    Draws,
    Simulates["ProductGraph"],
    Trains,
    ImportsWeights,
):
    """Classify products in a co-purchase graph with a served GraphSAGE.

    [bold]Examples[/]

      naiad infer products 17 42 --top 5
      naiad infer products 17 42 -o categories.csv --url gpu-server:8001
      naiad infer products 17 --local --weights my-weights/
    """

    name = "products"
    summary = "category of each product in a co-purchase graph, and its embeddings, by GraphSAGE"
    pipeline = "naiad.applications.products.pipeline:Products"
    packages = ("torch", "scipy", "safetensors")
    on_request = True
    demos = {"products": "naiad.applications.products.demo:run"}

    unit, argument, example = "products", "PRODUCT", "17 42"
    formats = {".npz": "naiad.applications.products.results:ArraysWriter"}
    columns = (
        Column("product", "int64", "number of the product in the graph"),
        Column("category", doc="the most probable category"),
        Column("confidence", "float64", "its probability"),
        Column("neighbours", "int64", "number of products it was bought with"),
    )
    most = 1 << 20
    clients = (
        "naiad.applications.products.client:ProductsClient",
        "naiad.applications.products.aio:AsyncProductsClient",
    )
    simulated, simulated_output, simulated_number = "products", "shop", 5_000

    @dataclass(frozen=True)
    class Options:
        """Options of a request and of the printed answer."""

        seed: int = field(
            default=0, metadata={"min": 0, "help": "Seed of the sampling of neighbours."}
        )
        top: int = field(
            default=3,
            metadata={
                "min": 1,
                "help": "Number of categories to show per product.",
                "display": True,
            },
        )

    @dataclass(frozen=True)
    class TrainOptions:
        """Options of a training."""

        data: Path | None = field(
            default=None,
            metadata={
                "metavar": "DIR",
                "help": "Graph written by `naiad simulate products`, or OGB's folder of "
                "ogbn-products. Default: a synthetic graph.",
            },
        )
        epochs: int = field(default=20, metadata={"min": 1, "help": "Number of epochs."})
        batch: int = field(default=1_024, metadata={"min": 1, "help": "Products per step."})
        lr: float = field(default=3e-3, metadata={"min": 0.0, "help": "Learning rate."})
        hidden: int = field(default=256, metadata={"min": 1, "help": "Width of an embedding."})
        fanouts: str = field(default="15,10,5", metadata=_FANOUTS)
        seed: int = field(
            default=0, metadata={"min": 0, "help": "Seed of weights, dropout and sampling."}
        )
        notice: str = field(
            default="", metadata={"help": "Notice to users, stored with the weights."}
        )

    @dataclass(frozen=True)
    class ImportOptions:
        """Options of an import."""

        graph: Path | None = field(
            default=None,
            metadata={
                "metavar": "DIR",
                "help": "Graph to serve the weights with, or OGB's folder of ogbn-products, which "
                "is converted; not needed for graph_embeddings.",
            },
        )
        categories: Path | None = field(
            default=None,
            metadata={
                "metavar": "FILE",
                "help": "Text file with one category per line, in the order of the classes.",
            },
        )
        fanouts: str = field(default="15,10,5", metadata=_FANOUTS)
        notice: str = field(
            default="", metadata={"help": "Notice to users, stored with the weights."}
        )

    @classmethod
    def simulated_requests(cls, number: int, seed: int) -> Iterator[Arrays]:
        """Yield requests for 1 to 256 products of Naiad's sample graph."""
        from naiad.applications.products.simulate import simulated_requests

        return simulated_requests(number, seed)

    def sample_requests(self, units: Iterable[Any]) -> Iterator[Arrays]:
        """Yield the requests for some baskets, which need no model card."""
        options = self.sample_options()
        return (self.request(self.coerce(unit, options), options) for unit in units)

    def parse(self, text: str) -> NDArray[np.int64]:
        """Return the products of a basket such as ``17 42``."""
        try:
            return np.array([int(word) for word in text.split()], np.int64)
        except ValueError:
            raise InvalidInput(
                f"{text[:80]!r} is not a basket; give the numbers of products, such as 17 42"
            ) from None

    def coerce(self, unit: ArrayLike, options: Any = None) -> NDArray[np.int64]:
        """Return products as an array of numbers."""
        numbers = np.atleast_1d(np.asarray(unit))
        if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
            raise InvalidInput(
                f"products are {numbers.dtype} {list(numbers.shape)}; give a list of whole numbers"
            )
        return numbers.astype(np.int64)

    def request(self, unit: NDArray[np.int64], options: Any) -> Arrays:
        """Return a request for some products; a product's answer does not depend on the others."""
        return {"product": unit, "seed": np.array([options.seed])}

    def card(self, metadata: Mapping[str, str]) -> Labels:
        """Return the model card."""
        from naiad.applications.products.results import Labels

        return Labels.from_parameters(metadata)

    def answer(self, unit: NDArray[np.int64], outputs: Arrays, card: Labels) -> ProductsResult:
        """Return categories and embeddings."""
        from naiad.applications.products.results import ProductsResult

        return ProductsResult.of(unit, outputs, card)

    def rows(self, result: ProductsResult) -> Rows:
        """Return the columns for some products."""
        names = [result.labels.categories[number] for number in result.category]
        return {
            "product": result.product,
            "category": names,
            "confidence": np.round(result.confidence.astype(np.float64), 6),
            "neighbours": result.neighbours,
        }

    def report(self, count: int, card: Labels, options: Any) -> _Report:
        """Return a report with the most probable categories."""
        return _Report(card, options.top)

    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        """Draw products by their embeddings."""
        from naiad.applications.products.display import draw_embeddings
        from naiad.applications.products.results import join

        if found:
            draw_embeddings(join([one.result for one in found]), path)

    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, ProductGraph]]:
        """Make a synthetic co-purchase graph, with categories, to try out and to train on.

        [bold]Examples[/]

          naiad simulate products -n 5000 -o shop
          naiad train products --data shop -o shop-weights
        """
        from naiad.applications.products.simulate import simulate

        yield "graph", simulate(number, seed)

    def save(self, units: Iterator[tuple[str, ProductGraph]], path: Path, advance: Advance) -> None:
        """Write the graph to a folder."""
        from naiad.applications.products.graph import write_graph

        for _, graph in units:
            write_graph(path, graph)
            advance(len(graph), None, None)

    def train(self, output: Path, options: Any, command: str, advance: Advance) -> Iterable[str]:
        """Train GraphSAGE on a co-purchase graph.

        Writes the weights, a plot of the training (curve.png) and its metrics.
        The weights name the graph they are served with: that of --data, or the
        folder graph/ beside them if it had to be made.

        [bold]Examples[/]

          naiad train products --data shop -o shop-weights
          naiad train products --data ogbn_products/ -o ogb-weights --epochs 20
          naiad serve products --weights shop-weights
        """
        sizes = _fanouts(options.fanouts)
        from naiad.applications.products.datasets import training_graph
        from naiad.applications.products.display import draw_training
        from naiad.applications.products.train import train
        from naiad.applications.training import show_epochs

        graph, graph_folder = training_graph(
            options.data, output, options.seed, lambda file, lines: advance(lines, None, file)
        )
        notice = options.notice or f"trained on {graph.source}"

        result = train(
            graph,
            output,
            graph_folder=graph_folder,
            epochs=options.epochs,
            batch=options.batch,
            lr=options.lr,
            hidden=options.hidden,
            fanouts=sizes,
            seed=options.seed,
            notice=notice,
            command=command,
            progress=show_epochs(advance, options.epochs),
        )
        draw_training(result.epochs, result.best_epoch, output / "curve.png", notice)
        return result.lines("products")

    def import_weights(self, source: Path, output: Path, options: Any) -> Iterable[str]:
        """Turn a PyTorch Geometric checkpoint of SAGEConv layers into a folder of weights.

        SOURCE is a file written by torch.save(model.state_dict(), FILE). It is read
        as tensors only; no code in it is run.

        [bold]Examples[/]

          naiad weights import products sage.pth.tar -o weights/ --graph shop/
          naiad weights import products sage.pth.tar -o weights/ --graph ogbn_products/
          naiad serve products --weights weights/
          naiad serve graph_embeddings --weights weights/
        """
        from naiad.applications.products.datasets import training_graph
        from naiad.applications.products.weights import import_checkpoint, read_architecture
        from naiad.console import progress_bar

        names: tuple[str, ...] | None = None
        folder = ""
        if options.graph is not None:
            features = read_architecture(source).features  # before minutes of conversion
            with progress_bar("reading the graph", None, unit="lines") as advance:
                graph, folder = training_graph(
                    options.graph, output, 0, lambda file, lines: advance(lines, None, file)
                )
            if graph.features.shape[1] != features:
                raise InvalidInput(
                    f"{options.graph} has {graph.features.shape[1]} features per product; the "
                    f"weights need {features}"
                )
            names = graph.categories or None
        if options.categories is not None:
            names = tuple(options.categories.read_text("utf-8").splitlines())
        import_checkpoint(
            source,
            output,
            classes=names,
            graph=folder,
            fanouts=_fanouts(options.fanouts),
            notice=options.notice,
        )
        if options.graph is None:
            yield "the weights have no graph: clients of graph_embeddings send their own"

    def served_as(self, weights: Path, options: Any) -> str:
        """Return the model that needs no graph if there is none."""
        return self.name if options.graph is not None else GraphEmbeddings.name


class ProductsRecommend(Application):
    """Products to go with a basket."""

    name = "products_recommend"
    summary = "products to go with a basket, from a graph store"
    pipeline = "naiad.applications.products.recommend_pipeline:ProductsRecommend"
    packages = ("ladybug", "pyarrow")
    on_request = True

    @classmethod
    def requests_in(cls, path: Path) -> Iterator[Arrays]:
        """Yield a request for each line of a file, such as ``17 42``."""
        from naiad.tasks.sources import read_lines

        task = ProductsTask()
        return ({"product": task.parse(line)} for line in read_lines(Path(path)))


class GraphEmbeddings(Application):
    """The same network under a public example's contract."""

    name = "graph_embeddings"
    summary = "the same network under the contract of a public GraphSAGE example"
    pipeline = "naiad.applications.products.contract:GraphEmbeddings"
    packages = ("torch", "safetensors")
    on_request = True


class _Report:
    """The most probable categories of each product, for at most twenty products."""

    def __init__(self, labels: Labels, top: int) -> None:
        self._labels, self._top = labels, top
        self._rows: list[list[Text | str]] = []
        self._products = self._shown = self._isolated = 0

    def add(self, found: Found) -> None:
        result: ProductsResult = found.result
        self._products += len(result)
        self._isolated += int((result.neighbours == 0).sum())
        for row in range(min(len(result), _MOST_SHOWN - self._shown)):
            self._shown += 1
            first = (str(result.product[row]), f"{result.neighbours[row]:,}")
            for name, share in result.top(row, self._top):
                self._rows.append([*first, name, f"{share:.2f}", Text(bar(share, _BAR), "cyan")])
                first = ("", "")

    def print(self, seconds: float) -> None:
        labels = self._labels
        say(
            f"{labels.graph}: {labels.products:,} products; {self._products:,} answered in "
            f"{1000 * seconds:.0f} ms"
        )
        print_columns(self._rows, ("product", "bought with", "category", "", ""))
        if self._products > self._shown:
            say(f"and {self._products - self._shown:,} more")
        if self._isolated:
            say(f"{self._isolated:,} have no neighbours: only their features count")


def _fanouts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidInput(f"--fanouts is {text!r}; give numbers, such as 15,10,5") from None
