"""Answers per second of the models of texts, films and products, from one client and from 16.

    python benchmarks/text_and_recommendation.py
    python benchmarks/text_and_recommendation.py --films FOLDER movies_recommend movies_similar

Makes the stores that the models read, in a temporary folder: the sample of films, or your own
graph, and the products that come with Naiad, both embedded by the served models. Then runs `naiad
bench MODEL --local` for each, and prints one table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.movies.commands import embed_store, load_store
from naiad.applications.movies.place import VARIABLE as MOVIES
from naiad.applications.products.commands import fill
from naiad.applications.products.product_store import PRODUCT
from naiad.applications.products.product_store import VARIABLE as PRODUCTS
from naiad.applications.store import Store, open_store
from naiad.applications.text.embedding.simulate import simulated_texts
from naiad.triton.serving import serve

_FREE = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
_CLIENTS = (1, 16)


def titles(films: Store) -> list[str]:
    return [film["id"] for film in films.find("Movie", limit=500)]


def descriptions(films: Store) -> list[str]:
    found = [film["overview"] or "" for film in films.find("Movie", limit=500)]
    return [" ".join(text.split()[:12]) for text in found if text.strip()]


def users(films: Store) -> list[str]:
    rated = [user["id"] for user in films.find("User", limit=500)]
    return [user for user in rated if films.links("rated", [user], limit=1)]


def texts(_: Store) -> list[str]:
    return list(simulated_texts(200, 0))


def baskets(products: Store) -> list[str]:
    rng = np.random.default_rng(0)
    number = products.count(PRODUCT)
    return [" ".join(map(str, rng.choice(number, rng.integers(1, 4), False))) for _ in range(200)]


# Requests to each model, one per line; None for its own example.
MODELS: dict[str, Callable[[Store], list[str]] | None] = {
    "zero_shot": texts,
    "text_embedding": texts,
    "movies_similar": titles,
    "movies_search": descriptions,
    "movies_recommend": users,
    "products": None,
    "products_recommend": baskets,
    "graph_embeddings": None,
}


def make_stores(folder: Path, films: Path | None, models: set[str]) -> None:
    """Fill the stores that ``models`` need, and put their paths into the environment."""
    for variable, name in ((MOVIES, "films"), (PRODUCTS, "products")):
        os.environ[variable] = str(folder / name)
    load_store(films, None, 384, force=False)
    if any(model.startswith("movies") for model in models):
        with serve("text_embedding", **_FREE) as server:
            embed_store(None, server.grpc_url, 8)
    if "products_recommend" in models:
        with serve("products", **_FREE) as server:
            fill(None, None, None, server.grpc_url, per_request=64, concurrency=4, force=True)


def bench(model: str, folder: Path, duration: str) -> list[dict[str, Any]]:
    """Return the levels of `naiad bench`."""
    words = ["--local", "--concurrency", ",".join(map(str, _CLIENTS)), "--duration", duration]
    lines = MODELS[model]
    if lines is not None:
        data = folder / f"{model}.txt"
        place = os.environ[PRODUCTS if model.startswith("products") else MOVIES]
        with open_store(place) as store:
            data.write_text("\n".join(lines(store)), "utf-8")
        words += ["--data", str(data)]
    output = folder / model
    command = [
        str(Path(sys.executable).with_name("naiad")),
        "bench",
        model,
        *words,
        "--output",
        str(output),
    ]
    subprocess.run(command, check=True)
    return json.loads((output / "report.json").read_text("utf-8"))["levels"]


def row(model: str, levels: list[dict[str, Any]]) -> str:
    rates = [level["throughput"] for level in levels]
    median = [f"{1e3 * level['latency']['p50']:.1f}" for level in levels]
    batch = levels[-1]["server"]["batch"]["requests"]
    cells = [*(f"{rate:.1f}" for rate in rates), f"{rates[-1] / rates[0]:.2f}", *median]
    return f"| `{model}` | {' | '.join(cells)} | {batch:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"by default {', '.join(MODELS)}")
    parser.add_argument("--films", type=Path, help="folder that `naiad movies load` can read")
    parser.add_argument("--duration", default="10s", help="per load")
    arguments = parser.parse_args()
    models = arguments.models or list(MODELS)
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch:
        folder = Path(scratch)
        make_stores(folder, arguments.films, set(models))
        rows = [row(model, bench(model, folder, arguments.duration)) for model in models]
    print("\n| model | answers/s, 1 client | 16 clients | ratio | p50 ms, 1 | 16 | batch at 16 |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
