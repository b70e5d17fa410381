"""What became of rows that are old enough, for people to read."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Gone:
    """What was removed of a stage of a source: how many segments lost rows, these rows, and their bytes."""

    source_id: int
    path: str
    stage: str
    segments: int = 0
    lines: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Held:
    """A range of a stage that is old enough and stays, and why."""

    source_id: int
    path: str
    stage: str
    start: int
    end: int
    reason: str


@dataclass(slots=True)
class Expiry:
    """What became of the rows that are old enough; with a dry run, what would.

    Attributes:
        gone: by source and stage.
        partitions: that were dropped, with rows that `gone` counts too.
        held: what stays though it is old enough.
        findings, drifts: how many were removed.
        is_finished: False if the time was up before everything was looked at, or a month has to wait.
    """

    gone: list[Gone] = field(default_factory=list)
    partitions: list[str] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    findings: int = 0
    drifts: int = 0
    is_finished: bool = True

    @property
    def lines(self) -> int:
        """Rows that were removed."""
        return sum(each.lines for each in self.gone)

    def add(self, gone: Gone) -> None:
        """Add to what was removed of a stage of a source."""
        for each in self.gone:
            if (each.source_id, each.stage) == (gone.source_id, gone.stage):
                each.segments += gone.segments
                each.lines += gone.lines
                each.bytes += gone.bytes
                return
        if gone.lines:
            self.gone.append(gone)

    def hold(self, held: Held) -> None:
        """Add a range that stays, or lengthen the last one."""
        last = self.held[-1] if self.held else None
        if last and _follows(last, held):
            last.end = held.end
        else:
            self.held.append(held)


def _follows(last: Held, held: Held) -> bool:
    return (last.source_id, last.stage, last.end, last.reason) == (
        held.source_id,
        held.stage,
        held.start,
        held.reason,
    )
