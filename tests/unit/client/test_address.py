"""A URL says how and where to connect, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from naiad.client.address import Address
from naiad.errors import InvalidInput


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("localhost:8001", Address("grpc", "localhost", 8001)),
        ("localhost", Address("grpc", "localhost", 8001)),
        ("grpc://10.0.0.1:9000", Address("grpc", "10.0.0.1", 9000)),
        ("grpcs://triton.example.org", Address("grpcs", "triton.example.org", 443)),
        ("http://localhost", Address("http", "localhost", 8000)),
        ("http://localhost:8000/", Address("http", "localhost", 8000)),
        ("https://gate.example.org/a/b/", Address("https", "gate.example.org", 443, "/a/b")),
        ("[::1]:8001", Address("grpc", "::1", 8001)),
        ("unix:/run/naiad.sock", Address("unix", "localhost", 0, "/run/naiad.sock")),
        ("unix:///run/naiad.sock", Address("unix", "localhost", 0, "/run/naiad.sock")),
        ("unix:/tmp/x/grpc:8001", Address("unix", "localhost", 0, "/tmp/x/grpc:8001")),
        ("unix:here.sock", Address("unix", "localhost", 0, "here.sock")),
        ("unix:/a b%20?#c", Address("unix", "localhost", 0, "/a b%20?#c")),
    ],
)
def test_a_url_is_taken_apart(url: str, expected: Address) -> None:
    assert Address.parse(url) == expected
    assert Address.parse(str(expected)) == expected


def test_an_ipv6_host_is_bracketed() -> None:
    assert str(Address.parse("http://[fe80::1]:80/x")) == "http://[fe80::1]:80/x"
    assert Address.parse("[::1]:8001").target == "[::1]:8001"


@pytest.mark.parametrize(
    ("scheme", "grpc", "tls"),
    [
        ("grpc", True, False),
        ("grpcs", True, True),
        ("http", False, False),
        ("https", False, True),
    ],
)
def test_the_scheme_says_protocol_and_encryption(scheme: str, grpc: bool, tls: bool) -> None:
    address = Address.parse(f"{scheme}://host:1")
    assert (address.is_grpc, address.tls) == (grpc, tls)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("localhost:8001", 8001),
        ("http://127.0.0.1:8000", 8000),
        ("https://127.9.9.9", 443),
        ("[::1]:9", 9),
        ("unix:/run/grpc:8001", Path("/run/grpc:8001")),
        ("host:8001", None),
        ("10.0.0.1:8001", None),
        ("localhost.example.org", None),
        ("http://[::ffff:10.0.0.1]", None),
    ],
)
def test_a_server_on_this_host_has_its_place_here(url: str, place: int | Path | None) -> None:
    address = Address.parse(url)
    assert address.place == place
    assert address.is_local == (place is not None)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://localhost:21", "unknown scheme ftp://; use one of grpc://, grpcs://, http://"),
        ("", "has no host"),
        ("http://", "has no host"),
        ("localhost:port", "[Pp]ort"),
        ("localhost:70000", "[Pp]ort"),
        ("localhost:8001/v2", "a gRPC address has no path"),
        ("http://localhost:8000?x=1", "only scheme, host, port and path"),
        ("http://me:secret@localhost", "only scheme, host, port and path"),
        ("unix:", "has no path; write for example unix:/run/naiad.sock"),
        ("unix://host/x", "has a host; write unix:PATH"),
        (f"unix:/{'x' * 107}", "the path has 108 bytes; .* at most 107"),
    ],
)
def test_a_wrong_url_is_refused_with_the_reason(url: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Address.parse(url)


def test_several_urls_are_read_from_a_text_or_a_sequence() -> None:
    expected = (Address("http", "a", 80), Address("http", "b", 8000))
    assert Address.parse_all("http://a:80, http://b") == expected
    assert Address.parse_all(["http://a:80", "http://b:8000"]) == expected


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ([], "no url"),
        ("a:1,b:2,a:1", "grpc://a:1 is given twice"),
        ("a:1,http://b:2", "grpc://a:1 and http://b:2: all servers must have one scheme"),
        ("a:1,", "no host"),
    ],
)
def test_urls_that_do_not_go_together_are_refused(urls: str | list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Address.parse_all(urls)
