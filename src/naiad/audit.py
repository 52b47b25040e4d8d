"""Audit of a running server: what it exposes, to whom, and how to close it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from naiad.client import Client
from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.outsider import open_to_outsiders, tasks_open_to_outsiders
from naiad.engine_release import RELEASE
from naiad.errors import EngineError, NaiadError, Unavailable
from naiad.gate.keys import read_keys
from naiad.server_card import ServerCard, find_card

Verdict = Literal["closed", "note", "open"]

_CREDENTIALS: Final = {
    "api_keys": "API keys",
    "jwt_issuer": "tokens",
    "tls_client_ca": "client certificates",
}
_CONTROL: Final[Mapping[str, tuple[str, Verdict]]] = {
    "none": ("models are fixed at the start", "closed"),
    "poll": ("anyone who can write the repository's files can run code", "note"),
    "explicit": ("anyone with a control key can run code", "note"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of an audit.

    Attributes:
        subject: such as ``encryption``.
        state: in words.
        verdict: ``open`` if somebody can do what they should not; ``note`` if it is worth knowing.
        remedy: what changes it; "" if nothing need be changed.
    """

    subject: str
    state: str
    verdict: Verdict = "closed"
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class _Server:
    """The server under audit.

    Attributes:
        url: as given by the user.
        access: the user's credentials.
        card: its server card, if it is this user's and on this host.
    """

    url: str
    access: Access
    card: ServerCard | None

    @property
    def address(self) -> Address:
        return Address.parse(self.url)

    @property
    def gate(self) -> Mapping[str, Any] | None:
        return self.card.gate if self.card is not None else None

    @property
    def credentials(self) -> list[str]:
        gate = self.gate or {}
        return [name for field, name in _CREDENTIALS.items() if gate.get(field)]

    @property
    def is_exposed(self) -> bool:
        """Whether other hosts can reach it, as far as is known."""
        if self.card is None:
            return not self.address.is_local
        return self.address.socket is None and not _is_loopback(self.card.address)


def audit(url: str, access: Access) -> list[Finding]:
    """Audit the server at ``url`` as a stranger and, if it is this user's, from inside.

    Raises:
        NaiadError: no server answers there.
    """
    server = _Server(url, access, find_card(Address.parse(url).place))
    parts = (_engine, _reach, _gate, _endpoints, _page, _control)
    return [finding for part in parts for finding in part(server)]


def _engine(server: _Server) -> Iterator[Finding]:
    access = server.access
    with Client(server.url, api_key=access.api_key, ca=access.ca, retries=0) as client:
        version = str(client.metadata().get("version", "unknown"))
        programs = _programs(client)
    if version == RELEASE.triton:
        yield Finding(
            "engine",
            f"Triton {version} ({RELEASE.release}, of {RELEASE.date}) has published "
            "vulnerabilities: docs/security.md",
            "note",
            "" if server.gate else "--gate, --socket, or a newer NVIDIA container",
        )
    else:
        yield Finding("engine", f"Triton {version}")
    if programs:
        yield Finding(
            "code",
            f"runs as the server's user: {', '.join(programs)}",
            "note",
            "load models and pipelines only from sources you trust",
        )


def _programs(client: Client) -> list[str]:
    """Return the models that are programs: pipelines, and those of the Python backend."""
    try:
        loaded = sorted({model.name for model in client.models() if model.ready})
        configs = {name: client.config(name) for name in loaded}
    except NaiadError:
        return []
    return [
        name
        for name, config in configs.items()
        if config.get("backend") == "python" or "naiad_pipeline" in config.get("parameters", {})
    ]


def _reach(server: _Server) -> Iterator[Finding]:
    address, card = server.address, server.card
    if address.socket is not None:
        yield Finding("reach", f"users who may open {address.socket}")
        return
    if not server.is_exposed:
        remedy = "" if server.credentials else "to restrict it: --socket PATH"
        yield Finding("reach", "every user of this host", "note", remedy)
        return
    yield Finding("reach", f"other hosts, at {card.address if card else address.host}", "note")
    if address.tls or (server.gate or {}).get("tls_cert") or (card is not None and card.grpc_tls):
        yield Finding("encryption", "TLS")
    else:
        yield Finding(
            "encryption",
            "none: keys and data cross the network in clear text",
            "open",
            "--tls-cert and --tls-key (`naiad gate certificate HOST`)",
        )


