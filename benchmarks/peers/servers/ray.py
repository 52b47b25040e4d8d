"""Ray Serve: bodies of bytes, batches up to a sum of sizes, a replica per core.

RAY_SERVE_THROUGHPUT_OPTIMIZED is set, as Ray's documentation advises for many requests.
"""

import gc
import os
import signal
import threading

os.environ.setdefault("RAY_SERVE_THROUGHPUT_OPTIMIZED", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_agent_register_timeout_ms", "170000")

import ray
from benchmarks.peers.codec import pack, unpack
from benchmarks.peers.servers import BINARY, MODEL, options
from benchmarks.peers.works import find_work
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

GIVEN = options()
WORK = find_work(GIVEN.work)


@serve.deployment(
    num_replicas=GIVEN.workers,
    max_ongoing_requests=1_000,
    ray_actor_options={"num_cpus": 1},
)
class Served:
    """A work as Ray Serve has it."""

    def __init__(self):
        self._predict = WORK.load()
        gc.collect()
        gc.freeze()

    @serve.batch(
        max_batch_size=WORK.most,
        batch_wait_timeout_s=GIVEN.wait,
        batch_size_fn=lambda requests: sum(map(WORK.size, requests)),
    )
    async def answer(self, requests):
        return [pack(answer) for answer in self._predict(requests)]

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        return Response(await self.answer(unpack(body)), media_type=BINARY)


def main() -> None:
    ray.init(
        num_cpus=GIVEN.workers + 1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        _temp_dir=GIVEN.scratch,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": GIVEN.port, "access_log": False})
    serve.run(Served.bind(), name=MODEL)
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    told.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
