"""Answers kept for a moment, so that many visitors and their polls ask the database once."""

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.errors import PipelineError
from pipeline.report.figures import Rows, Trouble

#: Questions at once; answers that are kept.
QUESTIONS, MOST_KEPT = 6, 1000
#: An answer is good for this many seconds, or this many times as long as it took.
LEAST_SECONDS, TIMES = 1.0, 5.0

Answer = Rows | Trouble


@dataclass(slots=True)
class _Kept:
    task: "asyncio.Task[Answer]"
    good_until: float = float("inf")


class Kept:
    """Asks in threads; whoever asks the same meanwhile waits for the same answer."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(QUESTIONS, thread_name_prefix="question")
        self._kept: dict[Hashable, _Kept] = {}

    def ask(self, key: Hashable, question: Callable[[], Rows]) -> "asyncio.Task[Answer]":
        """Return the answer to come; what the question raises of ours is an answer too."""
        known = self._kept.get(key)
        if known is None or known.good_until < time.monotonic():
            self._make_room()
            # At the end, so that the first is the one that was asked longest ago.
            self._kept.pop(key, None)
            self._kept[key] = known = _Kept(asyncio.create_task(self._answer(question)))
            began = time.monotonic()
            known.task.add_done_callback(lambda _: _judge(known, began))
        return known.task

    async def _answer(self, question: Callable[[], Rows]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, _asked, question)

    def _make_room(self) -> None:
        while len(self._kept) >= MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))

    def close(self) -> None:
        """Ask nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _asked(question: Callable[[], Rows]) -> Answer:
    try:
        return question()
    except PipelineError as error:
        return Trouble(str(error))


def _judge(kept: _Kept, began: float) -> None:
    now = time.monotonic()
    kept.good_until = now + max(LEAST_SECONDS, TIMES * (now - began))
