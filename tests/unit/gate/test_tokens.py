"""JSON Web Tokens: whose are taken, and what their claims allow."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from tests.support.certificates import Authority
from tests.support.gate import CONTROL_KEY, SERVICE, Gate, running
from tests.support.tokens import ISSUER, Issuer, write_jwks
from tritonclient.grpc import service_pb2

from naiad.gate import GateSettings
from naiad.gate.keys import add_key

LOAD = "/v2/repository/models/a/load"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def gate(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    jwks = write_jwks(tmp_path_factory.mktemp("jwks") / "jwks.json", issuer, Issuer("ES256", "two"))
    settings = GateSettings(jwt_issuer=ISSUER, jwt_jwks=str(jwks), jwt_audience="naiad")
    with running(settings) as gate:
        yield gate


@pytest.mark.parametrize("kind", ["RS256", "ES256"])
def test_a_token_of_the_issuer_may_infer(kind: str, tmp_path: Path) -> None:
    issuer = Issuer(kind)
    jwks = write_jwks(tmp_path / "jwks.json", issuer)
    with running(GateSettings(jwt_issuer=ISSUER, jwt_jwks=str(jwks))) as gate:
        headers = bearer(issuer.token())
        assert gate.ask("POST", "/v2/models/a/infer", b"x", headers).status == 200
        assert "authorization" not in gate.behind.seen[-1].headers
        gate.call("ModelInfer", b"x", headers)
        assert "authorization" not in gate.behind.seen[-1].headers
        assert gate.ask("POST", LOAD, b"", headers).error == (
            "this key may not control models or the server"
        )


@contextmanager
def published(jwks: Path, authority: Authority, host: str) -> Iterator[str]:
    """Public keys on a live HTTPS server; its URL."""
    certificate, key = authority.issue(host)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    handler = partial(SimpleHTTPRequestHandler, directory=str(jwks.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"https://{host}:{server.server_port}/{jwks.name}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("trusted", [True, False])
def test_public_keys_are_fetched_from_servers_that_this_machine_trusts(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer, ours = Issuer(), Authority(tmp_path, "ours")
    (tmp_path / "public").mkdir()
    jwks = write_jwks(tmp_path / "public" / "jwks.json", issuer)
    theirs = ours if trusted else Authority(tmp_path, "theirs")
    monkeypatch.setenv("SSL_CERT_FILE", str(ours.ca))
    with (
        published(jwks, theirs, "localhost") as url,
        running(GateSettings(jwt_issuer=ISSUER, jwt_jwks=url)) as gate,
    ):
        status = gate.ask("GET", "/v2/models/a", headers=bearer(issuer.token())).status
    assert status == (200 if trusted else 401)


def test_claims_give_control_and_name_models(gate: Gate, issuer: Issuer) -> None:
    control = bearer(issuer.token(aud="naiad", naiad_may=["infer", "control"]))
    assert gate.ask("POST", LOAD, b"", control).status == 200
    assert gate.behind.seen[-1].headers["naiad-control-key"] == CONTROL_KEY
    some = bearer(issuer.token(aud="naiad", naiad_models=["a"]))
    assert gate.ask("GET", "/v2/models/a", headers=some).status == 200
    assert gate.ask("GET", "/v2/models/b", headers=some).error == "this key is for models a"
    of = service_pb2.ModelInferRequest
    gate.call("ModelInfer", of(model_name="a").SerializeToString(), some)
    code, message = gate.refused("ModelInfer", of(model_name="b").SerializeToString(), some)
    assert (code, message) == (grpc.StatusCode.PERMISSION_DENIED, "this key is for models a")


@pytest.mark.parametrize("models", [[], "a", {"a": True}, 1, [1, None], [["a"]]])
def test_a_claim_of_another_form_opens_no_model(gate: Gate, issuer: Issuer, models: Any) -> None:
    headers = bearer(issuer.token(aud="naiad", naiad_models=models))
    assert gate.ask("GET", "/v2/models/a", headers=headers).status == 403
    code, _ = gate.refused("ModelInfer", b"\n\1a", headers)
    assert code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("may", ["control", {"control": True}, True, ["CONTROL"], 1, [["control"]]])
def test_a_claim_of_another_form_gives_no_control(gate: Gate, issuer: Issuer, may: Any) -> None:
    headers = bearer(issuer.token(aud="naiad", naiad_may=may))
    assert gate.ask("POST", LOAD, b"", headers).status == 403


def forged(issuer: Issuer) -> dict[str, str]:
    good = issuer.token(aud="naiad")
    head, claims, signature = good.split(".")
    more = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"naiad_may": ["control"]}
    changed = base64.urlsafe_b64encode(json.dumps(more).encode()).rstrip(b"=").decode()
    unsigned = jwt.encode({**more}, None, "none")
    public = issuer.public["n"]
    return {
        "another's key": Issuer(name="one").token(aud="naiad"),
        "no such key": Issuer(name="three").token(aud="naiad"),
        "changed claims": f"{head}.{changed}.{signature}",
        "no signature": f"{head}.{claims}.",
        "none": unsigned,
        "signed by the public key": jwt.encode(more, public, "HS256", headers={"kid": "one"}),
        "expired": issuer.token(aud="naiad", exp=int(time.time()) - 3600),
        "for ever": issuer.token(aud="naiad", exp=None),
        "not yet": issuer.token(aud="naiad", nbf=int(time.time()) + 3600),
        "another issuer": issuer.token(aud="naiad", iss="https://other.example.org"),
        "no issuer": issuer.token(aud="naiad", iss=None),
        "another audience": issuer.token(aud="other"),
        "no audience": issuer.token(),
        "no token": "x",
        "dots": "..",
    }


def test_tokens_that_are_not_the_issuers_own_are_refused(gate: Gate, issuer: Issuer) -> None:
    before = len(gate.behind.seen)
    for name, token in forged(issuer).items():
        answer = gate.ask("GET", "/v2", headers=bearer(token))
        assert answer.status == 401, name
        assert answer.error.startswith("this token was rejected: "), name
        code, message = gate.refused("ModelInfer", b"\n\1a", bearer(token))
        assert code is grpc.StatusCode.UNAUTHENTICATED, name
        assert message.startswith("this token was rejected: "), name
    assert len(gate.behind.seen) == before


def test_no_token_says_where_to_send_one(gate: Gate, issuer: Issuer) -> None:
    assert gate.ask("GET", "/v2").error == "no token: send one as Authorization: Bearer"
    # Addresses are logged: a token in one is not taken.
    token = issuer.token(aud="naiad")
    assert gate.ask("GET", f"/v2?access_token={token}").status == 401
    assert gate.ask("GET", "/v2", headers={"x-api-key": token}).status == 401


def test_keys_and_tokens_may_both_be_taken(issuer: Issuer, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = add_key(file, "alice")
    jwks = write_jwks(tmp_path / "jwks.json", issuer)
    settings = GateSettings(api_keys=file, jwt_issuer=ISSUER, jwt_jwks=str(jwks))
    with running(settings) as gate:
        for headers in ({"x-api-key": key}, bearer(key), bearer(issuer.token())):
            assert gate.ask("GET", "/v2", headers=headers).status == 200
        assert gate.ask("GET", "/v2").error == (
            "no API key or token: send one as x-api-key or Authorization: Bearer"
        )
        wrong = {"x-api-key": "naiad_" + "x" * 43, **bearer(issuer.token())}
        assert gate.ask("GET", "/v2", headers=wrong).status == 401


def test_public_keys_that_change_are_taken_up(tmp_path: Path) -> None:
    old, new = Issuer(name="old"), Issuer("ES256", "new")
    jwks = write_jwks(tmp_path / "jwks.json", old)
    with running(GateSettings(jwt_issuer=ISSUER, jwt_jwks=str(jwks))) as gate:
        with gate.channel() as channel:
            call = channel.unary_unary(SERVICE + "ModelInfer")
            call(b"x", metadata=(*bearer(old.token()).items(),), timeout=20)
            write_jwks(jwks, new)
            assert "is in force" in gate.refresh()[0]
            gate.until(lambda: gate.ask("GET", "/v2", headers=bearer(new.token())).status == 200)
            assert gate.ask("GET", "/v2", headers=bearer(old.token())).status == 401
            call(b"x", metadata=(*bearer(new.token()).items(),), timeout=20)
        jwks.write_text("{}")
        assert "stays in force" in gate.refresh()[0]
        assert gate.refresh() == []
        assert gate.ask("GET", "/v2", headers=bearer(new.token())).status == 200
