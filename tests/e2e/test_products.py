"""Products on the real server."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import tritonclient.grpc as grpcclient
from tests.support.full import full
from tests.unit.client.clients import in_a_loop
from typer.testing import CliRunner, Result

import naiad
from naiad import testing
from naiad.applications.products import product_store
from naiad.applications.products.contract import GraphEmbeddings
from naiad.applications.products.graph import write_graph
from naiad.applications.products.model import SageNet
from naiad.applications.products.pipeline import Products
from naiad.applications.products.product_store import embed, load_graph
from naiad.applications.products.simulate import simulate
from naiad.applications.products.train import every_layer, train
from naiad.applications.products.weights import load_weights
from naiad.applications.store import open_store
from naiad.cli.main import app
from naiad.errors import InvalidInput, StoreError, Unavailable
from naiad.runtime.runner import Runner
from naiad.triton.server import Server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the store."""
    return tmp_path_factory.mktemp("products") / "store"


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    names = ("products", "graph_embeddings", "products_recommend")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAIAD_PRODUCTS", str(place))
        server = testing.serve(*names, instances=1)
    with server:
        yield server


def test_categories_and_embeddings_are_returned(server: Server) -> None:
    pipeline = Products()
    answer = server.client().infer("products", product=np.arange(300))
    assert answer["embeddings"].shape == (300, 2, 256)
    assert answer["probabilities"].shape == answer["logits"].shape == (300, 47)
    np.testing.assert_allclose(answer["probabilities"].sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(answer["neighbours"], pipeline.graph.degrees(np.arange(300)))
    found = answer["probabilities"].argmax(axis=1)
    assert (found == pipeline.graph.category[:300]).mean() > 0.7


def test_a_product_gets_the_same_answer_from_many_clients_at_once(server: Server) -> None:
    alone = server.client().infer("products", product=[17], seed=[5])
    rng = np.random.default_rng(0)
    orders = [np.insert(rng.integers(0, 2_500, size), 0, 17) for size in rng.integers(0, 40, 48)]

    def ask(products: np.ndarray) -> np.ndarray:
        with naiad.Client(server.grpc_url) as client:
            return client.infer("products", product=products, seed=[5])["embeddings"][0]

    with ThreadPoolExecutor(16) as pool:
        for embeddings in pool.map(ask, orders):
            np.testing.assert_allclose(embeddings, alone["embeddings"][0], rtol=1e-4, atol=1e-4)


def test_an_unknown_product_fails_only_its_own_request(server: Server) -> None:
    def ask(product: int) -> str:
        try:
            with naiad.Client(server.grpc_url) as client:
                client.infer("products", product=[1, product])
        except InvalidInput as error:
            return str(error)
        return "answered"

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(ask, [2, 2_500, 3, -1, 4]))
    assert said == [
        "answered",
        "product[1] is 2500; it must be 0 to 2499: the graph has 2,500 products",
        "answered",
        "product[1] is -1; it must be at least 0",
        "answered",
    ]


def test_the_existing_clients_of_graph_embeddings_are_answered(server: Server) -> None:
    example = GraphEmbeddings().example()
    inputs = []
    for number in range(7):
        array = example[f"input__{number}"]
        datatype = "INT64" if number else "FP32"
        inputs.append(grpcclient.InferInput(f"input__{number}", list(array.shape), datatype))
        inputs[-1].set_data_from_numpy(array)
    with grpcclient.InferenceServerClient(server.grpc_url) as client:
        answer = client.infer("graph_embeddings", inputs, client_timeout=60)
        config = client.get_model_config("graph_embeddings", as_json=True)["config"]
    dims = {t["name"]: [int(d) for d in t["dims"]] for t in (*config["input"], *config["output"])}
    assert dims == {
        "input__0": [1000, 100],
        **{f"input__{n}": [2, -1] for n in (1, 3, 5)},
        **{f"input__{n}": [2] for n in (2, 4, 6)},
        "output__0": [500, 256],
        "output__1": [500, 256],
        "output__2": [500, 47],
    }
    for name, size in dims.items():
        if name.startswith("output"):
            assert answer.as_numpy(name).shape == tuple(size)
    assert np.isfinite(answer.as_numpy("output__2")).all()


def test_the_served_embeddings_are_near_those_of_all_neighbours(server: Server) -> None:
    """Sampling changes embeddings a little, and the category of few products."""
    pipeline = Products()
    folder = pipeline.weights_path
    assert folder is not None
    net, _ = load_weights(folder)
    with torch.inference_mode():
        exact = every_layer(net, pipeline.graph)
    answer = server.client().infer("products", product=np.arange(500))
    same = answer["logits"].argmax(axis=1) == exact[-1][:500].argmax(dim=1).numpy()
    assert same.mean() > 0.85


@pytest.fixture(scope="module")
def store(server: Server, place: Path) -> Path:
    """Return a store with the graph and all embeddings, filled by the command from the server.

    Until it exists, requests are refused with the remedy.
    """
    with pytest.raises(
        Unavailable, match=r"no graph store at .*; `naiad products embed` fills one"
    ):
        server.client().products.recommend([17])
    done = run("products", "embed", "--store", place, "--url", server.grpc_url)
    assert done.exit_code == 0, done.output
    assert "computed 2,500 embeddings" in done.output
    again = run("products", "embed", "--store", place, "--url", server.grpc_url)
    assert "computed 0 embeddings" in again.output
    return place


def run(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)))


