"""The control key, which opens a server's administrative endpoints to the user who started it.

Triton's shared-memory, model-repository, logging and trace endpoints answer only requests with the
key (``--http-restricted-api``, ``--grpc-restricted-protocol``); health, metadata, statistics and
inference need no key. A server makes a new key at each start and writes it, for each address, to a
file that only its user can read and where clients on the same host find it:

- TCP port 8001: ``<directory>/8001.key``, the directory being ``$XDG_RUNTIME_DIR/naiad/control``
  or, if that variable names no directory, ``/tmp/naiad-<uid>/control``;
- Unix socket ``/run/naiad.sock``: ``/run/naiad.sock.key``.

``NAIAD_CONTROL_KEY`` in the environment replaces the files: a server uses it as its key, and a
client sends it to every server, to other hosts over TLS only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

from naiad.errors import EngineError

VARIABLE: Final = "NAIAD_CONTROL_KEY"
HTTP_HEADER: Final = "naiad-control-key"
"""The header that carries the key over HTTP."""
GRPC_HEADER: Final = f"triton-grpc-protocol-{HTTP_HEADER}"
"""The metadata that carries it over gRPC; the prefix is Triton's."""

_LARGEST = 65_536  # characters that are read of a file

Place: TypeAlias = "int | Path"
"""A server's address on this host: a TCP port or a Unix socket."""


def new_key() -> str:
    """Return the key for a server that starts: the environment's, or 256 random bits.

    Raises:
        EngineError: the environment's key is shorter than 16 characters, or has others than
            letters, digits, ``-`` and ``_``.
    """
    key = os.environ.get(VARIABLE)
    if key is None:
        return secrets.token_urlsafe(32)
    if len(key) < 16 or not key.isascii() or not key.replace("-", "").replace("_", "").isalnum():
        raise EngineError(
            f"{VARIABLE} must be 16 or more letters, digits, - and _; unset it to have a random one"
        )
    return key


def publish_key(key: str, places: Iterable[Place]) -> list[Path]:
    """Write the key to a file for each of a server's addresses; return the files.

    Raises:
        EngineError: the directory belongs to another user, or cannot be written.
    """
    return [write_private(key_path(place), key) for place in places]


def write_private(path: Path, text: str) -> Path:
    """Write a file that only this user can read, atomically; return its path.

    Raises:
        EngineError: its directory belongs to another user, or cannot be written.
    """
    try:
        if path.parent == key_directory():
            _make_private(path.parent)
        _write(path, text)
    except OSError as error:
        raise EngineError(f"{path} cannot be written: {error}") from None
    return path


def find_key(place: Place | None) -> str | None:
    """Return the environment's key, or that of the server at ``place`` on this host, or None."""
    if key := os.environ.get(VARIABLE):
        return key
    return read_private(key_path(place)) if place is not None else None


def read_private(path: Path) -> str | None:
    """Read a file of this user or root; None without such a file."""
    try:
        # Not blocking, as a pipe in its place would block.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid not in (os.getuid(), 0):
                return None  # not our server's
            return file.read(_LARGEST).strip() or None
    except (OSError, ValueError):
        return None


def key_path(place: Place) -> Path:
    """Return the file with the key of the server at ``place``."""
    if isinstance(place, Path):
        return place.with_name(f"{place.name}.key")
    return key_directory() / f"{place}.key"


def key_directory() -> Path:
    """Return the directory with the keys of this user's servers on TCP ports."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime, "naiad", "control")
    return Path(f"/tmp/naiad-{os.getuid()}", "control")


def _make_private(directory: Path) -> None:
    """Create a directory and its parent for this user alone.

    Raises:
        OSError: one of them exists and is another user's or a link.
    """
    for path in (directory.parent, directory):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(f"{path} is not a directory of this user's")
        if found.st_mode & 0o077:
            path.chmod(0o700)


def _write(path: Path, key: str) -> None:
    descriptor, draft = tempfile.mkstemp(prefix=".key-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{key}\n")
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
