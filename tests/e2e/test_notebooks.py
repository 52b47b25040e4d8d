"""docs/notebooks.md, in a kernel of Jupyter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.markdown import ROOT, blocks

pytest.importorskip("ipykernel")
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("torch_geometric")

EDIT = """
def scaled(x):
    return x * 10 * FACTOR

server.stop()
server = naiad.serve(Scale, grpc_port=0, http_port=0, metrics_port=0)
server.client().infer("scale", x=np.array([1, 2], np.float32))
"""
TRAINED = """
expected = net(graph.x, graph.edge_index)
torch.allclose(server.client().infer("net", graph)["output"], expected, atol=1e-5)
"""
END = "server.stop()\nserver"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Run the page's cells, with some between them."""
    page = [block.text for block in blocks(ROOT / "docs" / "notebooks.md")]
    sources = [*page[:3], EDIT, page[3], TRAINED, *page[4:], END]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in sources])
    place = {"metadata": {"path": str(tmp_path_factory.mktemp("book"))}}
    nbclient.NotebookClient(book, timeout=240, kernel_name="python3", resources=place).execute()
    return book.cells


def shown(cell: Any, kind: str) -> str:
    """Return the value of a cell in one of its forms."""
    (found,) = [one for one in cell.outputs if one.output_type == "execute_result"]
    return found.data.get(kind, "")


def test_a_class_of_a_cell_is_served_and_so_is_its_edit(cells: list[Any]) -> None:
    assert shown(cells[2], "text/plain") == "{'x': array([2., 4.], dtype=float32)}"
    assert shown(cells[3], "text/plain") == "{'x': array([20., 40.], dtype=float32)}"


def test_a_server_shows_its_addresses_and_models(cells: list[Any]) -> None:
    assert shown(cells[1], "text/plain").endswith("; scale)")
    for part in ("gRPC", "metrics", "scale: ready", "log"):
        assert part in shown(cells[1], "text/html")
    assert shown(cells[-1], "text/plain") == "Server(not running)"


def test_a_trained_network_of_a_cell_is_served_as_it_is(cells: list[Any]) -> None:
    assert shown(cells[4], "text/plain") == "torch.Size([4, 8])"
    assert shown(cells[5], "text/plain") == "True"


def test_an_event_is_shown_with_its_display_and_its_hits(cells: list[Any]) -> None:
    assert shown(cells[6], "text/plain").startswith("NuGraph3Result(1/0/0: ")
    html = shown(cells[6], "text/html")
    assert "data:image/png;base64,iVBOR" in html
    assert "<th>semantic</th>" in html
    assert "the first 20 of " in html


def test_the_page_has_nothing_else(cells: list[Any]) -> None:
    assert len([*blocks(Path(ROOT / "docs" / "notebooks.md"))]) == len(cells) - 3