def test_the_stored_embeddings_are_those_served(server: Server, store: Path) -> None:
    answer = server.client().products.infer([3, 1_000])
    with open_store(store) as opened:
        assert opened.missing("Product", "embedding") == []
        vectors = opened.vectors("Product", "embedding", [3, 1_000])
    for row, key in enumerate((3, 1_000)):
        np.testing.assert_allclose(vectors[key], answer.embeddings[row, -1], rtol=1e-4, atol=1e-4)


def test_recommendations_fit_the_basket_and_are_explained(server: Server, store: Path) -> None:
    graph = Products().graph
    found = server.client().products.recommend([17], k=10)
    assert len(found) == 10
    assert found == in_a_loop(server.grpc_url, lambda c: c.products.recommend([17], k=10))
    scores = [pick.score for pick in found]
    assert scores == sorted(scores, reverse=True)
    own = graph.categories[graph.category[17]]
    assert sum(pick.category == own for pick in found) >= 7
    for pick in found:
        assert pick.product != 17
        together = 17 in graph.neighbours(np.array([pick.product]))
        assert pick.bought_together == int(together)
        shared = np.intersect1d(
            graph.neighbours(np.array([17])), graph.neighbours(np.array([pick.product]))
        )
        assert pick.shared == len(shared)
    done = run("products", "recommend", 17, "-k", 3, "--url", server.grpc_url)
    assert done.exit_code == 0, done.output
    assert str(found[0].product) in done.output
    assert "shared neighbour" in done.output
    assert "synthetic co-purchase graph" in done.output


def test_a_product_bought_with_nothing_gets_no_pick_from_the_graph(
    server: Server, store: Path
) -> None:
    alone = int(np.argmin(Products().graph.degrees()))
    assert Products().graph.degrees()[alone] == 0
    assert server.client().products.recommend([alone], graph_weight=1.0) == []
    done = run("products", "recommend", alone, "--graph-weight", 1, "--url", server.grpc_url)
    assert "no product has anything in common with the basket in the graph" in done.output


def test_a_missing_product_is_refused(server: Server, store: Path) -> None:
    with pytest.raises(InvalidInput, match=r"product\[0\] is 2500; it must be 0 to 2499"):
        server.client().products.recommend([2_500])
    with pytest.raises(InvalidInput, match="the basket has 0 products; it must have 1 to 32"):
        server.client().products.recommend([])


def test_the_command_prints_categories_and_writes_them(server: Server, tmp_path: Path) -> None:
    table, picture = tmp_path / "t.csv", tmp_path / "p.png"
    words = ["infer", "products", 17, 42, 99, "--top", 2, "--url", server.grpc_url]
    done = run(*words, "-o", table, "--plot", picture)
    assert done.exit_code == 0, done.output
    assert "3 answered" in done.output
    assert "synthetic co-purchase graph" in done.output
    result = server.client().products.infer([17, 42, 99])
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["category"] for row in rows] == [result.top(n, 1)[0][0] for n in range(3)]
    assert picture.stat().st_size > 5_000


def test_others_query_while_embeddings_are_written_and_an_interrupted_run_resumes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, client = str(tmp_path / "store"), server.client().products
    load_graph(where, Products().graph, client.card, width=256)
    monkeypatch.setattr(product_store, "_PUBLISH", 0.0)
    seen: list[str] = []

    def query(done: int, total: int) -> None:
        if done == 1_000:
            seen.append(subprocess.check_output([sys.executable, "-c", QUERY, where], text=True))
            with pytest.raises(StoreError, match="locked: another process is writing to it"):
                embed(where, client)
        if done == 2_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(where, client, per_request=500, concurrency=1, progress=query)
    assert seen == ["500 of 2500 have an embedding; the nearest to 3 is 3\n"]
    assert embed(where, client, per_request=500) == 500


QUERY = """
import sys
from naiad.applications.store import open_store
with open_store(sys.argv[1]) as store:
    total, missing = store.count("Product"), len(store.missing("Product", "embedding"))
    query = store.vectors("Product", "embedding", [3])[3]
    (nearest,) = store.nearest("Product", "embedding", query, 1)
print(f"{total - missing} of {total} have an embedding; the nearest to 3 is {nearest.key}")
"""


@full
def test_one_folder_of_weights_serves_several_models(tmp_path: Path) -> None:
    folder = tmp_path / "shop=weights"
    graph = simulate(300, 1)
    write_graph(folder / "graph", graph)
    train(graph, folder, graph_folder="graph", epochs=1, hidden=256, fanouts=(5, 5, 5))
    other = tmp_path / "other"
    torch.save(SageNet(load_weights(folder)[1].architecture).state_dict(), tmp_path / "sage.pt")
    imported = CliRunner().invoke(
        app, ["weights", "import", "products", str(tmp_path / "sage.pt"), "-o", str(other)]
    )
    assert imported.exit_code == 0, imported.output
    asked = {"product": np.array([3, 5])}
    with testing.serve("products", "products_recommend", weights=folder) as server:
        assert server.models == ("products", "products_recommend")
        served = server.client().infer("products", asked)
        np.testing.assert_array_equal(served["neighbours"], graph.degrees(asked["product"]))
    named = {"products": folder, "graph_embeddings": other}
    with testing.serve("products", "graph_embeddings", "gat", weights=named) as server:
        again = server.client().infer("products", asked)
        np.testing.assert_array_equal(again["logits"], served["logits"])
        request = GraphEmbeddings(other).example()
        answer = server.client().infer("graph_embeddings", request)
        expected = testing.run(Runner(GraphEmbeddings(other), "cpu"), request)[0]
        np.testing.assert_allclose(answer["output__2"], expected["output__2"], rtol=1e-4, atol=1e-5)
