"""The loop of the watcher: look, read, publish, and move the checkpoint behind the confirm."""

import logging
import random
import resource
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from pipeline import failpoint
from pipeline.batch import Batch
from pipeline.blocks import Limits
from pipeline.checkpoint import FILE_NAME, CheckpointStore
from pipeline.errors import BrokerUnavailable
from pipeline.events import Hints
from pipeline.rules import Rules
from pipeline.settings import Settings
from pipeline.sources import Sources
from pipeline.watch import Finder

if TYPE_CHECKING:
    from pipeline.generation import Generation
    from pipeline.tail import Tail

logger = logging.getLogger(__name__)

#: First and longest wait, in seconds, before a batch that the broker did not take is published again.
RETRY_SECONDS = (0.1, 10.0)
#: A sweep may take this share of the time at most; over many files it comes less often than it is set.
SWEEP_SHARE = 0.05
#: A costly sweep comes at most this many times less often than it is set.
MOST_SWEEPS_SKIPPED = 10
#: Longest sleep, in seconds: the answer to a request to stop waits no longer.
SLEEP_SECONDS = 0.25
#: Most full batches of one source that wait for their confirms together: the broker writes them to disk in
#: one go. Only where nothing else is to be read: a flood takes no more than a batch from the others.
RUN_BATCHES = 4
#: Descriptors left to everything that is not a log file.
OTHER_FILES = 128


