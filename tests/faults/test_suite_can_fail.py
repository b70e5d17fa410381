"""The invariant is red without confirms, without late acknowledgement, and without the ledger."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import failpoint
from pipeline.checkpoint import read_offsets
from pipeline.cli.children import WATCHER
from tests.faults.databases import execute
from tests.faults.doubling import doubling
from tests.faults.invariant import Unfinished, count_stored, problems, settle, wait_stored
from tests.faults.system import LAKE, ROOT, Role, System
from tests.faults.writer import Writer
from tests.services import PrivateRabbit, wait_until

pytestmark = pytest.mark.faults
SABOTAGE = ROOT / "tests" / "faults" / "sabotage"
#: One batch, so that exactly what is in it is lost or doubled.
BATCH_LINES = 50


def freeze_and_kill(system: System, writer: Writer, rabbit: PrivateRabbit, seen: Callable[[], bool]) -> None:
    """Write while the broker stands still, and kill it with whatever it had not read."""
    writer.write(BATCH_LINES)
    wait_stored(system, writer)
    assert rabbit.child is not None
    os.kill(rabbit.child.pid, signal.SIGSTOP)
    writer.write(BATCH_LINES)
    wait_until(seen, "the watcher to publish")
    rabbit.kill()
    rabbit.start()
    writer.write(BATCH_LINES)


def confirmed_bytes(system: System) -> int:
    """Return the sum of the checkpoint's offsets."""
    return sum(read_offsets(system.settings.state_dir).values())


def test_without_confirms_the_suite_is_red(system: System, writer: Writer, rabbit: PrivateRabbit) -> None:
    """A watcher that does not wait for confirms loses what a killed broker had not read."""
    program = (sys.executable, str(SABOTAGE / "unconfirmed.py"), str(system.logs))
    system.start(WATCHER, Role(command=program))
    before = confirmed_bytes(system)
    freeze_and_kill(
        system, writer, rabbit, lambda: confirmed_bytes(system) - before == writer.path.stat().st_size
    )
    wait_until(lambda: min(count_stored(system, writer)) >= 2 * BATCH_LINES, "the lines after it")

    found = problems(system, writer)
    assert {f"lake: {BATCH_LINES} lines lost", f"clean: {BATCH_LINES} lines lost"} <= set(found)
    assert any("missing_bytes" in words for words in found)


def test_with_confirms_the_same_is_green(
    system: System, writer: Writer, rabbit: PrivateRabbit, unfinished: Unfinished
) -> None:
    """The product's watcher does not move its checkpoint over what the same broker had not read."""
    freeze_and_kill(system, writer, rabbit, lambda: writer.path.stat().st_size > 0)

    settle(system, writer, unfinished)


def test_without_late_acknowledgement_the_suite_is_red(
    system: System, writer: Writer, tmp_path: Path
) -> None:
    """A batch that is acknowledged first is gone with the child that had not stored it."""
    marker = tmp_path / "marker"
    trap = {failpoint.VARIABLE: f"lake.loaded:1:kill:{marker}"}
    system.start(LAKE, Role(trap, SABOTAGE / "early"))
    writer.write(BATCH_LINES)
    wait_until(marker.exists, "the child to die")
    wait_until(lambda: count_stored(system, writer)[1] == BATCH_LINES, "the clean stage")
    writer.write(BATCH_LINES)
    wait_until(lambda: min(count_stored(system, writer)) >= BATCH_LINES, "the lines after it")

    found = problems(system, writer)
    assert f"lake: {BATCH_LINES} lines lost" in found
    assert any("missing_bytes" in words for words in found)


def test_without_the_ledger_the_suite_is_red(system: System, writer: Writer, unfinished: Unfinished) -> None:
    """Where the database takes a range twice, a second copy of a batch doubles its lines."""
    execute(
        system.place.database_url,
        "ALTER TABLE segments DROP CONSTRAINT ex_segments_range",
        "DROP INDEX ix_segments_source_id_stage_start_offset",
    )
    with doubling(system) as copies:
        writer.write(BATCH_LINES)
        wait_until(lambda: copies[0] >= 1, "the copy")
        wait_until(lambda: min(count_stored(system, writer)) >= 2 * BATCH_LINES, "both copies")

    found = problems(system, writer)
    assert {f"lake: {BATCH_LINES} lines twice", f"clean: {BATCH_LINES} lines twice"} <= set(found)
