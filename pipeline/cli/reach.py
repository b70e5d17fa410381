"""Looks how far the sources of a run are: the checkpoint beside the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, func, select

from db.engine import reading
from db.models import Segment
from db.models import Source as SourceTable
from pipeline.checkpoint import FILE_NAME, SourceStatus, read_status
from pipeline.cli.progress import Reach
from pipeline.settings import Settings
from pipeline.topology import Stage
from pipeline.watch import Finder


@dataclass
class Tally:
    """What the ledger holds of one source.

    Attributes:
        source_id: its row, None while no stage has stored any of it.
        proven: both stages hold every byte before it, and no segment crosses it: never summed again.
        end: bytes that both stages should hold; what either holds counts, where the checkpoint is behind.
        stored_bytes, lines: of each stage, and of the lake.
    """

    source_id: int | None = None
    proven: int = 0
    proven_lines: int = 0
    end: int = 0
    stored_bytes: dict[Stage, int] = field(default_factory=lambda: dict.fromkeys(Stage, 0))
    lines: int = 0

    def look(self, connection: Connection, offset: int) -> None:
        """Sum the segments from `proven` on."""
        if offset == self.proven == self.end:
            return
        sums = _sums(connection, self.source_id, self.proven)
        self.end = max(offset, self.proven, *(end for _, end, _ in sums.values()))
        # Segments of a stage never overlap, so their sum is the end exactly when there is no gap.
        self.stored_bytes = {stage: self.proven + sums[stage][0] for stage in Stage}
        self.lines = self.proven_lines + sums[Stage.LAKE][2]
        if not self.open_bytes(Stage.LAKE) and not self.open_bytes(Stage.CLEAN):
            self.proven, self.proven_lines = self.end, self.lines

    def open_bytes(self, stage: Stage) -> int:
        """Return how many bytes the stage has not stored."""
        return self.end - self.stored_bytes[stage]


class Lookout:
    """Follows the sources of a run: those that its patterns name, and those that moved since it began."""

    def __init__(self, settings: Settings, engine: Engine, patterns: Sequence[str]) -> None:
        self._settings = settings
        self._engine = engine
        self._finder = Finder(patterns, follow_links=settings.follow_links)
        self._finder.sweep()
        self._tallies: dict[str, Tally] = {}
        self._statuses: list[SourceStatus] = []
        self._stamp: tuple[int, int] | None = None
        self._offsets_before = {status.key: status.offset for status in self._read()}

    def look(self) -> Reach:
        """Return how far the sources are now.

        Raises:
            DatabaseUnavailable: the ledger cannot be read.
            CheckpointError: the checkpoint cannot be read.
        """
        statuses = self.sources()
        self._find_rows(statuses)
        with reading(self._engine) as connection:
            for status in statuses:
                self._tallies[status.key].look(connection, status.offset)
        return self._reach(statuses)

    def sources(self) -> list[SourceStatus]:
        """Return the sources of this run."""
        before = self._offsets_before
        return [
            status
            for status in self._read()
            if status.offset != before.get(status.key) or self._finder.takes(status.path)
        ]

    def _reach(self, statuses: Sequence[SourceStatus]) -> Reach:
        tallies = [self._tallies[status.key] for status in statuses]
        return Reach(
            total_bytes=sum(max(status.size, status.offset) for status in statuses),
            confirmed_bytes=sum(status.offset for status in statuses),
            stored_bytes={stage: sum(t.stored_bytes[stage] for t in tallies) for stage in Stage},
            lines=sum(t.lines for t in tallies),
            open_bytes={stage: sum(t.open_bytes(stage) for t in tallies) for stage in Stage},
        )

    def _read(self) -> list[SourceStatus]:
        # Reading it costs more than to see that nothing was written.
        stamp = _stamp(self._settings)
        if stamp is None or stamp != self._stamp:
            self._stamp, self._statuses = stamp, read_status(self._settings.state_dir)
        return self._statuses

    def _find_rows(self, statuses: Sequence[SourceStatus]) -> None:
        new = [s.key for s in statuses if self._tallies.setdefault(s.key, Tally()).source_id is None]
        if not new:
            return
        query = select(SourceTable.key, SourceTable.id).where(SourceTable.host == self._settings.host)
        with reading(self._engine) as connection:
            for key, source_id in connection.execute(query):
                if key in self._tallies:
                    self._tallies[key].source_id = source_id


def _sums(connection: Connection, source_id: int | None, start: int) -> dict[Stage, tuple[int, int, int]]:
    """Return bytes, end and lines of each stage's segments from an offset on."""
    sums = dict.fromkeys(Stage, (0, 0, 0))
    if source_id is None:
        return sums
    length = func.sum(Segment.end_offset - Segment.start_offset)
    query = (
        select(Segment.stage, length, func.max(Segment.end_offset), func.sum(Segment.line_count))
        .where(Segment.source_id == source_id, Segment.start_offset >= start)
        .group_by(Segment.stage)
    )
    return sums | {
        Stage(stage): (int(n), int(end), int(lines)) for stage, n, end, lines in connection.execute(query)
    }


def _stamp(settings: Settings) -> tuple[int, int] | None:
    try:
        status = (settings.state_dir / FILE_NAME).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
