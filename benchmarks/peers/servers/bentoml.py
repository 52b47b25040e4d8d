"""BentoML: adaptive batches, bodies of bytes, a worker per core.

A specification of its own takes bodies as they are: BentoML's others are JSON, or forms whose files
it writes to disk.
"""

import gc
import os
import sys
from pathlib import Path

import bentoml
from _bentoml_sdk.io_models import IORootModel
from benchmarks.peers.codec import pack, unpack
from benchmarks.peers.servers import BINARY, options
from benchmarks.peers.works import find_work
from starlette.responses import Response

GIVEN = options()
WORK = find_work(GIVEN.work)


class Body(IORootModel[list[bytes]]):
    """One request or answer as the whole body."""

    __root_input__ = True

    @classmethod
    async def from_http_request(cls, request, serde):
        return cls([await request.body()])

    @classmethod
    async def to_http_response(cls, obj, serde):
        return Response(obj[0], media_type=BINARY)


@bentoml.service(
    workers=GIVEN.workers,
    traffic={"timeout": 60, "max_concurrency": 1_000},
    logging={"access": {"enabled": False}},
)
class Served:
    """A work as BentoML has it."""

    def __init__(self):
        self._predict = WORK.load()
        gc.collect()
        gc.freeze()

    @bentoml.api(
        route="/predict",
        batchable=True,
        max_batch_size=max(2, WORK.batch),
        max_latency_ms=60_000,
        input_spec=Body,
        output_spec=Body,
    )
    def predict(self, bodies: list[bytes]) -> list[bytes]:
        return [pack(answer) for answer in self._predict([unpack(body) for body in bodies])]


def main() -> None:
    served = f"{__spec__.name}:Served"
    command = [sys.executable, "-m", "bentoml", "serve", served, "--host", "127.0.0.1"]
    home = {"BENTOML_HOME": str(Path(GIVEN.scratch)), "BENTOML_DO_NOT_TRACK": "True"}
    os.execve(sys.executable, [*command, "--port", str(GIVEN.port)], {**os.environ, **home})


if __name__ == "__main__":
    main()
