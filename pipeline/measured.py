"""What Prometheus learns of a watcher: counted per batch as it is published, the rest when it is asked."""

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pipeline.batch import Batch
from pipeline.checkpoint import SourceStatus, read_status
from pipeline.errors import BrokerUnavailable, PipelineError
from pipeline.generation import State
from pipeline.watcher import Publisher

#: What a watcher exposes.
REGISTRY = CollectorRegistry()
#: Upper bounds of the histograms of time, in seconds: from a confirm on loopback to a batch given up.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: Most of the time that reading the checkpoint for a scrape takes: 10,000 sources take 0.7 s of a core.
READ_SHARE = 0.01
#: Upper bounds of the histograms of size.
LINES = (1, 10, 100, 1000, 2500, 5000, 10_000, 50_000, 100_000)
BYTES = tuple(1 << power for power in range(8, 25, 2))

_batches = Counter("sluice_published_batches", "Batches that the broker confirmed.", registry=REGISTRY)
_lines = Counter("sluice_published_lines", "Lines in confirmed batches.", registry=REGISTRY)
_bytes = Counter("sluice_published_bytes", "Bytes in confirmed batches.", registry=REGISTRY)
_retries = Counter("sluice_publish_retries", "Publishes without a confirm, tried again.", registry=REGISTRY)
_blocked = Gauge("sluice_watcher_blocked", "1 while the broker takes nothing.", registry=REGISTRY)
_seconds = Histogram(
    "sluice_publish_seconds",
    "From publish, of the first of a run, to confirm.",
    registry=REGISTRY,
    buckets=SECONDS,
)
_batch_lines = Histogram("sluice_batch_lines", "Lines of a batch.", registry=REGISTRY, buckets=LINES)
_batch_bytes = Histogram("sluice_batch_bytes", "Bytes of a batch.", registry=REGISTRY, buckets=BYTES)


class MeasuredPublisher:
    """A publisher that counts what another one publishes: some microseconds a batch, nothing a line."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def publish_all(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        """Publish, count each batch that is confirmed, and yield it.

        Raises:
            BrokerUnavailable: as the other publisher.
        """
        began = time.perf_counter()
        try:
            for batch in self._publisher.publish_all(batches):
                _seconds.observe(time.perf_counter() - began)
                _blocked.set(0)
                _batches.inc()
                _lines.inc(batch.line_count)
                _bytes.inc(len(batch.block))
                _batch_lines.observe(batch.line_count)
                _batch_bytes.observe(len(batch.block))
                yield batch
        except BrokerUnavailable:
            _retries.inc()
            _blocked.set(1)
            raise


class CheckpointCollector(Collector):
    """How far the sources of a state folder are, read from its checkpoint when they are asked for.

    With very many sources not at each scrape: reading takes `READ_SHARE` of the time at most.
    """

    def __init__(self, state_dir: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._statuses: list[SourceStatus] = []
        self._next_read = float("-inf")

    def describe(self) -> list[GaugeMetricFamily]:
        """Return the families without their values."""
        return [
            GaugeMetricFamily("sluice_sources", "Sources of this watcher by state.", labels=["state"]),
            GaugeMetricFamily("sluice_lag_bytes", "Bytes in the files that are not confirmed."),
            GaugeMetricFamily("sluice_lag_seconds", "Age of the oldest byte that is not confirmed."),
            GaugeMetricFamily("sluice_lost_bytes", "Bytes that went away before they could be read."),
        ]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families; an unreadable checkpoint, which its alert tells, yields none."""
        with suppress(PipelineError):
            statuses = self._read()
            states = Tally(status.state for status in statuses)
            sources, lag_bytes, lag_seconds, lost_bytes = self.describe()
            for state in State:
                sources.add_metric([state.value], states[state.value])
            lag_bytes.add_metric([], sum(status.lag_bytes for status in statuses))
            lag_seconds.add_metric([], max((status.lag_seconds for status in statuses), default=0.0))
            lost_bytes.add_metric([], sum(status.lost_bytes for status in statuses))
            yield from (sources, lag_bytes, lag_seconds, lost_bytes)

    def _read(self) -> list[SourceStatus]:
        if self._clock() >= self._next_read:
            began = time.thread_time()
            self._statuses = read_status(self._state_dir)
            self._next_read = self._clock() + (time.thread_time() - began) / READ_SHARE
        return self._statuses
