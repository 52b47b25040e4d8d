"""Connections to an archive: TLS, credentials and retries."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.support.certificates import Authority

from naiad.dicom import web
from naiad.dicom.access import TOKEN_VARIABLE, ArchiveAccess
from naiad.dicom.archive import Archive
from naiad.dicom.source import Query
from naiad.errors import InvalidInput, Unavailable

FOUND = [{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}]


@contextmanager
def answering(
    statuses: list[int], certificate: tuple[Path, Path] | None = None
) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Answer with each status once, then with 200; yield the URL and what was asked."""
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            body = json.dumps(FOUND if "offset=0" in self.path else []).encode()
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            scheme = "https"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"{scheme}://127.0.0.1:{server.server_port}/dicom-web", asked
        finally:
            server.shutdown()
            thread.join()


def found(url: str, access: ArchiveAccess) -> list[str]:
    archive = Archive(url, access)
    try:
        return [study.uid for study in archive.studies(Query(filters=(("PatientID", "A*"),)))]
    finally:
        archive.close()


def test_an_authority_of_ones_own_is_trusted_when_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv(TOKEN_VARIABLE, "abc")
    another = Authority(tmp_path, "another").ca
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(another))  # which must not win
    with answering([], authority.issue("127.0.0.1")) as (url, asked):
        assert found(url, ArchiveAccess(pacs_ca=authority.ca)) == ["1.2.3"]
        with pytest.raises(InvalidInput, match=r"certificate is not trusted .*--pacs-ca"):
            found(url, ArchiveAccess(pacs_retries=0))
    assert {header for _, header in asked} == {"Bearer abc"}
    assert "PatientID=A*" in asked[0][0]


def test_a_busy_archive_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_BACKOFF", web.Backoff(0.01, 0.02))
    with answering([503, 429]) as (url, asked):
        assert found(url, ArchiveAccess(pacs_retries=2)) == ["1.2.3"]
    assert len(asked) == 4
    with (
        answering([507, 507]) as (url, asked),
        pytest.raises(Unavailable, match=r"studies answers 507 .*; it is full"),
    ):
        found(url, ArchiveAccess(pacs_retries=1))
    assert len(asked) == 2
