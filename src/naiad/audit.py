"""An audit of a running server: what is open, to whom, and what closes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from naiad.client import Client
from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.outsider import open_to_outsiders
from naiad.engine_release import RELEASE
from naiad.errors import EngineError, NaiadError
from naiad.gate.keys import read_keys
from naiad.server_card import ServerCard, find_card

Verdict = Literal["closed", "note", "open"]

_CREDENTIALS: Final = {
    "api_keys": "API keys",
    "jwt_issuer": "tokens",
    "tls_client_ca": "client certificates",
}
_CONTROL: Final[Mapping[str, tuple[str, Verdict]]] = {
    "none": ("models are those of the start", "closed"),
    "poll": ("whoever can write the repository's files runs code", "note"),
    "explicit": ("whoever has a key that may control runs code", "note"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an audit.

    Attributes:
        subject: such as ``encryption``.
        state: how it is.
        verdict: ``open`` where somebody can do what they should not; ``note`` where it is worth
            knowing.
        remedy: what changes it; "" where nothing need be changed.
    """

    subject: str
    state: str
    verdict: Verdict = "closed"
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class _Server:
    """What is known of the server.

    Attributes:
        url: where it is asked.
        access: the credentials of whoever asks.
        card: what it says of itself, where it is this user's and on this host.
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
        """Whether other hosts can reach it, for all that is known."""
        if self.card is None:
            return not self.address.is_local
        return self.address.socket is None and not _is_loopback(self.card.address)


def audit(url: str, access: Access) -> list[Finding]:
    """Look at the server at ``url`` as a stranger would and, where it is this user's, from inside.

    Raises:
        NaiadError: no server answers there.
    """
    server = _Server(url, access, find_card(Address.parse(url).place))
    parts = (_engine, _reach, _gate, _endpoints, _control)
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
            "" if server.gate else "--gate or --socket, or a newer container of NVIDIA's",
        )
    else:
        yield Finding("engine", f"Triton {version}")
    if programs:
        yield Finding(
            "code",
            f"runs as the server's user: {', '.join(programs)}",
            "note",
            "load models, pipelines and bundles only from those you trust",
        )


def _programs(client: Client) -> list[str]:
    """The models that are programs: pipelines, and what the Python backend runs."""
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
        yield Finding("reach", f"whoever may open {address.socket}")
        return
    if not server.is_exposed:
        remedy = "" if server.credentials else "where that are too many: --socket PATH"
        yield Finding("reach", "every user of this host", "note", remedy)
        return
    yield Finding("reach", f"other hosts, at {card.address if card else address.host}", "note")
    if address.tls or (server.gate or {}).get("tls_cert") or (card is not None and card.grpc_tls):
        yield Finding("encryption", "TLS")
    else:
        yield Finding(
            "encryption",
            "none: keys and data cross the network in clear",
            "open",
            "--tls-cert and --tls-key (`naiad gate certificate HOST`)",
        )


def _gate(server: _Server) -> Iterator[Finding]:
    gate, card = server.gate, server.card
    if card is None:
        return
    if gate is None:
        if server.is_exposed:
            yield Finding("gate", "none", "open", "serve by `naiad serve`, which puts it in front")
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
        return Finding("API keys", str(error), "note", "`naiad gate key list` reads the file")
    control = [key.name for key in keys if "control" in key.may]
    state = f"{len(keys)} in {path}; may control: {', '.join(control) or 'none'}"
    if mode & 0o022:
        return Finding("API keys", f"{state}; others can write it", "open", f"chmod 600 {path}")
    return Finding("API keys", state)


def _endpoints(server: _Server) -> Iterator[Finding]:
    address = server.address
    for subject, is_open in open_to_outsiders(address, server.access.tls_to(address)).items():
        if subject == "inference":
            yield _inference(server, is_open)
        elif subject == "list of models" and server.gate is not None:
            yield Finding(subject, "whoever may infer")
        elif not is_open:
            yield Finding(subject, "with the control key, or a key that may control")
        else:
            remedy = "start it by `naiad serve`, or with --http-restricted-api"
            yield Finding(subject, "everybody who reaches the server", "open", remedy)


def _inference(server: _Server, is_open: bool) -> Finding:
    if not is_open:
        return Finding("inference", f"with {' or '.join(server.credentials) or 'a credential'}")
    if server.is_exposed and not server.credentials:
        remedy = "--api-keys (`naiad gate key add NAME`), --jwt-issuer or --tls-client-ca"
        return Finding("inference", "everybody who reaches the server", "open", remedy)
    return Finding("inference", " and ".join(server.credentials) or "everybody who reaches it")


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
        yield Finding("control key", "in a file of the server's user")
    else:
        yield Finding(
            "control key",
            "other users of this host can read it on Triton's command line",
            "note" if server.gate else "open",
            "--socket PATH: Triton itself is then out of their reach",
        )


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
