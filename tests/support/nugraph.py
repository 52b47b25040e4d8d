"""Requests to NuGraph models and comparisons of their answers, for end-to-end tests."""

from __future__ import annotations

import time

import numpy as np

# SPEC.md: absolute tolerances of a correct implementation.
TOLERANCES = {"e_evt": 1e-4, "x_semantic": 1e-4, "x_filter": 1e-5, "v_evt": 5e-4}
HIT_OUTPUTS = [f"x_{head}_{plane}" for head in ("semantic", "filter") for plane in "uvy"]


def assert_close(got, expected, outputs):
    for name in outputs:
        tolerance = TOLERANCES[name.rsplit("_", 1)[0] if name.startswith("x_") else name]
        assert got[name].dtype == np.float32
        assert got[name].shape == expected[name].shape, name
        np.testing.assert_allclose(got[name], expected[name], atol=tolerance, rtol=0, err_msg=name)


def plain_infer(module, client, model, arrays, outputs):
    """Send a request exactly like the existing clients."""
    names = {np.dtype("int32"): "INT32", np.dtype("float32"): "FP32"}
    inputs = []
    for name, array in arrays.items():
        tensor = module.InferInput(name, list(array.shape), names[array.dtype])
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    asked = [module.InferRequestedOutput(name) for name in outputs]
    result = client.infer(model, inputs, outputs=asked)
    return {name: result.as_numpy(name) for name in outputs}


def counts(server):
    """Return the numbers of requests and batches so far."""
    requests = server.metric("naiad_batch_items_sum", dimension="requests")
    return requests, server.metric("naiad_batches_total")


def counts_since(server, before, expected):
    """Return requests and batches since ``before``; metrics arrive four times a second."""
    for _ in range(50):
        requests, batches = (now - then for now, then in zip(counts(server), before, strict=True))
        if requests >= expected:
            break
        time.sleep(0.1)
    return requests, batches


def change(request, name, position, value):
    array = request[name].copy()
    array[position] = value
    return request | {name: array}


def take(request, hits, spacepoints=slice(None)):
    return {
        name: array[hits] if name.startswith("hit_table") else array[spacepoints]
        for name, array in request.items()
    }


def moved(request, **columns):
    return request | {
        f"hit_table_{name}": np.broadcast_to(value, 189).astype(request[f"hit_table_{name}"].dtype)
        for name, value in columns.items()
    }


UNUSUAL = {
    "no hits at all": lambda r: take(r, slice(0, 0), slice(0, 0)),
    "no hits but spacepoints": lambda r: take(r, slice(0, 0)),
    "no spacepoints": lambda r: take(r, slice(None), slice(0, 0)),
    "an empty plane": lambda r: take(r, r["hit_table_local_plane"] != 1),
    "one hit": lambda r: take(r, slice(0, 1)),
    "two hits": lambda r: take(r, slice(0, 2)),
    "three hits": lambda r: take(r, slice(0, 3)),
    "collinear hits": lambda r: moved(r, local_wire=100, local_time=np.arange(189)),
    "identical points": lambda r: moved(r, local_wire=100, local_time=50.0),
}
