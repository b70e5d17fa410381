"""The invariant: every written line is in both stages once, nothing else is anywhere, counts are true."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Connection, func, select

from db.audit import audit
from db.engine import reading
from db.models import CleanRecord, RawLog, RejectedLine, Source
from db.rebuild import LakeGap, rebuild
from pipeline.checkpoint import read_offsets
from pipeline.depths import queue_depths
from pipeline.errors import PipelineError, TransientError
from pipeline.topology import Stage
from tests.faults.system import System
from tests.faults.writer import Writer
from tests.recount import differences
from tests.services import wait_until

#: Seconds that recovery and the rest of the lines may take after the last fault, on slow and busy cores.
RECOVERY_SECONDS = 90.0
#: Counts the messages of a system, those at a worker included.
Unfinished = Callable[[System], int]


def wait_stored(system: System, writer: Writer, seconds: float = RECOVERY_SECONDS) -> None:
    """Return when both stages hold at least as many lines as were written.

    Raises:
        AssertionError: they do not in time; what is missing, and what the children said last.
    """

    def stored() -> bool:
        with suppress(TransientError):
            return min(count_stored(system, writer)) >= writer.count
        return False

    try:
        wait_until(stored, "every line in both stages", seconds)
    except PipelineError:
        said = {name: system.log(name)[-1500:] for name in ("watcher", *Stage)}
        raise AssertionError(f"{problems(system, writer)}; ended: {system.ended()}; {said}") from None


def count_stored(system: System, writer: Writer) -> tuple[int, int]:
    """Return how many lines of a log the lake and the clean stage hold."""
    with reading(system.engine) as connection:
        lake, clean, rejected = (
            connection.scalar(
                select(func.count())
                .select_from(model)
                .join(Source, Source.id == model.source_id)
                .where(Source.path == str(writer.path))
            )
            or 0
            for model in (RawLog, CleanRecord, RejectedLine)
        )
    return lake, clean + rejected


def settle(system: System, writer: Writer, unfinished: Unfinished | None = None) -> None:
    """Wait until all is stored and acknowledged, and assert the invariant."""
    wait_stored(system, writer)
    pending = unfinished or _ready
    wait_until(lambda: pending(system) == 0, "empty queues", RECOVERY_SECONDS)
    found = problems(system, writer)
    assert not found, found
    system.healthy = True


def _ready(system: System) -> int:
    return sum(depth.messages for depth in queue_depths(system.settings).values())


def problems(system: System, writer: Writer, *, dead: int = 0) -> list[str]:
    """Return in words everything that contradicts the invariant."""
    with reading(system.engine) as connection:
        expected_lines = Counter(writer.path.read_bytes().splitlines(keepends=True))
        lake = _compare("lake", expected_lines, Counter(_lake(connection, writer)))
        clean = _compare("clean", Counter(writer.targets()), Counter(_clean(connection, writer)))
    whole = [*_rebuilt(system, writer), *_audited(system), *_counted(system, writer)]
    return [*lake, *clean, *whole, *_dead(system, dead)]


def _compare(stage: str, expected: Counter[object], found: Counter[object]) -> list[str]:
    lost, extra = expected - found, found - expected
    twice = sum(count for item, count in extra.items() if item in expected)
    counts = {"lost": lost.total(), "twice": twice, "unexpected": extra.total() - twice}
    return [f"{stage}: {count} lines {word}" for word, count in counts.items() if count]


def _lake(connection: Connection, writer: Writer) -> list[object]:
    query = select(RawLog.line, RawLog.raw).join(Source, Source.id == RawLog.source_id)
    rows = connection.execute(query.where(Source.path == str(writer.path)))
    return [raw if raw is not None else f"{line}\n".encode() for line, raw in rows]


def _clean(connection: Connection, writer: Writer) -> list[object]:
    found: list[object] = []
    for column in (CleanRecord.path, RejectedLine.reason):
        query = select(column).join(Source, Source.id == column.class_.source_id)
        found += connection.scalars(query.where(Source.path == str(writer.path)))
    return found


def _rebuilt(system: System, writer: Writer) -> list[str]:
    with reading(system.engine) as connection:
        ids = list(connection.scalars(select(Source.id).where(Source.path == str(writer.path))))
    if len(ids) != 1:
        return [f"{len(ids)} sources of one log"]
    try:
        same = b"".join(rebuild(system.engine, ids[0])) == writer.path.read_bytes()
    except LakeGap as gap:
        return [f"rebuild: {gap}"]
    return [] if same else ["rebuild: other bytes"]


def _audited(system: System) -> list[str]:
    report = audit(system.engine, read_offsets(system.settings.state_dir))
    names = ("missing_bytes", "missing_lines", "duplicate_lines", "conflicts")
    return [f"audit: {getattr(report, name)} {name}" for name in names if getattr(report, name)]


def _counted(system: System, writer: Writer) -> list[str]:
    with reading(system.engine) as connection:
        ids = list(connection.scalars(select(Source.id).where(Source.path == str(writer.path))))
    return differences(system.engine, ids)


def _dead(system: System, expected: int) -> list[str]:
    dead = sum(depth.dead for depth in queue_depths(system.settings).values())
    return [] if dead == expected else [f"{dead} dead letters, {expected} with a cause"]
