"""Public files that Naiad can fetch: their URLs, purposes and hashes, from ``artifacts.json``.

Nothing is downloaded unless requested by name. A file is kept only if its hash, and its size if
known, are as expected; it is then in the cache, ``$NAIAD_CACHE`` or the user's cache directory.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib import resources
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any
from urllib.parse import urlsplit

from naiad.errors import ArtifactError
from naiad.typed_json import decode

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 16  # bytes
LARGEST = 4 << 30  # bytes of a file of unknown size

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A public file: ``size`` in bytes, its hash in hexadecimal.

    Some files have only a published ``md5``. It identifies a file unless its author made two files
    with the same md5, which is possible.

    With ``unpack`` it is a tar or zip archive, and its local path is the folder with its content.

    Raises:
        ArtifactError: it has no hash, or two.
    """

    name: str
    filename: str
    url: str
    about: str
    licence: str
    sha256: str = ""
    md5: str = ""
    size: int | None = None
    source: str = ""
    unpack: bool = False

    def __post_init__(self) -> None:
        if bool(self.sha256) == bool(self.md5):
            raise ArtifactError(f"{self.name} must have a sha256 or else an md5")

    @property
    def algorithm(self) -> str:
        """Name of the known hash."""
        return "sha256" if self.sha256 else "md5"

    @property
    def digest(self) -> str:
        """The known hash."""
        return self.sha256 or self.md5

    @property
    def most(self) -> int:
        """Maximum bytes of the download."""
        return LARGEST if self.size is None else self.size


@cache
def known() -> tuple[Artifact, ...]:
    """Return all artifacts of this version of Naiad."""
    text = resources.files("naiad").joinpath("artifacts.json").read_text(encoding="utf-8")
    return decode(text, tuple[Artifact, ...])


def get(name: str, *, progress: bool = False) -> Path:
    """Return the local path of the artifact ``name``; download it if it is not there yet.

    Args:
        name: one of the names in `known`.
        progress: show a progress bar on standard error.

    Raises:
        ArtifactError: the name is unknown, or as for `fetch`.
    """
    return fetch(_named(name), cache_directory(), progress=progress)


def path_if_present(name: str) -> Path | None:
    """Return the local path of the artifact ``name`` if it was downloaded before, else None.

    Raises:
        ArtifactError: for an unknown name.
    """
    path = local_path(_named(name), cache_directory())
    return path if path.exists() else None


def cache_directory() -> Path:
    """Return ``$NAIAD_CACHE``, or the user's cache directory for Naiad."""
    if chosen := os.environ.get("NAIAD_CACHE"):
        return Path(chosen).expanduser().absolute()
    import pooch  # takes a fifth of a second

    return pooch.os_cache("naiad").expanduser()


def local_path(artifact: Artifact, directory: Path) -> Path:
    """Return where ``artifact`` is, or would be, below the cache ``directory``.

    The hash is part of it, so another version of a file is another file.
    """
    folder = directory / "artifacts" / f"{artifact.name}-{artifact.digest[:12]}"
    return folder / "content" if artifact.unpack else folder / artifact.filename


def fetch(artifact: Artifact, directory: Path, *, progress: bool = False) -> Path:
    """Return the path of ``artifact`` below ``directory``, downloading it if needed.

    A cached file is checked against its hash each time and replaced if it is damaged. Files are
    written under temporary names first, as several processes may fetch the same file.

    Raises:
        ArtifactError: the file cannot be downloaded, has another hash, or is an archive that would
            write outside its folder. Nothing is left behind.
    """
    import pooch

    path = local_path(artifact, directory)
    if artifact.unpack and path.is_dir():
        return path
    _check_secure(artifact.url)
    # Pooch announces each download; the progress bar, or silence, is enough.
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        file = pooch.retrieve(
            artifact.url,
            known_hash=f"{artifact.algorithm}:{artifact.digest}",
            fname=artifact.filename,
            path=path.parent,
            downloader=_downloader(artifact, progress),
        )
    except ValueError as error:
        raise ArtifactError(
            f"{artifact.url} is not the file that Naiad knows as {artifact.name}: its "
            f"{artifact.algorithm} is not {artifact.digest}; nothing was kept"
        ) from error
    except OSError as error:  # requests' exceptions are OSErrors too
        raise ArtifactError(f"{artifact.url} could not be downloaded: {error}") from error
    if artifact.unpack:
        unpack(Path(file), path)
        Path(file).unlink(missing_ok=True)
    return path


