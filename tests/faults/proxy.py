"""A TCP proxy on the loopback interface that delays, swallows or cuts what passes."""

import asyncio
import threading
from typing import Self

#: Bytes read at a time.
CHUNK_BYTES = 1 << 16


class Proxy:
    """Forwards to a port; a context. What it does to answers can be changed while connections are open.

    Attributes:
        delay_seconds: that each piece of the server's answers waits before it is passed on.
        swallowing: True to lose the answers of every connection that is open now or opened meanwhile;
            such a connection stays mute, because what follows a lost piece would be no protocol any more.
        swallowed_bytes: of answers, so far.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.delay_seconds = 0.0
        self.swallowing = False
        self.swallowed_bytes = 0
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def cut(self) -> None:
        """Close every open connection at once, in the middle of whatever passes."""
        asyncio.run_coroutine_threadsafe(self._abort_all(), self._loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in (tasks := asyncio.all_tasks(self._loop)):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(
            self._pump(reader, far_writer, answers=False), self._pump(far_reader, writer, answers=True)
        )
        self._writers -= {writer, far_writer}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        mute = False
        try:
            while piece := await reader.read(CHUNK_BYTES):
                if answers:
                    await asyncio.sleep(self.delay_seconds)
                    mute = mute or self.swallowing
                if mute:
                    self.swallowed_bytes += len(piece)
                    continue
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        writer.transport.abort()

    async def _abort_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
