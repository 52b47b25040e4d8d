"""Connections of an asyncio client, which each belong to the event loop that opened them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, Generic, TypeVar

from naiad.errors import InvalidInput

C = TypeVar("C")

_PATIENCE: Final = 5.0  # seconds


class PerLoop(Generic[C]):
    """A connection for each event loop that asks for one, closed with the loop.

    A client may outlive its loop, as under a second ``asyncio.run``, and serve several in as many
    threads. A loop tells nobody that it ends, but closes its asynchronous generators before: so
    each connection is in one.
    """

    def __init__(self, connect: Callable[[], C], close: Callable[[C], Awaitable[None]]) -> None:
        """Begin without connections; both functions are called inside of an event loop."""
        self._connect, self._close = connect, close
        self._opened: dict[asyncio.AbstractEventLoop, tuple[C, AsyncGenerator[C, None]]] = {}
        self._closed = False

    async def get(self) -> C:
        """Return the connection of the running loop, which is opened at first.

        Raises:
            InvalidInput: the client was closed.
        """
        if self._closed:
            raise InvalidInput("this client is closed; make a new one")
        loop = asyncio.get_running_loop()
        if loop not in self._opened:
            holder = _hold(self._connect, self._close, self._opened, loop)
            # Suspends nowhere, so no other task of this loop comes in between.
            self._opened[loop] = (await anext(holder), holder)
        return self._opened[loop][0]

    async def close(self) -> None:
        """Close the connections of the running loop, and of those that run in other threads."""
        self._closed = True
        here = asyncio.get_running_loop()
        for loop, (_, holder) in [*self._opened.items()]:
            if loop is here:
                await holder.aclose()
            elif loop.is_running():
                ended = asyncio.run_coroutine_threadsafe(_end(holder), loop)
                # Not for ever: a loop that ends right now never runs it, but closes the connection.
                await asyncio.wait([asyncio.wrap_future(ended)], timeout=_PATIENCE)
        self._opened.clear()


async def _hold(
    connect: Callable[[], C],
    close: Callable[[C], Awaitable[None]],
    opened: dict[asyncio.AbstractEventLoop, tuple[C, AsyncGenerator[C, None]]],
    loop: asyncio.AbstractEventLoop,
) -> AsyncGenerator[C, None]:
    connection = connect()
    try:
        yield connection
    finally:
        opened.pop(loop, None)
        await close(connection)


async def _end(holder: AsyncGenerator[C, None]) -> None:
    await holder.aclose()
