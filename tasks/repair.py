"""Repair: publish again what a stage misses, from the file, or for the clean stage from the lake.

Needs no Celery: beat's task, the command `audit --repair` and the supervisor call it. Publishing twice is
harmless, because the ledger of the stage stores a range once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from sqlalchemy import Engine

from db.engine import reading
from db.ledger import gaps, overlapping, stored_end
from db.rebuild import held_bytes
from db.sources import SourceRow, list_sources
from pipeline.batch import Batch, Source
from pipeline.checkpoint import Generation
from pipeline.depths import queue_depths
from pipeline.settings import Settings
from pipeline.topology import Stage
from tasks.origin import Origin, OriginLost, read_generations

Range = tuple[int, int]


class StagePublisher(Protocol):
    """Publishes a batch to the queue of one stage alone, and returns after the broker's confirm."""

    def publish(self, batch: Batch, stage: Stage | None = None) -> None:
        """Publish the batch.

        Raises:
            BrokerUnavailable: no confirm.
        """


@dataclass(frozen=True)
class Unavailable:
    """Bytes [start, end) of a source that a stage misses and that cannot be had any more, and why."""

    path: str
    stage: Stage
    start: int
    end: int
    reason: str


@dataclass
class RepairReport:
    """What a repair did.

    Attributes:
        published_bytes: bytes that were published again, of each stage.
        unavailable: what neither the file nor the lake holds.
        waiting: stages that miss bytes while messages wait in their queue: these may be the bytes.
    """

    published_bytes: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(Stage, 0))
    unavailable: list[Unavailable] = field(default_factory=list)
    waiting: list[Stage] = field(default_factory=list)


def repair(settings: Settings, engine: Engine, publisher: StagePublisher) -> RepairReport:
    """Publish again what each stage misses of what was confirmed, to that stage alone.

    A stage whose queue is not empty is left for later: what it misses may be on its way.

    Raises:
        BrokerUnavailable, DatabaseUnavailable: not now; a second call goes on where this one stopped.
        CheckpointError: the checkpoint cannot be read.
    """
    return _Repair(settings, engine, publisher).run()


class _Repair:
    """One repair."""

    def __init__(self, settings: Settings, engine: Engine, publisher: StagePublisher) -> None:
        self._settings = settings
        self._engine = engine
        self._publisher = publisher
        self._report = RepairReport()

    def run(self) -> RepairReport:
        depths = queue_depths(self._settings)
        generations = read_generations(self._settings.state_dir)
        rows = {row.key: row for row in list_sources(self._engine)}
        for stage in Stage:
            busy = depths[stage.queue_name].messages > 0
            for key in rows.keys() | generations.keys():
                self._source(stage, rows.get(key), generations.get(key), busy=busy)
        return self._report

    def _source(
        self, stage: Stage, row: SourceRow | None, generation: Generation | None, *, busy: bool
    ) -> None:
        missing = self._missing(stage, row, generation.offset if generation else 0)
        if missing and busy:
            if stage not in self._report.waiting:
                self._report.waiting.append(stage)
            return
        source = _source_of(self._settings, row, generation)
        for gap in missing:
            given = list(self._from_lake(source, stage, row, gap))
            self._from_file(source, generation, stage, _without(gap, given))

    def _missing(self, stage: Stage, row: SourceRow | None, offset: int) -> list[Range]:
        if row is None:
            return [(0, offset)] if offset else []
        with reading(self._engine) as connection:
            end = max(offset, *(stored_end(connection, row.id, each) for each in Stage))
            return gaps(connection, row.id, stage, end)

    def _from_lake(self, source: Source, stage: Stage, row: SourceRow | None, gap: Range) -> Iterator[Range]:
        """Publish what the lake can give of a gap of the clean stage, and yield these ranges in order."""
        if stage is Stage.LAKE or row is None:
            return
        with reading(self._engine) as connection:
            segments = overlapping(connection, row.id, Stage.LAKE, *gap)
        for segment in segments:
            start, end = max(segment.start, gap[0]), min(segment.end, gap[1])
            with reading(self._engine) as connection:
                block = held_bytes(connection, row.id, start, end)
            if block is not None:
                self._publish(Batch(source, start, block), stage)
                yield start, end

    def _from_file(
        self, source: Source, generation: Generation | None, stage: Stage, missing: Sequence[Range]
    ) -> None:
        for start, end in missing:
            reached = start
            try:
                with Origin(self._settings, generation) as origin:
                    for block in origin.blocks(start, end):
                        self._publish(Batch(source, reached, block), stage)
                        reached += len(block)
            except OriginLost as lost:
                self._report.unavailable.append(Unavailable(source.path, stage, reached, end, str(lost)))

    def _publish(self, batch: Batch, stage: Stage) -> None:
        self._publisher.publish(batch, stage)
        self._report.published_bytes[stage] += len(batch.block)


def _source_of(settings: Settings, row: SourceRow | None, generation: Generation | None) -> Source:
    if row is not None:
        return Source(
            row.key,
            row.host,
            row.path,
            row.device,
            row.inode,
            row.generation,
            row.format or settings.log_format,
        )
    assert generation is not None
    return Source(
        generation.key,
        settings.host,
        generation.path,
        generation.device,
        generation.inode,
        generation.ordinal,
        settings.log_format,
    )


def _without(whole: Range, parts: Sequence[Range]) -> list[Range]:
    """Return what is left of a range without disjoint, sorted parts of it."""
    edges = [whole[0], *(edge for part in parts for edge in part), whole[1]]
    between = list(pairwise(edges))[::2]
    return [(start, end) for start, end in between if start < end]
