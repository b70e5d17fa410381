"""What only database and broker know, as metrics: measured now and then, and served until the next time."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from db import survey, watches
from pipeline.checkpoint import read_offsets
from pipeline.depths import queue_depths
from pipeline.errors import PipelineError
from pipeline.exposure import Pulse
from pipeline.settings import Settings
from pipeline.topology import LIVE_QUEUES, LOGS, Stage

#: Seconds between two measurements, and the most of the time that they may take.
MEASURE_SECONDS, MEASURE_SHARE = 5.0, 0.05
#: Name, what it says, its labels.
FAMILIES = (
    ("sluice_up", "1 if a part answered at the last measurement.", ("part",)),
    ("sluice_queue_messages", "Messages that wait.", ("queue",)),
    ("sluice_dead_letters", "Messages that were given up, and kept.", ("queue",)),
    ("sluice_ledger_bytes", "Bytes that the ledger accounts for.", ("stage",)),
    ("sluice_missing_bytes", "Confirmed bytes that a stage has not stored.", ("stage",)),
    ("sluice_oldest_missing_seconds", "Age of the oldest of them.", ("stage",)),
    ("sluice_conflicts", "Ranges with two contents, unresolved.", ()),
    ("sluice_absent_partitions", "Partitions of this month and the next that are not there.", ()),
    ("sluice_topology_problem", "1 if the watch found something wrong.", ("name",)),
    ("sluice_topology_checked_timestamp_seconds", "When the watch looked last; 0: never.", ()),
    ("sluice_measured_timestamp_seconds", "When these were measured.", ()),
    ("sluice_measure_seconds", "What that took.", ()),
)
#: A value by the name of its family and its label.
Values = dict[tuple[str, str], float]


class SurveyCollector(Collector):
    """The last measurement; the age of a gap that the ledger cannot date counts from its first sight."""

    def __init__(self, settings: Settings, open_engine: Callable[[], Engine]) -> None:
        self._settings = settings
        self._open_engine = open_engine
        self._engine: Engine | None = None
        self._ages = survey.Ages()
        self._values: Values = {}

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the families without values."""
        return [GaugeMetricFamily(name, words, labels=list(labels)) for name, words, labels in FAMILIES]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the families with the last values."""
        values = self._values
        for family in self.describe():
            for (name, label), value in values.items():
                if name == family.name:
                    family.add_metric([label] if label else [], value)
            yield family

    def measure(self) -> list[str]:
        """Ask everything; return what did not answer, in words."""
        began = time.monotonic()
        values: Values = {}
        problems: list[str] = []
        for part, ask in (("broker", self._ask_broker), ("database", self._ask_database)):
            try:
                values |= ask()
                values["sluice_up", part] = 1
            except PipelineError as error:
                values["sluice_up", part] = 0
                problems.append(str(error))
        values["sluice_measure_seconds", ""] = time.monotonic() - began
        values["sluice_measured_timestamp_seconds", ""] = time.time()
        self._values = values
        return problems

    def follow(self, pulse: Pulse, stop: threading.Event) -> None:
        """Measure again and again until `stop`."""
        while True:
            began = time.monotonic()
            self.measure()
            pulse.beat()
            if stop.wait(max(MEASURE_SECONDS, (time.monotonic() - began) / MEASURE_SHARE)):
                return

    def _ask_broker(self) -> Values:
        depths = queue_depths(self._settings)
        waiting = {("sluice_queue_messages", name): float(depth.messages) for name, depth in depths.items()}
        return waiting | {("sluice_dead_letters", name): float(depth.dead) for name, depth in depths.items()}

    def _ask_database(self) -> Values:
        self._engine = self._engine or self._open_engine()
        offsets: dict[str, int] = {}
        with suppress(PipelineError):  # where no watcher runs, the ledger alone is compared
            offsets = read_offsets(self._settings.state_dir)
        now = datetime.now(UTC)
        found = survey.survey(self._engine, offsets)
        values: Values = {
            ("sluice_conflicts", ""): found.conflicts,
            ("sluice_absent_partitions", ""): found.absent_partitions,
        }
        ages = self._ages.oldest(found.gaps, now)
        for stage in (each.value for each in Stage):
            values["sluice_ledger_bytes", stage] = found.stored_bytes[stage]
            values["sluice_missing_bytes", stage] = found.missing_bytes[stage]
            values["sluice_oldest_missing_seconds", stage] = ages.get(stage, 0.0)
        return values | self._watched()

    def _watched(self) -> Values:
        assert self._engine is not None
        found = watches.watched(self._engine)
        names = {LOGS.name, *(queue.name for queue in LIVE_QUEUES), *found}
        values: Values = {
            ("sluice_topology_problem", name): float(bool(name in found and found[name].problem))
            for name in names
        }
        looks: list[Any] = [row.checked_at.timestamp() for row in found.values()]
        return values | {("sluice_topology_checked_timestamp_seconds", ""): max(looks, default=0.0)}
