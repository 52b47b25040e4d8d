"""Public files arrive whole and verified, or leave nothing behind."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from naiad import artifacts
from naiad.artifacts import Artifact, fetch, local_path, unpack
from naiad.cli.artifacts import app
from naiad.errors import ArtifactError

CONTENT = bytes(range(256)) * 1000


class Site:
    """A local web site: its answers by path, and its numbers of requests."""

    def __init__(self) -> None:
        self.pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.requests: list[str] = []
        self.url = ""

    def serve(self, path: str, body: bytes, *, announced: int | None = None) -> str:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", str(announced or len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        self.pages[path] = answer
        return self.url + path

    def redirect(self, path: str, to: str) -> str:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", to)
            handler.end_headers()

        self.pages[path] = answer
        return self.url + path


@contextmanager
def running_site(host: str) -> Generator[Site, None, None]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append(self.path)
            page = site.pages.get(self.path)
            if page is None:
                self.send_error(404)
            else:
                page(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    site.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site("127.0.0.1") as site:
        yield site


def artifact(url: str, content: bytes = CONTENT, **changes: object) -> Artifact:
    plain = Artifact(
        name="sample",
        filename="sample.bin",
        url=url,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        about="numbers",
        licence="CC0-1.0",
        source="https://example.org/samples",
    )
    return replace(plain, **changes)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


def test_a_file_arrives_whole_and_is_fetched_once(site: Site, tmp_path: Path) -> None:
    wanted = artifact(site.serve("/sample.bin", CONTENT))
    path = fetch(wanted, tmp_path)
    assert path.read_bytes() == CONTENT
    assert path.name == "sample.bin"
    assert fetch(wanted, tmp_path) == path
    assert site.requests == ["/sample.bin"]
    assert files_below(tmp_path) == [path]


def test_a_damaged_file_in_the_cache_is_replaced(site: Site, tmp_path: Path) -> None:
    wanted = artifact(site.serve("/sample.bin", CONTENT))
    path = fetch(wanted, tmp_path)
    path.write_bytes(b"damaged")
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_nothing_is_left_behind(site: Site, tmp_path: Path) -> None:
    other = CONTENT[:-1] + b"!"
    wanted = artifact(site.serve("/sample.bin", other))
    with pytest.raises(ArtifactError, match=f"sample.bin.*sha256 is not {wanted.sha256}"):
        fetch(wanted, tmp_path)
    assert files_below(tmp_path) == []


def test_an_md5_is_checked_if_only_that_is_published(site: Site, tmp_path: Path) -> None:
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    wanted = artifact(site.serve("/sample.bin", CONTENT), sha256="", md5=md5, size=None)
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT
    other = replace(wanted, url=site.serve("/other.bin", CONTENT + b"!"), filename="other.bin")
    with pytest.raises(ArtifactError, match=f"its md5 is not {md5}; nothing was kept"):
        fetch(other, tmp_path)
    assert not local_path(other, tmp_path).exists()


def test_a_file_of_unknown_size_is_bounded(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "LARGEST", 1000)
    wanted = artifact(site.serve("/a", CONTENT), sha256="", md5="0" * 32, size=None)
    with pytest.raises(ArtifactError, match="at most 1000 bytes, but sent more than that"):
        fetch(wanted, tmp_path)


@pytest.mark.parametrize("hashes", [{"sha256": ""}, {"md5": "0" * 32}])
def test_an_artifact_has_one_hash(hashes: dict[str, str]) -> None:
    with pytest.raises(ArtifactError, match="must have a sha256 or else an md5"):
        artifact("https://example.org/a", **hashes)


def test_a_wrong_hash_does_not_destroy_existing_files(site: Site, tmp_path: Path) -> None:
    good = artifact(site.serve("/sample.bin", CONTENT))
    path = fetch(good, tmp_path)
    site.serve("/sample.bin", CONTENT[:-1] + b"!")
    with pytest.raises(ArtifactError):
        fetch(replace(good, sha256="0" * 64), tmp_path)
    assert path.read_bytes() == CONTENT


def test_an_interrupted_download_leaves_nothing_behind(site: Site, tmp_path: Path) -> None:
    wanted = artifact(site.serve("/sample.bin", CONTENT[:5000], announced=len(CONTENT)))
    with pytest.raises(ArtifactError, match="could not be downloaded"):
        fetch(wanted, tmp_path)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    ("sent", "told"), [(CONTENT + b"x", "more than that"), (CONTENT[:10], "10 bytes")]
)
def test_a_file_of_another_size_is_refused(
    site: Site, tmp_path: Path, sent: bytes, told: str
) -> None:
    wanted = artifact(site.serve("/sample.bin", sent))
    with pytest.raises(ArtifactError, match=f"should have {len(CONTENT)} bytes, but sent {told}"):
        fetch(wanted, tmp_path)
    assert files_below(tmp_path) == []


def test_an_endless_file_is_cut_off(site: Site, tmp_path: Path) -> None:
    sent = 0

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        try:
            while sent < 1 << 28:
                handler.wfile.write(bytes(1 << 16))
                sent += 1 << 16
        except OSError:
            pass

    site.pages["/endless"] = answer
    with pytest.raises(ArtifactError, match="more than that"):
        fetch(artifact(site.url + "/endless"), tmp_path)
    assert sent < 1 << 26


def test_a_missing_file_is_reported_with_its_origin(site: Site, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"404 Not Found.*https://example.org/samples"):
        fetch(artifact(site.url + "/gone.bin"), tmp_path)
    assert files_below(tmp_path) == []


def test_a_missing_server_is_reported_with_the_url(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"http://127\.0\.0\.1:1/sample\.bin could not be"):
        fetch(artifact("http://127.0.0.1:1/sample.bin"), tmp_path)


@pytest.mark.parametrize(
    "url", ["http://example.org/f", "ftp://127.0.0.1/f", "file:///etc/passwd", "http://127.0.0.2/f"]
)
def test_only_https_is_fetched_except_from_this_machine(url: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not https"):
        fetch(artifact(url), tmp_path)


def test_a_redirect_is_followed(site: Site, tmp_path: Path) -> None:
    there = site.serve("/there.bin", CONTENT)
    wanted = artifact(site.redirect("/here.bin", there))
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT


def test_a_redirect_off_https_is_refused(site: Site, tmp_path: Path) -> None:
    with running_site("127.0.0.2") as elsewhere:
        there = elsewhere.serve("/there.bin", CONTENT)
        with pytest.raises(ArtifactError, match=r"there\.bin is not https"):
            fetch(artifact(site.redirect("/here.bin", there)), tmp_path)
    assert files_below(tmp_path) == []


def tar_of(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def zip_of(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


ARCHIVES = pytest.mark.parametrize("make", [tar_of, zip_of])


@ARCHIVES
def test_an_archive_becomes_a_folder(make: Callable[..., Path], site: Site, tmp_path: Path) -> None:
    packed = make(tmp_path / "packed", ("model/a.bin", b"a"), ("model/deep/b.bin", b"b"))
    content = packed.read_bytes()
    wanted = artifact(site.serve("/archive", content), content, unpack=True)
    folder = fetch(wanted, tmp_path / "cache")
    assert (folder / "model/a.bin").read_bytes() == b"a"
    assert (folder / "model/deep/b.bin").read_bytes() == b"b"
    assert fetch(wanted, tmp_path / "cache") == folder
    assert site.requests == ["/archive"]
    assert len(files_below(tmp_path / "cache")) == 2


@ARCHIVES
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:\\evil", "..\\evil"])
def test_an_archive_that_writes_outside_its_folder_is_refused(
    make: Callable[..., Path], name: str, tmp_path: Path
) -> None:
    packed = make(tmp_path / "packed", ("fine", b"fine"), (name, b"evil"))
    with pytest.raises(ArtifactError, match="is refused: it would write to"):
        unpack(packed, tmp_path / "cache" / "folder")
    assert files_below(tmp_path) == [packed]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_tar_with_links_or_devices_is_refused(kind: bytes, tmp_path: Path) -> None:
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "packed", "w") as archive:
        archive.addfile(entry)
    with pytest.raises(ArtifactError, match="link is not a plain file"):
        unpack(tmp_path / "packed", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "packed", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ArtifactError, match="link is not a plain file"):
        unpack(tmp_path / "packed", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", CONTENT])
def test_a_file_that_is_not_an_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(content)
    with pytest.raises(ArtifactError, match="cannot be unpacked"):
        unpack(tmp_path / "packed", tmp_path / "folder")
    assert files_below(tmp_path) == [tmp_path / "packed"]


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    packed = tar_of(tmp_path / "packed", ("a", CONTENT))
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="cannot be unpacked"):
        unpack(packed, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_every_known_artifact_is_pinned() -> None:
    names = [known.name for known in artifacts.known()]
    assert len(names) == len(set(names)) > 0
    for known in artifacts.known():
        assert urlsplit(known.url).scheme == "https"
        assert len(bytes.fromhex(known.digest)) == {"sha256": 32, "md5": 16}[known.algorithm]
        assert known.algorithm == "md5" or known.size
        assert known.about
        assert known.licence
        assert known.filename == Path(known.filename).name


@pytest.mark.parametrize(
    ("name", "file"),
    [("nugraph3-checkpoint", "hierarchical.ckpt"), ("nugraph3-event-small", "event_small.h5")],
)
def test_known_hashes_are_those_of_the_files(name: str, file: str, shared_data: Path) -> None:
    content = (shared_data / "nugraph3" / file).read_bytes()
    known = next(known for known in artifacts.known() if known.name == name)
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (known.sha256, known.size)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ArtifactError, match=r'"nugraf".*nugraph3-checkpoint'):
        artifacts.get("nugraf")


def test_the_environment_sets_the_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NAIAD_CACHE", str(tmp_path))
    assert artifacts.path_if_present("nugraph3-checkpoint") is None
    path = local_path(artifacts.known()[0], tmp_path)
    path.parent.mkdir(parents=True)
    path.touch()
    assert artifacts.path_if_present("nugraph3-checkpoint") == path


def test_the_commands_list_and_get(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sample = artifact(site.serve("/sample.bin", CONTENT))
    monkeypatch.setattr(artifacts, "known", lambda: (sample,))
    monkeypatch.setenv("NAIAD_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    run = CliRunner().invoke

    listed = run(app, ["list"])
    assert listed.exit_code == 0
    assert "sample" in listed.stdout
    assert "CC0-1.0" in listed.stdout

    got = run(app, ["get", "sample"])
    assert got.exit_code == 0
    assert Path(got.stdout.strip()).read_bytes() == CONTENT
    assert "sample" in got.stderr  # the progress bar
