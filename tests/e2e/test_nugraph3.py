"""NuGraph3 through the real Triton, by plain tritonclient and by naiad.Client."""

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
from naiad.runtime.spec import Spec
from naiad.runtime.worker import load

OUTPUTS = ["e_evt", "v_evt", *HIT_OUTPUTS]


@pytest.fixture(scope="module")
def weights(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "original"
    import_checkpoint(shared_data / "nugraph3" / "hierarchical.ckpt", folder)
    return folder


@pytest.fixture(scope="module")
def server(weights):
    with testing.serve("nugraph3", weights=weights) as s:
        yield s


@pytest.fixture(scope="module")
def golden(shared_data):
    with np.load(shared_data / "nugraph3" / "golden_small.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def golden_request(golden):
    return {k.removeprefix("in_"): v for k, v in golden.items() if k.startswith("in_")}


@pytest.fixture(scope="module")
def in_process(weights):
    """Answer with the same pipeline in this process, one request at a time."""
    runner = load(Spec("naiad.applications.nugraph.pipeline:NuGraph3", weights=str(weights)))

    def infer(arrays):
        (outcome,) = runner.run([Request(arrays, validate(INPUTS, arrays))]).outcomes
        assert not isinstance(outcome, Exception), outcome
        return outcome

    return infer


def test_the_golden_event_in_process(in_process, golden, golden_request):
    assert_close(in_process(golden_request), golden, OUTPUTS)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_golden_event_by_plain_tritonclient(server, golden, golden_request, protocol):
    if protocol == "grpc":
        with triton_grpc.InferenceServerClient(server.grpc_url) as client:
            got = plain_infer(triton_grpc, client, "nugraph3", golden_request, OUTPUTS)
    else:
        url = server.http_url.removeprefix("http://")
        with triton_http.InferenceServerClient(url) as client:
            got = plain_infer(triton_http, client, "nugraph3", golden_request, OUTPUTS)
    assert_close(got, golden, OUTPUTS)
    assert got["e_evt"].shape == (1, 4)
    assert got["v_evt"].shape == (1, 3)


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
def test_the_golden_event_by_naiad_client(server, golden, golden_request, url):
    with naiad.Client(getattr(server, url)) as client:
        assert_close(client.infer("nugraph3", golden_request), golden, OUTPUTS)


def test_the_file_comes_back_with_its_real_numbers_and_labels(server, shared_data, golden):
    event = open_events(shared_data / "nugraph3" / "event_small.h5")[0]
    with server.client() as client:
        result = client.nugraph3.infer(event)
    assert (result.run, result.subrun, result.event) == (7010, 1705, 85251)
    assert result.event_class == "nc"
    np.testing.assert_allclose(result.vertex, golden["v_evt"][0], atol=5e-4)
    assert len(result.hits) == 189


def test_the_config_is_the_contract(server):
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        config = client.get_model_config("nugraph3", as_json=True)["config"]
    dims = {t["name"]: [int(d) for d in t["dims"]] for t in config["input"] + config["output"]}
    assert config.get("max_batch_size", 0) == 0
    assert dims["e_evt"] == [4]
    assert dims["v_evt"] == [1, 3]
    assert dims["x_semantic_u"] == [-1, 7]
    assert dims["x_filter_y"] == [-1]
    assert dims["hit_table_rms"] == dims["spacepoint_table_hit_id_y"] == [-1]


def test_sixteen_clients_each_get_their_own_answer_and_requests_are_merged(server, in_process):
    events = [event.arrays() for event in simulate(48, seed=11)]
    expected = [in_process(arrays) for arrays in events]
    before = counts(server)

    def one_client(number):
        mine = range(number, len(events), 16)
        with naiad.Client(server.grpc_url) as client:
            return [(n, client.infer("nugraph3", events[n])) for n in mine]

    with ThreadPoolExecutor(16) as pool:
        answers = [pair for pairs in pool.map(one_client, range(16)) for pair in pairs]
    assert sorted(number for number, _ in answers) == list(range(len(events)))
    for number, outputs in answers:
        assert_close(outputs, expected[number], OUTPUTS)
    requests, batches = counts_since(server, before, 48)
    assert requests == 48
    assert batches < requests


BAD = {
    "columns of different length": (
        lambda r: r | {"hit_table_rms": r["hit_table_rms"][:-1]},
        "hit_table_rms has 188 hits, but hit_table_hit_id has 189",
    ),
    "plane 3": (
        lambda r: change(r, "hit_table_local_plane", 17, 3),
        "hit_table_local_plane[17] is 3; it must be 0 (u), 1 (v) or 2 (y)",
    ),
    "plane -1": (
        lambda r: change(r, "hit_table_local_plane", 5, -1),
        "hit_table_local_plane[5] is -1; it must be 0 (u), 1 (v) or 2 (y)",
    ),
    "NaN": (
        lambda r: change(r, "hit_table_local_time", 3, np.nan),
        "hit_table_local_time[3] is nan; it must be finite",
    ),
    "infinity": (
        lambda r: change(r, "hit_table_integral", 4, np.inf),
        "hit_table_integral[4] is inf; it must be finite",
    ),
    "a repeated hit id": (
        lambda r: change(r, "hit_table_hit_id", 8, int(r["hit_table_hit_id"][2])),
        "values must be unique",
    ),
    "an integral above the limit": (
        lambda r: change(r, "hit_table_integral", 6, 1.5e6),
        "hit_table_integral[6] is 1.5e+06; it must be at most 1e+06",
    ),
    "a wrong rank": (
        lambda r: r | {"hit_table_rms": r["hit_table_rms"][:, None]},
        "hit_table_rms",
    ),
    "a missing input": (
        lambda r: {k: v for k, v in r.items() if k != "hit_table_rms"},
        "hit_table_rms",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_the_next_request_works(server, golden, golden_request, case):
    spoil, message = BAD[case]
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        with pytest.raises(triton_grpc.InferenceServerException) as error:
            plain_infer(triton_grpc, client, "nugraph3", spoil(golden_request), OUTPUTS)
        assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
        assert message in error.value.message()
        assert_close(
            plain_infer(triton_grpc, client, "nugraph3", golden_request, OUTPUTS), golden, OUTPUTS
        )


def test_a_wrong_dtype_is_refused(server, golden_request):
    tensor = triton_grpc.InferInput("hit_table_rms", [189], "FP64")
    tensor.set_data_from_numpy(golden_request["hit_table_rms"].astype(np.float64))
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        inputs = [tensor]
        for name, array in golden_request.items():
            if name != "hit_table_rms":
                kind = "INT32" if array.dtype == np.int32 else "FP32"
                inputs.append(triton_grpc.InferInput(name, list(array.shape), kind))
                inputs[-1].set_data_from_numpy(array)
        with pytest.raises(triton_grpc.InferenceServerException) as error:
            client.infer("nugraph3", inputs)
    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "hit_table_rms" in error.value.message()


def test_unknown_hit_ids_are_counted_or_refused_when_strict(server, golden_request):
    odd = change(golden_request, "spacepoint_table_hit_id_v", 7, 99_999)
    with server.client() as client:
        outputs = client.infer("nugraph3", odd)
        known = client.infer("nugraph3", golden_request)["unknown_hits"]
        np.testing.assert_array_equal(outputs["unknown_hits"], known + 1)
        with pytest.raises(naiad.InvalidInput, match=r"spacepoint_table_hit_id_v\[7\] is 99999"):
            client.infer("nugraph3", odd, parameters={"strict": True})


@pytest.mark.parametrize("case", UNUSUAL)
def test_an_unusual_event_has_an_answer(server, in_process, golden_request, case):
    request = UNUSUAL[case](golden_request)
    with server.client() as client:
        outputs = client.infer("nugraph3", request)
    assert_close(outputs, in_process(request), OUTPUTS)
    planes = request["hit_table_local_plane"]
    for number, plane in enumerate("uvy"):
        assert len(outputs[f"x_semantic_{plane}"]) == (planes == number).sum()
    assert all(np.isfinite(outputs[name]).all() for name in OUTPUTS)


def test_thousands_of_identical_points_have_an_answer(server):
    count = 5000
    request = {
        "hit_table_hit_id": np.arange(count, dtype=np.int32),
        "hit_table_local_plane": np.zeros(count, np.int32),
        "hit_table_local_time": np.full(count, 5, np.float32),
        "hit_table_local_wire": np.full(count, 7, np.int32),
        "hit_table_integral": np.ones(count, np.float32),
        "hit_table_rms": np.ones(count, np.float32),
        **{
            f"spacepoint_table_{name}": np.zeros(0, np.int32)
            for name in ("spacepoint_id", "hit_id_u", "hit_id_v", "hit_id_y")
        },
    }
    with server.client() as client:
        outputs = client.infer("nugraph3", request, timeout=30)
    assert outputs["x_semantic_u"].shape == (count, 7)
    assert np.isfinite(outputs["x_semantic_u"]).all()