def unpack(archive: Path, directory: Path) -> None:
    """Write the files of a tar or zip ``archive`` into the new ``directory``.

    Only plain files and folders are written, and none outside ``directory``; an archive with
    anything else is refused as a whole.

    Raises:
        ArtifactError: the archive is refused or cannot be read. Nothing is left behind.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}-"))
    try:
        with _members(archive) as members:
            for name, file in members:
                target = scratch / _safe(name, archive)
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as copy:
                    shutil.copyfileobj(file, copy)
        _move(scratch, directory)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ArtifactError(f"{archive} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _named(name: str) -> Artifact:
    for artifact in known():
        if artifact.name == name:
            return artifact
    names = ", ".join(artifact.name for artifact in known())
    raise ArtifactError(f'no artifact is named "{name}"; there are: {names}')


def _check_secure(url: str) -> None:
    parts = urlsplit(url)
    loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if parts.scheme != "https" and not loopback:
        raise ArtifactError(f"{url} is not https, so it is not fetched")


def _downloader(artifact: Artifact, progress: bool) -> Any:
    """Return a downloader for Pooch, which passes it a temporary file and checks the hash.

    (Any: Pooch calls it otherwise than it declares.)
    """

    def download(url: str, output_file: str, pooch: Any) -> None:
        import requests

        with (
            # Without compression, so that the number of bytes is the file's size.
            requests.get(
                url, stream=True, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}
            ) as response,
            Path(output_file).open("wb") as file,
            _progress_bar(progress, artifact) as advance,
        ):
            for step in (*response.history, response):
                _check_secure(step.url)
            if response.status_code != 200:
                raise ArtifactError(_status_message(url, response.status_code, artifact))
            written = 0
            for chunk in response.iter_content(CHUNK):
                written += len(chunk)
                if written > artifact.most:
                    break
                file.write(chunk)
                advance(written)
        if written > artifact.most or artifact.size not in (None, written):
            amount = "more than that" if written > artifact.most else f"{written} bytes"
            bound = "at most " if artifact.size is None else ""
            raise ArtifactError(
                f"{url} should have {bound}{artifact.most} bytes, but sent {amount}; nothing was "
                "kept"
            )

    return download


def _status_message(url: str, status: int, artifact: Artifact) -> str:
    known_statuses = {code.value: f" {code.phrase}" for code in HTTPStatus}
    said = f"{url} could not be downloaded: HTTP {status}{known_statuses.get(status, '')}"
    if status in (404, 410):
        origin = f" Its origin: {artifact.source}" if artifact.source else ""
        return f"{said}. The file was moved or removed by its owners.{origin}"
    return said


@contextmanager
def _progress_bar(show: bool, artifact: Artifact) -> Generator[Callable[[int], None]]:
    if not show:
        yield lambda done: None
        return
    from naiad import console  # rich is slow to import

    with console.progress_bar(artifact.name, artifact.size, unit="bytes", keep=True) as advance:
        yield advance


def _move(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was first
            raise


def _safe(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    absolute = path.is_absolute() or PureWindowsPath(name).drive or "\\" in name
    if absolute or ".." in path.parts or not path.parts:
        raise ArtifactError(f'{archive} is refused: it would write to "{name}"')
    return path


@contextmanager
def _members(archive: Path) -> Generator[Iterator[tuple[str, IO[bytes]]], None, None]:
    """Open a tar or zip archive and yield its plain files, by name and content."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield _zip_members(opened, archive)
    else:
        with tarfile.open(archive) as opened:
            yield _tar_members(opened, archive)


def _zip_members(opened: zipfile.ZipFile, archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    for member in opened.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArtifactError(f"{archive} is refused: {member.filename} is not a plain file")
        if not member.is_dir():
            with opened.open(member) as file:
                yield member.filename, file


def _tar_members(opened: tarfile.TarFile, archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    for member in opened:
        if not (member.isfile() or member.isdir()):
            raise ArtifactError(f"{archive} is refused: {member.name} is not a plain file")
        file = opened.extractfile(member)
        if file is not None:
            with file:
                yield member.name, file
