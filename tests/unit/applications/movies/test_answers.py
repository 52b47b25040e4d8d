"""The answers that docs/movies.md shows are those of the public graph."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.support.markdown import ROOT, blocks
from typer.testing import CliRunner

from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.graph import ENCODER, VECTOR, description, movie_schema
from naiad.applications.movies.reading import read_source
from naiad.applications.store import create_store, open_store
from naiad.applications.text.embedding.encoder import Encoder
from naiad.applications.text.embedding.importing import served_folder
from naiad.cli.main import app

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "movies.md"
PROMPT = "$ naiad "

# The films nearest to a description by embedding, by which others are measured, where the page does
# not show them.
NEAREST = ("eXistenZ (1999)", "Transcendence (2014)", "Sleepless in Seattle (1993)")


def shown() -> dict[str, str]:
    """Return the answers of the page by command."""
    text = "\n".join(block.text for block in blocks(PAGE) if block.language == "console")
    parts = text.removeprefix(PROMPT).split(f"\n{PROMPT}")
    return {command: answer for command, _, answer in (part.partition("\n") for part in parts)}


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def place(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of the graph, in which the films that the page shows have embeddings.

    Embedding all 9,027 would take minutes.
    """
    import pyarrow as pa

    place = tmp_path_factory.mktemp("films") / "store"
    tables = read_source(shared_data / "movies")
    encoder = Encoder(served_folder(None))
    with create_store(place, movie_schema()) as writer:
        assert sum(tables.write(writer)) == tables.rows()
        writer.load_nodes("About", pa.table({"id": [ENCODER], "text": [encoder.card.name]}))
        writer.publish()
        with open_store(place, threads=1) as store:
            catalogue = Catalogue(store)
            names = re.findall(r"^\d+  (.+? \(\d{4}\))", "\n".join(shown().values()), re.MULTILINE)
            names += NEAREST
            names += [shlex.split(command)[2] for command in shown() if " similar " in command]
            keys = list(dict.fromkeys(map(catalogue.find, names)))
            films = [film for film in store.get("Movie", keys) if film is not None]
        vectors = encoder.encode([description(film) for film in films])
        writer.set_vectors("Movie", VECTOR, keys, vectors)
    return place


def test_the_page_shows_each_kind_of_query() -> None:
    commands = " ".join(shown())
    for words in ("search ", "--by ratings", "--by genre", "--by director", "--by cast"):
        assert words in commands
    for option in ("--genre", "--director", "--actor"):
        assert option in commands


@pytest.mark.parametrize("command", shown())
def test_an_answer_is_that_of_the_graph(command: str, place: Path) -> None:
    result = CliRunner().invoke(app, [*shlex.split(command), "--store", str(place)])
    assert result.exit_code == 0, result.output
    assert lines(result.output) == lines(shown()[command])
