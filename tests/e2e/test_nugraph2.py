"""NuGraph2 through the real Triton, under both of its names, as LArSoft's modules ask for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tests.support.nugraph import (
    HIT_OUTPUTS,
    UNUSUAL,
    assert_close,
    change,
    counts,
    counts_since,
    plain_infer,
)

import naiad
from naiad import testing
from naiad.applications.nugraph.events import open_events
from naiad.applications.nugraph.schema import INPUTS
from naiad.applications.nugraph.simulate import simulate
from naiad.applications.nugraph.weights import import_checkpoint
from naiad.core.pipeline import Request
from naiad.core.schema import validate
from naiad.errors import WeightsError
from naiad.runtime.spec import Spec
from naiad.runtime.worker import load


@pytest.fixture(scope="module")
def weights(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "random"
    import_checkpoint(shared_data / "nugraph2" / "random.ckpt", folder)
    return folder


@pytest.fixture(scope="module")
def server(weights):
    with testing.serve("nugraph2", weights=weights) as s:
        yield s


@pytest.fixture(scope="module")
def golden(shared_data):
    with np.load(shared_data / "nugraph2" / "golden_small.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def golden_request(golden):
    return {name: golden[name] for name in INPUTS}


@pytest.fixture(scope="module")
def in_process(weights):
    """Answer with the same pipeline in this process, one request at a time."""
    spec = "naiad.applications.nugraph.nugraph2_pipeline:NuGraph2"
    runner = load(Spec(spec, weights=str(weights)))

    def infer(arrays):
        (outcome,) = runner.run([Request(arrays, validate(INPUTS, arrays))]).outcomes
        assert not isinstance(outcome, Exception), outcome
        return outcome

    return infer


def test_the_golden_event_in_process(in_process, golden, golden_request):
    assert_close(in_process(golden_request), golden, HIT_OUTPUTS)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_golden_event_by_plain_tritonclient(server, golden, golden_request, protocol):
    if protocol == "grpc":
        with triton_grpc.InferenceServerClient(server.grpc_url) as client:
            got = plain_infer(triton_grpc, client, "nugraph2", golden_request, HIT_OUTPUTS)
    else:
        url = server.http_url.removeprefix("http://")
        with triton_http.InferenceServerClient(url) as client:
            got = plain_infer(triton_http, client, "nugraph2", golden_request, HIT_OUTPUTS)
    assert_close(got, golden, HIT_OUTPUTS)


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
def test_the_golden_event_by_naiad_client(server, golden, golden_request, url):
    with naiad.Client(getattr(server, url)) as client:
        assert_close(client.infer("nugraph2", golden_request), golden, HIT_OUTPUTS)


def test_the_config_is_the_contract(server):
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        config = client.get_model_config("nugraph2", as_json=True)["config"]
    assert config.get("max_batch_size", 0) == 0
    inputs = {t["name"]: (t["data_type"], t["dims"]) for t in config["input"]}
    assert inputs.keys() == INPUTS.keys()
    assert set(map(str, inputs.values())) == {"('TYPE_INT32', ['-1'])", "('TYPE_FP32', ['-1'])"}
    outputs = {t["name"]: [int(d) for d in t["dims"]] for t in config["output"]}
    assert outputs.pop("unknown_hits") == [1]
    assert outputs == {
        **{f"x_semantic_{plane}": [-1, 5] for plane in "uvy"},
        **{f"x_filter_{plane}": [-1] for plane in "uvy"},
    }


def test_a_result_has_the_classes_and_no_event_class(server, shared_data, golden):
    event = open_events(shared_data / "nugraph3" / "event_small.h5")[0]
    with server.client() as client:
        result = client.nugraph2.infer(event)
    assert (result.run, result.subrun, result.event) == (7010, 1705, 85251)
    assert result.labels.semantic == ("MIP", "HIP", "shower", "michel", "diffuse")
    assert not hasattr(result, "event_class")
    on_plane = result.hits[result.hits["plane"] == "v"]
    np.testing.assert_allclose(on_plane["filter"], golden["x_filter_v"], atol=1e-5)


def test_sixteen_clients_each_get_their_own_answer_and_requests_are_merged(
    server, in_process, golden, golden_request
):
    events = [golden_request, *(event.arrays() for event in simulate(47, seed=12))]
    expected = [golden, *map(in_process, events[1:])]
    before = counts(server)

    def one_client(number):
        mine = range(number, len(events), 16)
        with naiad.Client(server.grpc_url) as client:
            return [(n, client.infer("nugraph2", events[n])) for n in mine]

    with ThreadPoolExecutor(16) as pool:
        answers = [pair for pairs in pool.map(one_client, range(16)) for pair in pairs]
    assert sorted(number for number, _ in answers) == list(range(len(events)))
    for number, outputs in answers:
        assert_close(outputs, expected[number], HIT_OUTPUTS)
    requests, batches = counts_since(server, before, 48)
    assert requests == 48
    assert batches < requests


def test_a_bad_request_is_refused_and_the_next_works(server, golden, golden_request):
    spoilt = change(golden_request, "hit_table_local_plane", 17, 3)
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        with pytest.raises(triton_grpc.InferenceServerException) as error:
            plain_infer(triton_grpc, client, "nugraph2", spoilt, HIT_OUTPUTS)
        assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
        assert "hit_table_local_plane[17] is 3" in error.value.message()
        with pytest.raises(triton_grpc.InferenceServerException, match="e_evt"):
            plain_infer(triton_grpc, client, "nugraph2", golden_request, ["e_evt"])
        answer = plain_infer(triton_grpc, client, "nugraph2", golden_request, HIT_OUTPUTS)
    assert_close(answer, golden, HIT_OUTPUTS)


@pytest.mark.parametrize("case", UNUSUAL)
def test_an_unusual_event_has_an_answer(server, in_process, golden_request, case):
    request = UNUSUAL[case](golden_request)
    with server.client() as client:
        outputs = client.infer("nugraph2", request)
    assert_close(outputs, in_process(request), HIT_OUTPUTS)
    planes = request["hit_table_local_plane"]
    for number, plane in enumerate("uvy"):
        assert len(outputs[f"x_semantic_{plane}"]) == (planes == number).sum()
    assert all(np.isfinite(outputs[name]).all() for name in HIT_OUTPUTS)


def test_nugraph2_cpu_is_the_same_model(weights, golden, golden_request):
    with testing.serve("nugraph2_cpu", weights=weights) as server:
        with triton_grpc.InferenceServerClient(server.grpc_url) as client:
            got = plain_infer(triton_grpc, client, "nugraph2_cpu", golden_request, HIT_OUTPUTS)
        assert_close(got, golden, HIT_OUTPUTS)
        (event,) = simulate(1, seed=3)
        with server.client() as client:
            assert client.nugraph2_cpu.infer(event).labels.title == "NuGraph2"


def test_weights_of_the_other_network_are_refused_with_the_command_that_serves_them(weights):
    with pytest.raises(WeightsError, match=f"naiad serve nugraph2 --weights {weights}"):
        testing.serve("nugraph3", weights=weights)
