"""Small pipelines for runtime tests, loaded by path in this process and in workers."""

from __future__ import annotations

import mmap
import os
import signal
import time

import numpy as np

import naiad
from naiad import Budget, Tensor
from naiad.networks import threads


class Degree(naiad.Pipeline):
    """The in-degree of each node, and the sum of all features of each graph."""

    inputs = {
        "x": Tensor("float32", ("nodes", 2)),
        "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
    }
    outputs = {
        "degree": Tensor("int64", ("nodes",)),
        "total": Tensor("float64", ("requests",)),
    }
    budget = Budget(nodes=100, requests=64)
    limit = Budget(nodes=1000)
    arrays = "numpy"  # a worker without torch starts in a tenth of the time

    def forward(self, batch):
        if (batch["x"] == 666).any():
            raise ValueError("the number of the beast")
        degree = np.bincount(batch["edge_index"][1], minlength=batch.total("nodes"))
        total = np.zeros(batch.requests)
        np.add.at(total, batch.index("nodes"), batch["x"].sum(1))
        return {"degree": degree, "total": total}


class TorchDegree(Degree):
    """The same with torch tensors."""

    arrays = "torch"

    def forward(self, batch):
        import torch

        assert torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == 1
        degree = torch.bincount(batch["edge_index"][1], minlength=batch.total("nodes"))
        total = torch.zeros(batch.requests, dtype=torch.float64)
        total.index_add_(0, batch.index("nodes"), batch["x"].double().sum(1))
        return {"degree": degree, "total": total}


class Scribbler(TorchDegree):
    """A pipeline that overwrites its input, and then fails if a feature is 666."""

    def forward(self, batch):
        found = super().forward(batch)
        beast = bool((batch["x"] == 666).any())
        batch["x"].zero_()
        if beast:
            raise ValueError("the number of the beast")
        return found


class Trouble(Degree):
    """A pipeline controlled by the first feature."""

    def prepare(self, request):
        code = request["x"][0, 0] if len(request["x"]) else 0
        if code == 1:
            raise KeyError("prepare")
        if code == 2:
            raise naiad.InvalidInput("x[0, 0] is 2; it must be kind")
        if code == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if code == 4:
            time.sleep(60)
        if code == 5:
            return {"x": request["x"].astype(np.float64), "edge_index": request["edge_index"]}
        return request.arrays

    def finish(self, result):
        if result["total"][0] == 17:
            raise RuntimeError("finish")
        if result["total"][0] == 18:
            return {"degree": result["degree"]}
        return result


class Slow(Degree):
    """A pipeline whose run takes the seconds in the first feature of any request."""

    def forward(self, batch):
        time.sleep(float(batch["x"].max(initial=0)))
        return super().forward(batch)


class Ahead(Degree):
    """Takes 10 ms to prepare a request and 40 ms to run a batch, like a GPU without using a core.

    Returns the times and the number of requests. The first feature controls it: 1 and 2 fail in
    ``prepare`` and ``forward``; 3 and 4 end or stop the process in ``forward``, with others
    prepared; 5 and 6 do so in ``prepare``; 7 runs out of memory unless alone. Other small numbers
    are the seconds that ``forward`` takes.
    """

    sample = {**Degree.inputs, "prepared": Tensor("float64", ("requests", 2))}
    outputs = result = {
        **Degree.outputs,
        "prepared": sample["prepared"],
        "ran": Tensor("float64", ("requests", 2)),
        "company": Tensor("int64", ("requests",)),
    }
    merges = True  # its answers say how many were merged
    watchdog = 5.0

    def prepare(self, request):
        code, start = request["x"][0, 0], time.monotonic()
        if code == 1:
            raise KeyError("prepare")
        self.end(code, 5)
        time.sleep(0.01)
        return {**request.arrays, "prepared": np.array([[start, time.monotonic()]])}

    def forward(self, batch):
        codes, start = batch["x"][:, 0], time.monotonic()
        if (codes == 2).any():
            raise ValueError("forward")
        if (codes == 7).any() and batch.requests > 1:
            raise MemoryError(f"{batch.requests} requests")
        slow = codes[(codes > 0) & (codes < 1)].max(initial=0.04)
        time.sleep(float(slow))
        for code in codes:
            self.end(code, 3)
        found = super().forward(batch)
        ran = np.tile([start, time.monotonic()], (batch.requests, 1))
        company = np.full(batch.requests, batch.requests)
        return {**found, "prepared": batch["prepared"], "ran": ran, "company": company}

    def end(self, code, first):
        if code == first:
            os.kill(os.getpid(), signal.SIGKILL)
        if code == first + 1:
            time.sleep(60)


