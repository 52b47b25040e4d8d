"""The film graph: its tables, and facts about it that are stored with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from naiad.applications.store import EdgeTable, GraphSchema, NodeTable, Writer

if TYPE_CHECKING:
    import pyarrow as pa

VECTOR: Final = "embedding"
"""The vector of a film's description."""
ENCODER: Final = "encoder"
"""The row of table ``About`` with the name of the encoder that made the embeddings."""
DIMENSION: Final = 384
"""The default length of :data:`VECTOR`, that of all-MiniLM-L6-v2."""

PEOPLE: Final[Mapping[str, str]] = {
    "hasDirector": "director",
    "hasWriter": "writer",
    "hasActor": "actor",
}
"""The edges from films to people, and the person's role."""


def movie_schema(dimension: int = DIMENSION) -> GraphSchema:
    """Return the schema for embeddings of a given length."""
    return GraphSchema(
        nodes=(
            NodeTable(
                "Movie",
                {
                    "title": "string",
                    "year": "int64",
                    "overview": "string",
                    "tagline": "string",
                    "genres": "strings",
                    "released": "string",
                    "language": "string",
                    "collection": "string",
                    "imdb_id": "string",
                    "tmdb_id": "string",
                    "vote_average": "double",
                    "vote_count": "double",
                    "popularity": "double",
                    "runtime": "double",
                    "budget": "double",
                    "revenue": "double",
                },
                vectors={VECTOR: dimension},
            ),
            *(
                NodeTable(name, {"name": "string"})
                for name in ("Person", "Genre", "Company", "Country", "Language", "User")
            ),
            NodeTable("About", {"text": "string"}),
        ),
        edges=(
            *(EdgeTable(name, "Movie", "Person") for name in PEOPLE),
            EdgeTable("hasGenre", "Movie", "Genre"),
            EdgeTable("hasProductionCompany", "Movie", "Company"),
            EdgeTable("hasProductionCountry", "Movie", "Country"),
            EdgeTable("hasAvailabilityIn", "Movie", "Country"),
            EdgeTable("hasSpokenLanguage", "Movie", "Language"),
            EdgeTable("rated", "User", "Movie", {"rating": "double", "timestamp": "int64"}),
        ),
    )


@dataclass(slots=True)
class MovieTables:
    """A graph that has been read but not stored.

    Attributes:
        nodes: rows by node table.
        edges: rows by edge table.
        source: the origin of the graph.
        notice: a notice to its users.
        complaints: what was left out of the source, and why.
    """

    nodes: dict[str, pa.Table]
    edges: dict[str, pa.Table]
    source: str
    notice: str = ""
    complaints: list[str] = field(default_factory=list[str])

    def rows(self) -> int:
        """Count all rows."""
        return sum(table.num_rows for table in (*self.nodes.values(), *self.edges.values()))

    def write(self, writer: Writer) -> Iterator[int]:
        """Fill a new store; yield the number of rows loaded, table by table."""
        import pyarrow as pa

        for name, table in self.nodes.items():
            yield writer.load_nodes(name, table)
        for name, table in self.edges.items():
            yield writer.load_edges(name, table)
        about = {"source": self.source, "notice": self.notice}
        writer.load_nodes("About", pa.table({"id": list(about), "text": list(about.values())}))


def description(movie: Mapping[str, Any]) -> str:
    """Return the text that is embedded for a film: title, overview and tagline."""
    title = str(movie["title"] or "")
    parts = [f"{title}." if title else "", movie["overview"] or "", movie["tagline"] or ""]
    return " ".join(filter(None, parts))


def year_of(released: str | None) -> int | None:
    """Return the year of a date such as ``1979-12-06``."""
    start = (released or "")[:4]
    return int(start) if start.isdecimal() else None


def full_title(title: str | None, year: int | None) -> str:
    """Return a title with its year, such as ``Solaris (1972)``."""
    return f"{title or 'untitled'} ({year})" if year else title or "untitled"
