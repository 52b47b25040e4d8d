"""Send a server many requests at once, with asyncio.

    naiad serve simple
    python examples/async_client.py

Needs no extra.
"""

import asyncio

import numpy as np

import naiad


async def main() -> None:
    """Send 100 requests; the server batches those that arrive together."""
    async with naiad.AsyncClient("localhost:8001") as client:

        async def ask(number: int) -> int:
            values = np.full((1, 16), number, np.int32)
            answer = await client.infer("simple", INPUT0=values, INPUT1=values)
            return int(answer["OUTPUT0"][0, 0])

        print(sum(await asyncio.gather(*map(ask, range(100)))))


if __name__ == "__main__":
    asyncio.run(main())
