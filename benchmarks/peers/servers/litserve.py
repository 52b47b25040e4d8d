"""LitServe: bodies of bytes, batches, its fast queue, and a worker and a web server per core."""

import gc
from typing import Annotated

import litserve
from benchmarks.peers.codec import pack, unpack
from benchmarks.peers.servers import BINARY, options
from benchmarks.peers.works import find_work
from fastapi import Body, Response


class Api(litserve.LitAPI):
    """A work as LitServe has it."""

    def setup(self, device):
        self._predict = find_work(options().work).load()
        gc.collect()
        gc.freeze()

    def decode_request(self, request: Annotated[bytes, Body(media_type=BINARY)]):
        return unpack(request)

    def batch(self, inputs):
        return inputs

    def predict(self, x):
        return self._predict(x)

    def unbatch(self, output):
        return output

    def encode_response(self, output) -> Response:
        return Response(content=pack(output), media_type=BINARY)


def main() -> None:
    given = options()
    server = litserve.LitServer(
        Api(max_batch_size=find_work(given.work).batch, batch_timeout=given.wait),
        accelerator="cpu",
        workers_per_device=given.workers,
        fast_queue=True,
        timeout=60,
    )
    server.run(
        host="127.0.0.1",
        port=given.port,
        num_api_servers=given.workers,
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )


if __name__ == "__main__":
    main()
