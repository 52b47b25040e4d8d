"""Credentials for archives: where they come from, and where they must not go."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from naiad.dicom.access import TOKEN_VARIABLE, USER_VARIABLE, ArchiveAccess
from naiad.dicom.archive import Archive
from naiad.errors import InvalidInput

URL = "https://pacs.example/dicom-web"


def test_credentials_come_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ArchiveAccess().headers_to(URL) == {}
    basic = {"Authorization": "Basic " + b64encode(b"me:pass:word").decode()}
    path = tmp_path / "auth"
    path.write_text("me:pass:word\n")
    assert ArchiveAccess(pacs_auth=path).headers_to(URL) == basic
    path.write_text("abc.def\n")
    assert ArchiveAccess(pacs_auth=path).headers_to(URL) == {"Authorization": "Bearer abc.def"}
    monkeypatch.setenv(USER_VARIABLE, "me:pass:word")
    assert ArchiveAccess().headers_to("http://127.0.0.1:8042/dicom-web") == basic
    monkeypatch.setenv(TOKEN_VARIABLE, "abc")
    with pytest.raises(InvalidInput, match="not both"):
        ArchiveAccess().headers_to(URL)


def test_credentials_do_not_travel_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USER_VARIABLE, "me:secret")
    with pytest.raises(InvalidInput, match="unencrypted") as found:
        Archive("http://pacs.example/dicom-web")
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("text", ["me", "two\nlines:x"])
def test_other_credentials_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USER_VARIABLE, text)
    with pytest.raises(InvalidInput, match=USER_VARIABLE):
        ArchiveAccess().headers_to(URL)


def test_a_password_in_a_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(InvalidInput, match="can see a password in a URL") as found:
        Archive("https://me:secret@pacs.example/dicom-web")
    assert "secret" not in str(found.value)
