"""LArSoft's way to the server: our art module, and the calls of larrecodnn's own, also with TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tests.support.certificates import Authority
from tests.support.command import naiad_serve, shown_when_ready, urls_shown
from tests.support.cpp import build, missing, run
from tests.support.full import FULL
from tritonclient.utils import InferenceServerException

from naiad.applications.nugraph.events import open_events, write_events
from naiad.applications.nugraph.simulate import simulate

pytestmark = pytest.mark.timeout(1200)  # the first test builds

built = pytest.mark.skipif(bool(missing()), reason=missing())
CLASSES = {"nugraph2": 5, "nugraph2_cpu": 5, "nugraph3": 7}
SIX = [f"x_{decoder}_{plane}" for decoder in ("semantic", "filter") for plane in "uvy"]


@dataclass(frozen=True)
class Served:
    """A server as LArSoft's configuration names it; without TLS if ``ca`` is None."""

    url: str  # host:port
    ca: Path | None = None
    identity: tuple[Path, Path] | None = field(default=None)

    def connect(self) -> Any:
        """Connect as larrecodnn does."""
        certificate, key = map(str, self.identity) if self.identity else (None, None)
        return triton.InferenceServerClient(
            self.url,
            ssl=self.ca is not None,
            root_certificates=str(self.ca) if self.ca else None,
            private_key=key,
            certificate_chain=certificate,
        )

    def environment(self) -> dict[str, str]:
        """Return what the test program of the module reads."""
        given = {"NAIAD_URL": self.url}
        if self.ca is not None:
            given |= {"NAIAD_TLS": "1", "NAIAD_CA_OF_TEST": str(self.ca)}
        if self.identity is not None:
            given |= {
                "NAIAD_CERTIFICATE": str(self.identity[0]),
                "NAIAD_KEY": str(self.identity[1]),
            }
        return given


Way = Callable[[Authority], list[str]]


def no_tls(_: Authority) -> list[str]:
    return []


def tls(authority: Authority) -> list[str]:
    certificate, key = authority.issue("127.0.0.1", "localhost")
    return ["--tls-cert", str(certificate), "--tls-key", str(key)]


def tls_of_both_sides(authority: Authority) -> list[str]:
    return [*tls(authority), "--tls-client-ca", str(authority.ca)]


def tls_of_triton_itself(authority: Authority) -> list[str]:
    certificate, key = authority.issue("127.0.0.1", "localhost")
    options = (f"--grpc-server-cert={certificate}", f"--grpc-server-key={key}")
    return [f"--triton-option={option}" for option in ("--grpc-use-ssl=true", *options)]


@pytest.fixture(
    scope="module",
    params=[no_tls, tls, tls_of_both_sides, tls_of_triton_itself],
    ids=lambda way: way.__name__,
)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    way: Way = request.param
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    with naiad_serve(*CLASSES, "--instances", "1", *way(authority)) as command:
        shown = shown_when_ready(command)
        if way is no_tls:
            yield Served(urls_shown(shown)["gRPC"])
            return
        url = next(word for word in shown.split() if word.startswith("grpcs://"))
        identity = authority.issue("job") if way is tls_of_both_sides else None
        yield Served(url.removeprefix("grpcs://"), authority.ca, identity)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.h5"
    write_events(path, simulate(2, seed=3))
    return path


@pytest.mark.parametrize("model", CLASSES)
def test_the_calls_of_larrecodnn_are_answered(served: Served, events: Path, model: str) -> None:
    with open_events(events, truth=False) as read:
        arrays = read[0].arrays()
    with served.connect() as client:
        # The NuSonic client configures itself from these, and reads statistics if it is verbose.
        assert client.get_model_config(model, "").config.max_batch_size == 0
        metadata = client.get_model_metadata(model, "")
        assert [tensor.name for tensor in metadata.inputs] == list(arrays)
        assert client.get_inference_statistics(model, "").model_stats
        inputs = [as_input(name, array) for name, array in arrays.items()]
        outputs = [triton.InferRequestedOutput(name) for name in SIX]
        result = client.infer(model, inputs, model_version="", outputs=outputs)
    for index, plane in enumerate("uvy"):
        hits = int((arrays["hit_table_local_plane"] == index).sum())
        scores, signal = (result.as_numpy(f"x_{name}_{plane}") for name in ("semantic", "filter"))
        assert scores is not None
        assert signal is not None
        assert scores.shape == (hits, CLASSES[model])
        assert signal.shape == (hits,)


def as_input(name: str, array: np.ndarray) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), "FP32" if array.dtype == "f4" else "INT32")
    tensor.set_data_from_numpy(array)
    return tensor


def test_a_client_without_the_right_certificates_is_refused(served: Served, tmp_path: Path) -> None:
    strangers = [Served(served.url, Authority(tmp_path, "wrong").ca)]
    if served.ca is not None:
        strangers.append(Served(served.url))
    if served.identity is not None:
        strangers.append(Served(served.url, served.ca))
    for stranger in strangers:
        with stranger.connect() as client, pytest.raises(InferenceServerException):
            client.is_server_live()


@built
def test_the_module_labels_an_event(served: Served, events: Path) -> None:
    program = build("address,undefined" if FULL else "", "larsoft") / "larsoft"
    environment = served.environment() | {"NAIAD_EVENTS": str(events)}
    assert "SUCCESS" in run(program, **environment)
    if served.ca is not None:  # sslRootCertificates: ""
        del environment["NAIAD_CA_OF_TEST"]
        roots = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(served.ca)}
        assert "SUCCESS" in run(program, **environment, **roots)
