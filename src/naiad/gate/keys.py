"""API keys: the file of their hashes, and the rights of each key."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from naiad.errors import EngineError
from naiad.typed_json import decode

Verb: TypeAlias = Literal["infer", "control"]

PREFIX: Final = "naiad_"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MODEL = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HASH = re.compile(r"[0-9a-f]{64}")
_RATE = re.compile(r"([1-9][0-9]{0,8})/([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LARGEST_FILE = 10_000_000


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key in the file: its owner, its hash and its rights.

    Attributes:
        name: the owner of the key, written to the access log.
        sha256: the hash of the key, in hexadecimal; the key itself is not stored.
        may: ``infer``: inference and descriptions of models; ``control``: loading and unloading
            models, and all other settings of the server.
        models: the only models the key is for; None for all.
        rate: maximum rate of requests, such as ``50/s``, ``600/m`` or ``1000/h``; None for no
            limit. HTTP/1.1 and HTTP/2 (which includes gRPC) are counted separately.
        created: the date the key was made.
    """

    name: str
    sha256: str
    may: tuple[str, ...] = ("infer",)
    models: tuple[str, ...] | None = None
    rate: str | None = None
    created: str = ""

    def __post_init__(self) -> None:
        """Refuse values that Envoy or its log must not get.

        Raises:
            ValueError: names the invalid field and what is right.
        """
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"the name {self.name!r} must be 1 to 64 letters, digits, ., _ and -")
        if not _HASH.fullmatch(self.sha256):
            raise ValueError(f"the sha256 of {self.name} must be 64 hexadecimal digits")
        if not self.may or set(self.may) - {"infer", "control"}:
            raise ValueError(
                f"{self.name} may {list(self.may)}; only infer and control are allowed"
            )
        for model in self.models or ():
            if not _MODEL.fullmatch(model):
                raise ValueError(
                    f"the model {model!r} of {self.name} must be 1 to 128 letters, digits, ., _ "
                    f"and -"
                )
        if self.rate is not None:
            bucket(self.rate)


class _KeyFile(msgspec.Struct):
    # Without null, which might stand for "no models" and would mean all of them.
    keys: list[dict[str, str | list[str]]]


def bucket(rate: str) -> tuple[int, int]:
    """Parse a rate such as ``50/s`` to a number of requests and seconds.

    Raises:
        ValueError: the rate is malformed.
    """
    match = _RATE.fullmatch(rate)
    if not match:
        raise ValueError(f"the rate {rate!r} must be like 50/s, 600/m or 1000/h")
    return int(match[1]), _SECONDS[match[2]]


def default_path() -> Path:
    """Return the path of the user's own key file."""
    root = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(root) / "naiad" / "api-keys.json"


def hash_of(key: str) -> str:
    """Return the hash that the file has instead of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> list[Key]:
    """Read a key file.

    Raises:
        EngineError: the file cannot be read, is malformed, or has a name or a key twice.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise EngineError(f"the API keys {path} cannot be read: {error.strerror}") from None
    return parse_keys(text, path)


def parse_keys(text: bytes, path: Path) -> list[Key]:
    """Parse the content of a key file; ``path`` is for messages.

    Raises:
        EngineError: as for :func:`read_keys`.
    """
    if len(text) > _LARGEST_FILE:
        raise EngineError(f"the API keys {path} are larger than {_LARGEST_FILE} bytes")
    try:
        keys = msgspec.convert(decode(text, _KeyFile).keys, list[Key])
    except ValueError as error:
        raise EngineError(
            f"the API keys {path} cannot be used: {error}; make the file with "
            f"`naiad gate key add NAME --file {path}`"
        ) from None
    for field in ("name", "sha256"):
        values = [getattr(key, field) for key in keys]
        if twice := {value for value in values if values.count(value) > 1}:
            raise EngineError(f"the API keys {path} have the {field} {twice.pop()} twice")
    return keys


def write_keys(path: Path, keys: list[Key]) -> None:
    """Write the file atomically; only its user can read it.

    Raises:
        EngineError: the file cannot be written.
    """
    entries = [
        {field: value for field, value in msgspec.structs.asdict(key).items() if value is not None}
        for key in keys
    ]
    text = json.dumps({"keys": entries}, indent=1) + "\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(prefix=".keys-", dir=path.parent)  # mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise EngineError(f"the API keys {path} cannot be written: {error}") from None


def add_key(
    path: Path,
    name: str,
    may: tuple[Verb, ...] = ("infer",),
    models: tuple[str, ...] | None = None,
    rate: str | None = None,
) -> str:
    """Make a key, add its hash to the file and return the key, which is not stored.

    Raises:
        EngineError: the name exists, a value is invalid, or the file cannot be written.
    """
    key = PREFIX + secrets.token_urlsafe(32)
    created = datetime.now(timezone.utc).date().isoformat()
    try:
        entry = Key(name, hash_of(key), may, models, rate, created)
    except ValueError as error:
        raise EngineError(str(error)) from None
    with _locked(path):
        keys = read_keys(path) if path.exists() else []
        if any(other.name == name for other in keys):
            raise EngineError(
                f"{path} already has a key for {name}; remove it with `naiad gate key remove "
                f"{name}`, or choose another name"
            )
        write_keys(path, [*keys, entry])
    return key


def remove_key(path: Path, name: str) -> None:
    """Remove a key from the file; a server that uses the file refuses it within two seconds.

    Raises:
        EngineError: no such key.
    """
    with _locked(path):
        keys = read_keys(path)
        left = [key for key in keys if key.name != name]
        if len(left) == len(keys):
            names = ", ".join(key.name for key in keys) or "none"
            raise EngineError(f"{path} has no key for {name}; it has: {names}")
        write_keys(path, left)


@contextlib.contextmanager
def _locked(path: Path) -> Any:
    """Lock out other processes that change the same file."""
    import fcntl

    lock = path.with_name(f".{path.name}.lock")
    try:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise EngineError(f"the API keys {path} cannot be written: {error}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