class Metered(Degree):
    """A pipeline of 20 ms per request that returns the batch size."""

    outputs = result = {**Degree.outputs, "company": Tensor("int64", ("requests",))}
    merges = True  # its answers say how many were merged

    def forward(self, batch):
        time.sleep(0.02 * batch.requests)
        company = np.full(batch.requests, batch.requests)
        return {**super().forward(batch), "company": company}


class Kneed(Degree):
    """A pipeline of 2 ms per batch and 20 us per node, ten times that beyond 400 nodes."""

    budget = Budget(nodes=100_000)
    limit = Budget(nodes=50, edges=50)

    def forward(self, batch):
        nodes = batch.total("nodes")
        time.sleep(2e-3 + 2e-5 * nodes + 2e-4 * max(0, nodes - 400))
        return super().forward(batch)


class Picky(Degree):
    """A pipeline that refuses graphs with an odd number of nodes."""

    limit = Budget(nodes=50, edges=50)

    def prepare(self, request):
        if request.sizes["nodes"] % 2:
            raise naiad.InvalidInput("an odd number of nodes")
        return request.arrays


class Starved(Degree):
    """A pipeline with memory for a limited number of nodes."""

    memory = 32
    seen: list[int] = []

    def forward(self, batch):
        self.seen.append(batch.total("nodes"))
        if batch.total("nodes") > self.memory:
            raise MemoryError(f"{batch.total('nodes')} nodes")
        return super().forward(batch)


class Broken(Degree):
    """A pipeline that cannot be set up."""

    def setup(self, device):
        raise RuntimeError("no weights today")


class Extra(Degree):
    """A pipeline that returns undeclared outputs."""

    def forward(self, batch):
        return {**super().forward(batch), "surprise": np.zeros(1)}


class Bytes(naiad.Pipeline):
    """Reversed strings, without torch."""

    arrays = "numpy"
    inputs = {"text": Tensor("bytes", ("texts",), counts="bytes")}
    limit = Budget(bytes=1000)
    outputs = {"reversed": Tensor("bytes", ("texts",)), "length": Tensor("int32", ("texts",))}

    def forward(self, batch):
        text = batch["text"]
        return {
            "reversed": np.array([t[::-1] for t in text] + [None], dtype=object)[:-1],
            "length": np.array([len(t) for t in text], np.int32),
        }


class Where(naiad.Pipeline):
    """A pipeline that tells whether ``prepare`` sees memory shared with the sender."""

    arrays = "numpy"
    inputs = {"x": Tensor("float32", ("n",))}
    sample = {"shared": Tensor("bool", ("requests",)), "x": Tensor("float32", ("n",))}
    outputs = {"shared": Tensor("bool", ("requests",)), "x": Tensor("float32", ("n",))}

    def prepare(self, request):
        owner = request["x"]
        while isinstance(owner, np.ndarray):
            owner = owner.base
        return {"shared": np.array([isinstance(owner, mmap.mmap)]), "x": request["x"]}

    def forward(self, batch):
        return {"shared": batch["shared"], "x": batch["x"]}


class Ranked(naiad.Pipeline):
    """Rows in Triton's batch dimension, with named classes; scores are the pixels' sums."""

    arrays = "numpy"
    max_batch_size = 4
    inputs = {"x": Tensor("float32", ("rows", 2, 2, 3), layout="NHWC")}
    outputs = {"a/score": Tensor("float32", ("rows", 3))}

    def labels(self):
        return {"a/score": ["red", "green: light", "blue"]}

    def forward(self, batch):
        return {"a/score": batch["x"].sum((1, 2))}


class Threads(naiad.Pipeline):
    """The number of threads that a batch may have; it takes long enough for more than one."""

    inputs = {"x": Tensor("float32", ("requests",))}
    outputs = {"threads": Tensor("int64", ("requests",))}
    budget = Budget(requests=1)
    arrays = "numpy"

    def setup(self, device):
        threads.follow(lambda number: None)

    def forward(self, batch):
        time.sleep(0.1)
        return {"threads": np.full(batch.requests, threads.current())}
