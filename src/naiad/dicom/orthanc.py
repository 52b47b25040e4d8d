"""A small archive to try things with: Orthanc and its DICOMweb plugin, for one command alone."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from naiad.dicom.access import USER_VARIABLE, ArchiveAccess
from naiad.errors import EngineError

PACKAGES: Final = ("orthanc", "orthanc-dicomweb")
"""Debian's packages of it."""

_PLUGINS: Final = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc"))
_PATIENCE: Final = 20.0  # seconds to start, or to stop
_TRIES: Final = 3  # another process may take the port that was free
_POLL: Final = 0.05


class Orthanc:
    """An archive on loopback, with a password of its own, that is empty and forgets all at its end.

    Use it as a context manager.

    Attributes:
        url: of the DICOMweb root.
        user: ``NAME:PASSWORD``.
    """

    def __init__(self) -> None:
        """Find the program; start nothing yet.

        Raises:
            EngineError: it is not installed; says how to install it.
        """
        self._program, self._plugin = _installed()
        self.url = ""
        self.user = f"naiad:{secrets.token_urlsafe(18)}"
        self._folder: TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def access(self) -> ArchiveAccess:
        """Return access to it, by a file that is removed with it."""
        assert self._folder is not None
        return ArchiveAccess(pacs_auth=Path(self._folder.name) / "user")

    @property
    def environment(self) -> dict[str, str]:
        """The variable by which a command has access to it."""
        return {USER_VARIABLE: self.user}

    def __enter__(self) -> Orthanc:
        """Start it, and wait until it answers.

        Raises:
            EngineError: it does not start; has its last words.
        """
        self._folder = TemporaryDirectory(prefix="naiad-orthanc-", ignore_cleanup_errors=True)
        (Path(self._folder.name) / "user").touch(0o600)
        (Path(self._folder.name) / "user").write_text(self.user, "utf-8")
        try:
            for _ in range(_TRIES):
                if self._started():
                    return self
        except BaseException:
            self._stop()
            raise
        words = self._last_words()
        self._stop()
        raise EngineError(f"{self._program} does not start: {words}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Stop it, and remove what it stored."""
        self._stop()

    def _started(self) -> bool:
        assert self._folder is not None
        folder, port = Path(self._folder.name), _free_port()
        name, _, password = self.user.partition(":")
        settings = {
            "Name": "Naiad",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {name: password},
            "DicomServerEnabled": False,
            "OverwriteInstances": False,
            "StableAge": 1,
            "Plugins": [str(self._plugin)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Ssl": False},
        }
        path = folder / "orthanc.json"
        path.touch(0o600)
        path.write_text(json.dumps(settings), "utf-8")
        self.url = f"http://127.0.0.1:{port}/dicom-web"
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*_bound(), self._program, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        limit = time.monotonic() + _PATIENCE
        while self._process.poll() is None and time.monotonic() < limit:
            if self._answers():
                return True
            time.sleep(_POLL)
        self._end_process()
        return False

    def _answers(self) -> bool:
        """Return whether DICOMweb is there: without a password, it refuses."""
        try:
            with build_opener(ProxyHandler({})).open(Request(f"{self.url}/studies"), timeout=2):
                return False  # another program's
        except HTTPError as error:
            with error:
                return error.code == 401
        except (URLError, OSError):
            return False

    def _last_words(self) -> str:
        assert self._folder is not None
        log = Path(self._folder.name) / "log"
        lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
        return lines[-1] if lines else "it says nothing"

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _stop(self) -> None:
        self._end_process()
        if self._folder is not None:
            with suppress(OSError):
                self._folder.cleanup()
            self._folder = None


def _installed() -> tuple[str, Path]:
    """Return the program and its plugin.

    Raises:
        EngineError: one is missing.
    """
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    plugins = [
        file for folder in _PLUGINS for file in sorted(folder.glob("libOrthancDicomWeb.so*"))
    ]
    if program is None or not plugins:
        missing = "Orthanc" if program is None else "Orthanc's DICOMweb plugin"
        raise EngineError(
            f"{missing} is not installed; on Debian and Ubuntu: sudo apt install "
            f"{' '.join(PACKAGES)}; elsewhere see https://www.orthanc-server.com/download.php"
        )
    return program, plugins[0]


def _bound() -> list[str]:
    """Return the start of a command that ends with this process, however that ends."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "TERM"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
