"""Repair: publish again what a stage misses, from the file, or for the clean stage from the lake.

Needs no Celery: beat's task, the command `audit --repair` and the supervisor call it. Publishing twice is
harmless, because the ledger of the stage stores a range once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import Engine, select

from db.engine import reading
from db.ledger import complement, gaps, overlapping, stored_end
from db.models import Segment
from db.rebuild import held_bytes
from db.removals import Place, removed_ranges
from db.sources import SourceRow, list_sources
from pipeline.batch import Batch, Source
from pipeline.checkpoint import read_generations
from pipeline.depths import queue_depths
from pipeline.generation import Generation
from pipeline.settings import Settings
from pipeline.topology import Stage
from tasks.origin import Origin, OriginLost, dead_ranges

Range = tuple[int, int]

#: A gap behind which its stage stored something so long ago, in seconds, is no longer on its way.
OVERDUE_SECONDS = 120.0


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


#: Missing ranges of each stage and source key.
Missing = dict[tuple[Stage, str], list[Range]]


@dataclass
class RepairReport:
    """What a repair did.

    Attributes:
        published_bytes: bytes that were published again, of each stage.
        unavailable: what neither the file nor the lake holds.
        dead: what waits in the dead letters; a person or a newer version replays it.
        waiting: stages that miss bytes while messages wait in their queue: these may be the bytes.
        missing: every range that was missing, whatever became of it.
    """

    published_bytes: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(Stage, 0))
    unavailable: list[Unavailable] = field(default_factory=list)
    dead: list[Unavailable] = field(default_factory=list)
    waiting: list[Stage] = field(default_factory=list)
    missing: Missing = field(default_factory=dict)


def repair(
    settings: Settings, engine: Engine, publisher: StagePublisher, since: Missing | None = None
) -> RepairReport:
    """Publish again what each stage misses of what was confirmed, to that stage alone.

    While messages wait in its queue, a stage misses what is on its way; then only ranges that it has left
    behind for `OVERDUE_SECONDS` are published. Dead letters are left alone. With `since`, the `missing` of
    an earlier repair, only what was missing then as well is published: the work in hand is not.

    Raises:
        BrokerUnavailable, DatabaseUnavailable: not now; a second call goes on where this one stopped.
        CheckpointError: the checkpoint cannot be read.
    """
    return _Repair(settings, engine, publisher, since).run()


class _Repair:
    """One repair."""

    def __init__(
        self, settings: Settings, engine: Engine, publisher: StagePublisher, since: Missing | None
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._publisher = publisher
        self._since = since
        self._report = RepairReport()

    def run(self) -> RepairReport:
        depths = queue_depths(self._settings)
        generations = read_generations(self._settings.state_dir)
        rows = {row.key: row for row in list_sources(self._engine)}
        for stage in Stage:
            depth = depths[stage.queue_name]
            dead = dead_ranges(self._settings, stage) if depth.dead else {}
            for key in rows.keys() | generations.keys():
                row, generation = rows.get(key), generations.get(key)
                missing = self._missing(stage, key, row, generation.offset if generation else 0)
                living = self._without_dead(stage, row, missing, dead.get(key, []))
                living = self._without_removed(stage, row, living)
                ready = self._overdue(stage, row, living) if depth.messages else living
                self._source(stage, row, generation, ready)
        return self._report

    def _source(
        self, stage: Stage, row: SourceRow | None, generation: Generation | None, missing: Sequence[Range]
    ) -> None:
        for start, end in missing:
            source = _source_of(self._settings, row, generation)
            given = list(self._from_lake(source, stage, row, (start, end)))
            self._from_file(source, generation, stage, complement(given, start, end))

    def _missing(self, stage: Stage, key: str, row: SourceRow | None, offset: int) -> list[Range]:
        if row is None:
            missing = [(0, offset)] if offset else []
        else:
            with reading(self._engine) as connection:
                end = max(offset, *(stored_end(connection, row.id, each) for each in Stage))
                missing = gaps(connection, row.id, stage, end)
        if missing:
            self._report.missing[stage, key] = missing
        return missing if self._since is None else _common(missing, self._since.get((stage, key), []))

    def _without_dead(
        self, stage: Stage, row: SourceRow | None, missing: Sequence[Range], dead: Sequence[Range]
    ) -> list[Range]:
        path = row.path if row else ""
        self._report.dead += [
            Unavailable(path, stage, start, end, "it is in the dead letters")
            for start, end in _common(missing, dead)
        ]
        return [part for start, end in missing for part in complement(dead, start, end)]

    def _without_removed(self, stage: Stage, row: SourceRow | None, missing: Sequence[Range]) -> list[Range]:
        """Return what was not removed from either stage: what is removed on purpose stays away from both."""
        if row is None or not missing:
            return list(missing)
        with reading(self._engine) as connection:
            removed = [
                part
                for each in Stage
                for gap in missing
                for part in removed_ranges(connection, Place(row.id, each), *gap)
            ]
        self._report.unavailable += [
            Unavailable(row.path, stage, start, end, "it was removed on purpose")
            for start, end in _common(missing, removed)
        ]
        return [part for start, end in missing for part in complement(sorted(removed), start, end)]

    def _overdue(self, stage: Stage, row: SourceRow | None, missing: Sequence[Range]) -> list[Range]:
        """Return the gaps behind which the stage stored something long ago; the others count as waiting."""
        if not missing:
            return []
        limit = datetime.now(UTC) - timedelta(seconds=OVERDUE_SECONDS)
        query = select(Segment.start_offset).where(
            Segment.source_id == (row.id if row else None),
            Segment.stage == stage.value,
            Segment.stored_at < limit,
        )
        with reading(self._engine) as connection:
            starts = query.where(Segment.start_offset.in_([end for _, end in missing]))
            passed = set(connection.scalars(starts))
        if any(end not in passed for _, end in missing) and stage not in self._report.waiting:
            self._report.waiting.append(stage)
        return [gap for gap in missing if gap[1] in passed]

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
            row.format or settings.format_choice.of(row.path),
        )
    assert generation is not None
    return Source(
        generation.key,
        settings.host,
        generation.path,
        generation.device,
        generation.inode,
        generation.ordinal,
        settings.format_choice.of(generation.path),
    )


def _common(first: Sequence[Range], second: Sequence[Range]) -> list[Range]:
    """Return what two lists of ranges share."""
    pairs = [(max(a, c), min(b, d)) for a, b in first for c, d in second]
    return [(start, end) for start, end in pairs if start < end]
