"""A user's host becomes an address of this machine, or is refused in plain words."""

import pytest

from naiad.errors import EngineError
from naiad.triton.hosts import is_loopback, listening_address, reachable


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("::", "::"),
    ],
)
def test_names_and_addresses_of_this_machine_are_taken(host: str, address: str):
    assert listening_address(host) == address


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("no-such-host.invalid", "unknown host"),
        ("198.51.100.7", "is not an address of this machine"),
        ("127.0.0.1:8000", "unknown host"),
        ("x" * 300, "unknown host"),
    ],
)
def test_what_cannot_be_listened_on_is_refused_with_its_reason(host: str, message: str):
    with pytest.raises(EngineError, match=message):
        listening_address(host)


def test_loopback_is_told_from_networks():
    assert [a for a in ("127.0.0.1", "127.8.0.1", "::1") if not is_loopback(a)] == []
    assert [a for a in ("0.0.0.0", "::", "10.0.0.1") if is_loopback(a)] == []


def test_a_server_on_every_network_is_reached_on_loopback():
    assert reachable("0.0.0.0") == "127.0.0.1"
    assert reachable("::") == reachable("::1") == "[::1]"
