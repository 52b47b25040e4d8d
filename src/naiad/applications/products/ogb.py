"""The files of ogbn-products, as published by the Open Graph Benchmark (arXiv:2005.00687).

::

    raw/edge.csv.gz            two products per line, bought together, one direction
    raw/node-feat.csv.gz       100 numbers per line, a line per product
    raw/node-label.csv.gz      the number of a category per line
    split/sales_ranking/{train,valid,test}.csv.gz     the number of a product per line
    mapping/labelidx2productcategory.csv.gz           names of the categories; optional

Naiad does not download them; they are 1.4 GB. Features are written to the graph's folder as they
are read, so only the edges are in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.products.graph import ProductGraph, graph_of_pairs, open_graph, write_graph
from naiad.errors import InvalidInput, MissingExtra

SOURCE: Final = "ogbn-products (Open Graph Benchmark)"

_LARGEST: Final = 10_000_000  # products
_SPLIT: Final = {"train": "train", "validation": "valid", "test": "test"}

Progress = Callable[[str, int], None]


def ogb_folder(folder: Path) -> Path | None:
    """Return the folder with files named as OGB names them: this one, or OGB's in it, or None."""
    named = (folder, folder / "ogbn_products", folder / "products")
    return next((one for one in named if (one / "raw" / "edge.csv.gz").is_file()), None)


def convert(
    folder: Path, graph: Path, progress: Progress = lambda what, rows: None
) -> ProductGraph:
    """Write the graph in OGB's ``folder`` to the folder ``graph``, and open it.

    ``progress`` is called with the name of the file and the number of lines read.

    Raises:
        InvalidInput: a file is missing or not as OGB writes it.
    """
    raw = folder / "raw"
    label = _column(raw / "node-label.csv.gz", progress)
    products = len(label)
    if not 0 < products <= _LARGEST:
        raise InvalidInput(f"{raw}: {products:,} products; there must be 1 to {_LARGEST:,}")
    split = {
        name: _column(folder / "split" / "sales_ranking" / f"{file}.csv.gz", progress)
        for name, file in _SPLIT.items()
    }
    pairs = np.concatenate(
        [block.T.astype(np.int32) for block in _blocks(raw / "edge.csv.gz", 2, "int64", progress)],
        axis=1,
    )
    try:
        indptr, indices = graph_of_pairs(pairs, products)
    except InvalidInput as error:
        raise InvalidInput(f"{raw / 'edge.csv.gz'}: {error}") from None
    del pairs
    graph.mkdir(parents=True, exist_ok=True)
    try:
        write_graph(
            graph,
            ProductGraph(
                source=SOURCE,
                indptr=indptr,
                indices=indices,
                features=_features(raw / "node-feat.csv.gz", products, graph, progress),
                categories=_categories(folder, int(label.max()) + 1),
                category=label.astype(np.int16),
                **split,
            ),
        )
    finally:
        (graph / _DRAFT).unlink(missing_ok=True)
    return open_graph(graph)


_DRAFT: Final = "features.part.npy"


def _features(path: Path, products: int, graph: Path, progress: Progress) -> NDArray[np.float32]:
    """Read the features into a memory-mapped file: they take 1 GB."""
    width = len(_first_line(path).split(","))
    features: NDArray[np.float32] = np.lib.format.open_memmap(
        graph / _DRAFT, "w+", np.float32, (products, width)
    )
    rows = 0
    for block in _blocks(path, width, "float32", progress):
        if rows + len(block) > products:
            raise InvalidInput(f"{path} has more lines than the {products:,} products")
        features[rows : rows + len(block)] = block
        rows += len(block)
    if rows != products:
        raise InvalidInput(f"{path} has {rows:,} lines; there are {products:,} products")
    return features


def _categories(folder: Path, count: int) -> tuple[str, ...]:
    path = folder / "mapping" / "labelidx2productcategory.csv.gz"
    names = [f"category {number}" for number in range(count)]
    if path.is_file():
        csv = _csv()
        for row in csv.read_csv(_stream(path)).to_pylist():
            number, name = row.values()
            if isinstance(number, int) and 0 <= number < count:
                names[number] = str(name)
    return tuple(names)


def _column(path: Path, progress: Progress) -> NDArray[np.int64]:
    blocks = [block[:, 0] for block in _blocks(path, 1, "int64", progress)]
    return np.concatenate(blocks) if blocks else np.empty(0, np.int64)


def _blocks(path: Path, columns: int, dtype: str, progress: Progress) -> Iterator[NDArray[Any]]:
    """Yield the numbers of a file without a header, in blocks ``[lines, columns]``."""
    import pyarrow as pa

    csv = _csv()
    names = [str(number) for number in range(columns)]
    types = dict.fromkeys(names, pa.type_for_alias(dtype))
    rows = 0
    try:
        with csv.open_csv(
            _stream(path),
            read_options=csv.ReadOptions(column_names=names, block_size=1 << 24),
            convert_options=csv.ConvertOptions(column_types=types, null_values=[]),
        ) as reader:
            for batch in reader:
                rows += batch.num_rows
                progress(path.name, rows)
                yield np.stack([column.to_numpy() for column in batch.columns], axis=1)
    except (OSError, EOFError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(f"{path}: not {columns} numbers per line ({reason})") from error


def _first_line(path: Path) -> str:
    with _stream(path) as stream:
        return stream.read(1 << 16).decode("ascii", "replace").partition("\n")[0]


def _stream(path: Path) -> Any:
    """Open a gzip file for reading."""
    import pyarrow as pa

    try:
        return pa.input_stream(str(path), compression="gzip")
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read ({error}); ogbn-products has raw/ with edge.csv.gz, "
            "node-feat.csv.gz and node-label.csv.gz, and split/sales_ranking/"
        ) from None


def _csv() -> Any:
    try:
        from pyarrow import csv
    except ImportError as error:
        raise MissingExtra("products", error.name or "pyarrow") from error
    return csv
