"""Keys of administrative endpoints are stored where only their user can read them."""

import os
from pathlib import Path

import pytest

from naiad.control_key import VARIABLE, find_key, key_directory, key_path, new_key, publish_key
from naiad.errors import EngineError


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_client_finds_the_key_of_the_server_at_its_port(tmp_path: Path):
    socket = tmp_path / "naiad.sock"
    key = new_key()
    publish_key(key, [8001, socket])
    assert find_key(8001) == find_key(socket) == key
    assert find_key(8002) is None
    assert find_key(None) is None


def test_every_start_has_its_own_key():
    assert new_key() != new_key()
    publish_key("first-key-0123456789", [8001])
    publish_key("second-key-0123456789", [8001])
    assert find_key(8001) == "second-key-0123456789"


def test_only_the_user_can_read_keys(tmp_path: Path):
    (tmp_path / "naiad").mkdir(mode=0o755)
    (path,) = publish_key(new_key(), [8001])
    assert path.stat().st_mode & 0o777 == 0o600
    assert key_directory().stat().st_mode & 0o777 == 0o700
    assert key_directory().parent.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "naiad").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineError, match="not a directory of this user's"):
        publish_key(new_key(), [8001])


def test_the_environment_takes_the_place_of_the_files(monkeypatch: pytest.MonkeyPatch):
    publish_key(new_key(), [8001])
    monkeypatch.setenv(VARIABLE, "from-the-environment")
    assert new_key() == find_key(8001) == find_key(None) == "from-the-environment"


@pytest.mark.parametrize("key", ["", "short", "with spaces in the middle", "ümläute-umläute-uml"])
def test_a_key_that_headers_or_command_lines_cannot_carry_is_refused(
    key: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, key)
    with pytest.raises(EngineError, match="16 or more letters"):
        new_key()


def test_a_damaged_file_is_no_key():
    path = key_path(8001)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xfe")
    assert find_key(8001) is None


def test_a_pipe_in_place_of_a_key_does_not_block():
    path = key_path(8001)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert find_key(8001) is None


def test_without_its_directory_xdg_runtime_dir_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert key_directory() == Path(f"/tmp/naiad-{os.getuid()}/control")