def _gate(server: _Server) -> Iterator[Finding]:
    gate, card = server.gate, server.card
    if card is None:
        return
    if gate is None:
        if server.is_exposed:
            yield Finding("gate", "none", "open", "use `naiad serve`, which starts the gate")
    elif gate["api_keys"]:
        yield _keys(Path(gate["api_keys"]))
    for subject, where in (("metrics", card.metrics_address), ("health", card.health_address)):
        if not _is_loopback(where):
            state, remedy = f"at {where}, without a key", f"--{subject}-host 127.0.0.1"
            yield Finding(subject, state, "note", remedy)


def _keys(path: Path) -> Finding:
    try:
        keys, mode = read_keys(path), path.stat().st_mode
    except (EngineError, OSError) as error:
        return Finding("API keys", str(error), "note", "check the file with `naiad gate key list`")
    control = [key.name for key in keys if "control" in key.may]
    state = f"{len(keys)} in {path}; may control: {', '.join(control) or 'none'}"
    if mode & 0o022:
        return Finding(
            "API keys", f"{state}; other users can write it", "open", f"chmod 600 {path}"
        )
    return Finding("API keys", state)


def _endpoints(server: _Server) -> Iterator[Finding]:
    address = server.address
    for subject, is_open in open_to_outsiders(address, server.access.tls_to(address)).items():
        if subject == "inference":
            yield _inference(server, is_open)
        elif subject == "list of models" and server.gate is not None:
            yield Finding(subject, "anyone who may infer")
        elif not is_open:
            yield Finding(subject, "with the server's control key, or an API key that may control")
        else:
            remedy = "start it with `naiad serve`, or with --http-restricted-api"
            yield Finding(subject, "anyone who can reach the server", "open", remedy)


def _inference(server: _Server, is_open: bool) -> Finding:
    if not is_open:
        return Finding("inference", f"with {' or '.join(server.credentials) or 'a credential'}")
    if server.is_exposed and not server.credentials:
        remedy = "--api-keys (`naiad gate key add NAME`), --jwt-issuer or --tls-client-ca"
        return Finding("inference", "anyone who can reach the server", "open", remedy)
    return Finding("inference", " and ".join(server.credentials) or "anyone who can reach it")


def _page(server: _Server) -> Iterator[Finding]:
    """Audit the page and the tasks over HTTP, which are one process."""
    card, subject = server.card, "page and tasks"
    if card is None or card.ui is None or "page" not in card.urls:
        return
    url, gate = card.urls["page"], server.gate
    address = Address.parse(url.removesuffix("/ui"))
    tls = server.access.tls_to(address)
    try:
        is_open = tasks_open_to_outsiders(address, tls)
        is_rebound = tasks_open_to_outsiders(address, tls, "elsewhere.invalid")
    except Unavailable as error:
        yield Finding(subject, str(error), "note", "see the server's log")
        return
    largest = min(card.ui["max_upload_mb"], gate["max_request_mb"] if gate else sys.maxsize)
    about = f"at {url}, with requests up to {largest} MB"
    if not is_open:
        yield Finding(subject, f"with {' or '.join(server.credentials) or 'a credential'}, {about}")
    elif gate is not None and server.is_exposed:
        remedy = "--api-keys (`naiad gate key add NAME`), or leave out --ui"
        yield Finding(subject, f"anyone who can reach the server, {about}", "open", remedy)
    else:
        remedy = "to restrict them: --gate and --api-keys"
        yield Finding(subject, f"every user of this host, {about}", "note", remedy)
        if is_rebound:
            state = "reach the tasks through browsers here, under a name of their own"
            yield Finding("pages of other sites", state, "open", remedy)
        else:
            yield Finding("pages of other sites", "refused, also under a name of their own")


def _control(server: _Server) -> Iterator[Finding]:
    card = server.card
    if card is None:
        return
    state, verdict = _CONTROL[card.model_control]
    yield Finding("model control", f"{card.model_control}: {state}", verdict)
    try:
        hidden = b"naiad-control-key=*" in Path(f"/proc/{card.pid}/cmdline").read_bytes()
    except OSError:
        return
    if hidden:
        yield Finding("control key", "in a file that only the server's user can read")
    else:
        yield Finding(
            "control key",
            "visible to other users of this host on Triton's command line",
            "note" if server.gate else "open",
            "--socket PATH: puts Triton out of their reach",
        )


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
