"""NuGraph3 of 2026 through the real Triton, by plain tritonclient and by naiad.Client."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tests.support import forks
from tests.unit.applications.nugraph.condensation_checkpoints import (
    GOLDENS,
    assert_equal,
    expected,
    golden,
    golden_event,
    read,
    save,
    with_heads,
)

import naiad
from naiad import testing
from naiad.applications.nugraph.events import open_events
from naiad.applications.nugraph.result_files import read_results
from naiad.applications.nugraph.simulate import simulate
from naiad.applications.nugraph.weights import import_checkpoint
from naiad.errors import InvalidInput

NAIAD = forks.naiad()


@pytest.fixture(scope="module", params=["random", "random_gen1"])
def served(request, shared_data, tmp_path_factory):
    """Serve one of the checkpoints; return its name and the server."""
    folder = tmp_path_factory.mktemp("weights") / request.param
    import_checkpoint(shared_data / "nugraph3_2026" / f"{request.param}.ckpt", folder)
    with testing.serve("nugraph3", weights=folder) as server:
        yield request.param, server


@pytest.fixture(scope="module")
def references(shared_data):
    return {name: golden(shared_data, name) for name in GOLDENS}


def of(references, checkpoint):
    """Return the reference answers of a checkpoint."""
    return [references[name] for name, source in GOLDENS.items() if source == checkpoint]


def plain_infer(module, client, arrays, names):
    """Send a request as clients without Naiad do."""
    types = {np.dtype("int32"): "INT32", np.dtype("float32"): "FP32"}
    inputs = []
    for name, array in arrays.items():
        tensor = module.InferInput(name, list(array.shape), types[array.dtype])
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    outputs = [module.InferRequestedOutput(name) for name in names]
    result = client.infer("nugraph3", inputs, outputs=outputs)
    return {name: result.as_numpy(name) for name in names}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_references_by_plain_tritonclient(served, references, protocol):
    checkpoint, server = served
    module = triton_grpc if protocol == "grpc" else triton_http
    url = server.grpc_url if protocol == "grpc" else server.http_url.removeprefix("http://")
    with module.InferenceServerClient(url) as client:
        for reference in of(references, checkpoint):
            wanted = expected(reference)
            assert_equal(plain_infer(module, client, golden_event(reference), list(wanted)), wanted)


@pytest.mark.parametrize("url", ["grpc_url", "http_url"])
def test_the_references_by_naiad_client_without_tpc(served, references, url):
    checkpoint, server = served
    reference = of(references, checkpoint)[0]
    request = golden_event(reference)
    del request["hit_table_tpc"]
    with naiad.Client(getattr(server, url)) as client:
        assert_equal(client.infer("nugraph3", request), expected(reference))


def test_batched_with_sixteen_others_the_answer_is_the_same(served, references):
    checkpoint, server = served
    reference = of(references, checkpoint)[-1]
    requests = [event.arrays() for event in simulate(16, seed=5)]
    requests.insert(8, golden_event(reference))

    def one(arrays):
        with naiad.Client(server.grpc_url) as client:
            return [client.infer("nugraph3", arrays) for _ in range(3)]

    with ThreadPoolExecutor(17) as pool:
        answers = list(pool.map(one, requests))
    for answer in answers[8]:
        assert_equal(answer, expected(reference), slack=2)


def test_the_config_has_the_heads_outputs(served):
    _, server = served
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        config = client.get_model_config("nugraph3", as_json=True)["config"]
    outputs = {t["name"]: (t["data_type"], [int(d) for d in t["dims"]]) for t in config["output"]}
    assert outputs["e_evt"] == ("TYPE_FP32", [4])
    assert outputs["of_u"] == ("TYPE_FP32", [-1])
    assert outputs["ox_v"] == ("TYPE_FP32", [-1, 8])
    assert outputs["i_y"] == ("TYPE_INT32", [-1])
    assert outputs["x_position_y"] == ("TYPE_FP32", [-1, 3])
    optional = {t["name"] for t in config["input"] if t.get("optional")}
    assert optional == {"hit_table_tpc"}


def test_a_files_result_has_particles(served, shared_data, references):
    checkpoint, server = served
    event = open_events(shared_data / "nugraph3" / "event_small.h5")[0]
    with server.client() as client:
        result = client.nugraph3.infer(event)
    reference = of(references, checkpoint)[0]
    order = np.argsort(reference["graph_hit_id"])
    rows = np.argsort(result.hits["hit_id"].to_numpy())
    found = result.hits["particle"].to_numpy()[rows]
    np.testing.assert_array_equal(found, reference["out_i"][order])
    assert result.num_particles == reference["out_i"].max() + 1


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_the_command_line_writes_files_that_read_back(served, shared_data, tmp_path, suffix):
    _, server = served
    source = shared_data / "nugraph3" / "event_small.h5"
    file, picture = tmp_path / f"results{suffix}", tmp_path / "pictures"
    arguments = ("infer", "nugraph3", source, "-o", file, "--plot", picture)
    done = subprocess.run(
        [*NAIAD, *arguments, "--url", server.grpc_url], check=True, capture_output=True, text=True
    )
    assert "particles" in done.stdout
    (result,) = read_results(file)
    assert result.has("particle")
    assert result.values["coordinates"].shape == (189, 8)
    assert next(picture.iterdir()).stat().st_size > 10_000


def test_an_output_that_the_checkpoint_lacks_is_refused_with_the_reason(shared_data, tmp_path):
    checkpoint = with_heads(
        read(shared_data / "nugraph3_2026" / "random.ckpt"), ("semantic", "filter")
    )
    import_checkpoint(save(checkpoint, tmp_path / "a.ckpt"), tmp_path / "w")
    with testing.serve("nugraph3", weights=tmp_path / "w") as server:
        with server.client() as client:
            example = next(iter(simulate(1, seed=2))).arrays()
            answer = client.infer("nugraph3", example)
            assert set(answer) == {
                *(f"x_{head}_{plane}" for head in ("semantic", "filter") for plane in "uvy"),
                "unknown_hits",
            }
            with pytest.raises(InvalidInput, match="was trained without an instance head"):
                client.infer("nugraph3", example, outputs=["i_u"])
        with (
            triton_grpc.InferenceServerClient(server.grpc_url) as plain,
            pytest.raises(Exception, match="unexpected inference output 'i_u'"),
        ):
            plain_infer(triton_grpc, plain, example, ["i_u"])