class Publisher(Protocol):
    """Where batches go."""

    def publish_all(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        """Publish batches in order, and yield each after the broker's confirm for it.

        Raises:
            BrokerUnavailable: nothing is promised about the batches that were not yielded; they will be
                published again.
        """


class Loop:
    """One step of the watcher at a time, by a clock that the caller owns."""

    def __init__(
        self,
        sources: Sources,
        store: CheckpointStore,
        publisher: Publisher,
        *,
        sweep_seconds: float,
        period_seconds: float,
        file_bytes_per_second: int = 0,
        sweep_share: float = SWEEP_SHARE,
    ) -> None:
        self.sources = sources
        self._store = store
        self._publisher = publisher
        self._sweep_seconds = sweep_seconds
        self._period_seconds = period_seconds
        self._file_bytes_per_second = file_bytes_per_second
        self._sweep_share = sweep_share
        self._next_sweep = float("-inf")
        self._pending: tuple[Tail, Generation, list[Batch]] | None = None
        self._retry_at = 0.0
        self._failed_count = 0

    @property
    def done(self) -> bool:
        """True when everything that was seen is confirmed."""
        return self._pending is None and self.sources.resting

    @property
    def blocked(self) -> bool:
        """True while the broker takes nothing."""
        return self._pending is not None

    def step(self, now: float, hints: Sequence[str] = ()) -> float:
        """Look, publish a batch of every ready source or some of the only one; return the seconds to wait."""
        if now >= self._next_sweep:
            self._sweep(now)
        elif hints:
            self.sources.hint(hints, now)
        self._store.sync_new()
        wait = self._publish_pending(now) if self._pending else self._publish_ready(now)
        self._store.tick(now)
        return max(0.0, min(wait, self._next_sweep - now))

    def look_again(self) -> None:
        """Sweep with the next step."""
        self._next_sweep = float("-inf")

    def _sweep(self, now: float) -> None:
        began = time.thread_time()
        self.sources.sweep(now)
        self.sources.note_states(blocked=self.blocked)
        cost = (time.thread_time() - began) / self._sweep_share
        # Never much rarer: the first sweep, which opens every file, says nothing about the next ones.
        self._next_sweep = now + min(
            max(self._sweep_seconds, cost), MOST_SWEEPS_SKIPPED * self._sweep_seconds
        )

    def _publish_ready(self, now: float) -> float:
        wait = float("inf")
        # One batch of each in turn: a flood in one file takes a batch from the others, and no more.
        tails = self.sources.turn()
        most = RUN_BATCHES if len(tails) == 1 and not self._file_bytes_per_second else 1
        for tail in tails:
            if tail.paced_until > now:
                wait = min(wait, tail.paced_until - now)
                continue
            if tail.not_before > now and tail.size - tail.offset < tail.limits.byte_size:
                wait = min(wait, tail.not_before - now)
                continue
            batches = self.sources.next_batches(tail, now, most)
            if not batches or tail.generation is None:
                continue
            failpoint.reach("watcher.read")
            self._pending = (tail, tail.generation, batches)
            self._publish_pending(now)
            if self._pending:
                return self._retry_at - now
            wait = 0.0
        return wait

    def _publish_pending(self, now: float) -> float:
        assert self._pending is not None
        if now < self._retry_at:
            return self._retry_at - now
        tail, generation, batches = self._pending
        failpoint.reach("watcher.publishing")
        # After a failure the first one alone: with each try what is sent behind it would be queued once more.
        run = batches[: 1 if self._failed_count else None]
        try:
            for batch in self._publisher.publish_all(run):
                del batches[0]
                self._confirmed(tail, generation, batch, now)
        except BrokerUnavailable as error:
            return self._back_off(now, batches[0], error)
        if not batches:
            self._pending = None
        return 0.0

    def _confirmed(self, tail: "Tail", generation: "Generation", batch: Batch, now: float) -> None:
        failpoint.reach("watcher.confirmed")
        logger.debug("published %r", batch, extra={"batch_id": batch.id})
        self._failed_count, self._retry_at = 0, 0.0
        generation.confirm(batch.block, batch.end)
        if tail.generation is generation:
            tail.confirmed(batch, now + self._period_seconds)
            tail.pace(now, len(batch.block), self._file_bytes_per_second)
            self.sources.settle(tail)
        self._store.save(generation)

    def _back_off(self, now: float, batch: Batch, error: BrokerUnavailable) -> float:
        if not self._failed_count:
            logger.warning(
                "blocked: %s; reading stops and goes on when the broker takes batches",
                error,
                extra={"batch_id": batch.id},
            )
        first, longest = RETRY_SECONDS
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - so that many watchers do not come back at once
        wait: float = min(longest, first * 2.0**self._failed_count) * jitter
        self._failed_count = min(self._failed_count + 1, 16)
        self._retry_at = now + wait
        self.sources.note_states(blocked=True)
        return wait


class Watcher:
    """Follows the files of some patterns and publishes their lines; calls `on_step` before each step."""

    def __init__(
        self,
        settings: Settings,
        patterns: Sequence[str],
        publisher: Publisher,
        *,
        newest_first: bool = False,
        on_step: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._newest_first = newest_first
        self._on_step = on_step
        self._finder = Finder(patterns, follow_links=settings.follow_links)

    def run(self, stop: threading.Event, *, once: bool = False) -> None:
        """Follow the files until `stop`; with `once`, return when everything in them is confirmed.

        Raises:
            ConfigurationError: with `once`, a pattern finds nothing or a file cannot be read; or another
                watcher uses the state folder.
            CheckpointError: the checkpoint is of a newer version.
        """
        if once:
            self._finder.require()
        with CheckpointStore(self._settings.state_dir / FILE_NAME) as store:
            sources = Sources(self._finder, store, self._rules(once=once))
            try:
                self._run(self._loop(sources, store, once=once), stop, once=once)
            finally:
                sources.note_states(blocked=False)
                sources.close()

    def _run(self, loop: Loop, stop: threading.Event, *, once: bool) -> None:
        wake = threading.Event()
        hints = Hints(wake)
        try:
            while not stop.is_set():
                wake.clear()
                self._on_step()
                wait = loop.step(time.monotonic(), sorted(hints.take()))
                if once and loop.done:
                    return
                if self._settings.watch_events and not once and hints.follow(self._finder.folders):
                    loop.look_again()
                elif wait > 0:
                    wake.wait(min(wait, SLEEP_SECONDS))
        finally:
            hints.stop()

    def _loop(self, sources: Sources, store: CheckpointStore, *, once: bool) -> Loop:
        settings = self._settings
        return Loop(
            sources,
            store,
            self._publisher,
            sweep_seconds=settings.sweep_seconds,
            period_seconds=settings.batch_period_seconds,
            # What is read once has nobody to be fair to.
            file_bytes_per_second=0 if once else settings.file_bytes_per_second,
        )

    def _rules(self, *, once: bool) -> Rules:
        settings = self._settings
        limits = Limits(settings.batch_count, settings.batch_byte_size, settings.max_line_bytes)
        open_count = min(1024, max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OTHER_FILES))
        return Rules(
            settings.host,
            settings.format_choice,
            limits,
            once=once,
            newest_first=self._newest_first,
            open_count=open_count,
        )
