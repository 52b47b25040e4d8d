"""MLServer: adaptive batches of requests as elements of bytes over gRPC, a worker per core."""

import asyncio
import gc

import mlserver
from benchmarks.peers.codec import pack, unpack
from benchmarks.peers.servers import MODEL, options
from benchmarks.peers.works import find_work
from mlserver.settings import ModelSettings, Settings
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

_LARGEST = 2**31 - 1  # bytes of a message


class Served(mlserver.MLModel):
    """A work as MLServer has it."""

    async def load(self) -> bool:
        self._predict = find_work(options().work).load()
        gc.collect()
        gc.freeze()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        (tensor,) = payload.inputs
        requests = getattr(tensor.data, "root", tensor.data)
        answers = [pack(answer) for answer in self._predict([unpack(one) for one in requests])]
        output = ResponseOutput(
            name="answer", shape=[len(answers), 1], datatype="BYTES", data=answers
        )
        return InferenceResponse(model_name=self.name, outputs=[output])


async def main() -> None:
    given = options()
    settings = Settings(
        debug=False,
        host="127.0.0.1",
        http_port=given.port + 1,
        grpc_port=given.port,
        grpc_max_message_length=_LARGEST,
        metrics_endpoint=None,
        parallel_workers=given.workers,
        environments_dir=given.scratch,
        metrics_dir=given.scratch,
        gzip_enabled=False,
    )
    # With a time of 0 it would not merge at all.
    model = ModelSettings(
        name=MODEL,
        implementation=f"{__spec__.name}.Served",
        max_batch_size=find_work(given.work).batch,
        max_batch_time=max(given.wait, 1e-6),
    )
    await mlserver.MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(main())
