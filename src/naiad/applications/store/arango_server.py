"""A database on an ArangoDB server, through python-arango."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

from naiad.applications.store.schema import Key
from naiad.errors import InvalidInput, MissingExtra, StoreError

try:
    from arango.client import ArangoClient
    from arango.exceptions import ArangoError
except ImportError as error:
    raise MissingExtra("store-arango", "python-arango") from error

SCHEMES: Final = {"arangodb": "http", "arangodbs": "https"}
"""The schemes of store URLs, and the HTTP scheme of each."""

META: Final = "naiad_store"
"""The collection that holds the schema and the lock."""

_MOST_KEY_BYTES = 254
_KEY_CHARACTERS = "_-:.@()+,=;$!*'"  # allowed in a _key besides letters, digits and %

T = TypeVar("T")


class ArangoServer:
    """A database that threads may share.

    Args:
        url: ``arangodb://user:password@host:port/database``, or ``arangodbs://`` for TLS; the
            password may be in the environment variable ``NAIAD_ARANGO_PASSWORD`` instead.

    Raises:
        InvalidInput: the URL is not valid.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        database = parts.path.strip("/")
        self.name = hidden(url)
        """The URL without a password."""
        if parts.scheme not in SCHEMES or not parts.hostname or not database:
            raise InvalidInput(
                f"{self.name} is not the URL of a store; it must look like "
                "arangodb://user@localhost:8529/database"
            )
        host = f"{SCHEMES[parts.scheme]}://{parts.hostname}:{parts.port or 8529}"
        password = parts.password or os.environ.get("NAIAD_ARANGO_PASSWORD", "")
        self._client = ArangoClient(hosts=host, resolver_max_tries=1)
        self.database = self._client.db(
            database, username=unquote(parts.username or "root"), password=unquote(password)
        )
        self._lock = threading.RLock()

    def call(self, function: Callable[[], T]) -> T:
        """Call the server.

        Raises:
            StoreError: the server refuses the call or cannot be reached.
        """
        with self._lock:
            try:
                return function()
            except ArangoError as error:
                raise StoreError(f"{self.name}: {error}") from error
            except OSError as error:  # the base of requests' exceptions
                raise StoreError(f"{self.name} cannot be reached: {error}") from error

    def run(self, text: str, bind: dict[str, Any]) -> list[Any]:
        """Run an AQL query; raises as :meth:`call`."""
        execute = self.database.aql.execute
        return self.call(lambda: list(cast(Iterable[Any], execute(text, bind_vars=bind))))

    def has(self, collection: str) -> bool:
        """Return whether a collection exists; raises as :meth:`call`."""
        return bool(self.call(lambda: self.database.has_collection(collection)))

    def meta(self, key: str) -> dict[str, Any] | None:
        """Return a document of the collection ``naiad_store``; raises as :meth:`call`."""
        rows = self.run(
            "FOR n IN @@meta FILTER n._key == @key RETURN n", {"@meta": META, "key": key}
        )
        return rows[0] if rows else None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def document_key(key: Key) -> str:
    """Percent-encode a key for ``_key``, which allows no spaces among others.

    Raises:
        InvalidInput: the key is empty or too long.
    """
    encoded = quote(str(key), safe=_KEY_CHARACTERS).replace("~", "%7E")
    if not 1 <= len(encoded) <= _MOST_KEY_BYTES:
        raise InvalidInput(
            f"{key!r} cannot be an id in ArangoDB: encoded, it has {len(encoded)} bytes; "
            f"1 to {_MOST_KEY_BYTES} are allowed"
        )
    return encoded


def hidden(url: str) -> str:
    """Remove the password from a URL."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}").geturl()
