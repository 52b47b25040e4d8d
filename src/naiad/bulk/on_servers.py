"""Processing of chunks by servers; this process reads and writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Final

from naiad.bulk.application import Bulk, Json
from naiad.bulk.engine import Advance, versions
from naiad.bulk.inputs import Chunk
from naiad.bulk.journal import Part, Record
from naiad.bulk.reading import Reader, Reading
from naiad.bulk.servers import Servers
from naiad.client.ordered_map import in_order
from naiad.core.schema import Array
from naiad.errors import NaiadError

# Results wait for those before them. Up to this many times the places of all servers may wait, so
# that a slow server does not hold up a fast one.
_AHEAD: Final = 4


class OnServers:
    """Engine that processes chunks on running servers."""

    def __init__(self, servers: Servers) -> None:
        """Use these servers, which must have been started."""
        self._servers = servers
        self.metadata, self.model = servers.metadata, servers.model

    def about(self) -> Json:
        """Return the servers, their Triton, and the versions of packages."""
        return {
            "engine": "servers",
            "servers": [
                {"url": server.client.url, "triton": server.version, "answered": server.answered}
                for server in self._servers.servers
            ],
            "packages": versions("numpy", "tritonclient"),
        }

    def run(self, bulk: Bulk, chunks: Iterable[Chunk], advance: Advance) -> Iterator[Record]:
        """Process the chunks in order."""

        def ask(reading: Reading) -> tuple[Reading, dict[str, Array] | Exception]:
            if isinstance(reading.item, Exception):
                return reading, reading.item
            try:
                request = bulk.request(reading.item, self.metadata)
            except NaiadError as error:
                return reading, error
            return reading, self._servers.ask(request)

        part: Part | None = None
        try:
            with (
                Reader(bulk) as reader,
                closing(
                    in_order(ask, reader.read(chunks), self._servers.places, ahead=_AHEAD)
                ) as answers,
            ):
                for reading, outcome in answers:
                    if part is None:
                        part = Part(bulk, reading.chunk, self.metadata)
                    failed = part.failed
                    part.add(reading.name, reading.item, outcome)
                    advance(1, part.failed - failed)
                    if part.complete:
                        record, part = part.commit(), None
                        yield record
        finally:
            if part is not None:
                part.discard()
