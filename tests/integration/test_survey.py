"""The figures of database and broker, against a ledger with known gaps."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from db import watches
from db.engine import make_engine
from db.store import CleanStore, LakeStore
from db.survey import survey
from pipeline.batch import Batch, Source
from pipeline.cli.survey import SurveyCollector
from pipeline.settings import Settings
from pipeline.watcher import Watcher
from tests.doubles import FakePublisher
from tests.services import wait_until

SOURCE = Source("5" * 32, "h", "/var/log/x.log", format="combined")
LINE = b'192.0.2.1 - - [01/Mar/2023:00:00:09 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8"\n'


def test_a_complete_ledger_lacks_nothing(engine: Engine) -> None:
    """Both stages at the checkpoint: no gap, no conflict, every partition there."""
    for store in (LakeStore(engine), CleanStore(engine)):
        store.store(Batch(SOURCE, 0, LINE))
    found = survey(engine, {SOURCE.key: len(LINE)})

    assert found.missing_bytes == {"lake": 0, "clean": 0}
    assert found.stored_bytes == {"lake": len(LINE), "clean": len(LINE)}
    assert not found.gaps
    assert found.conflicts == found.absent_partitions == 0


def test_what_the_other_stage_holds_is_missing_since_then(engine: Engine) -> None:
    """A hole is dated by the first thing stored behind it, whichever stage stored it."""
    began = datetime.now(UTC)
    LakeStore(engine).store(Batch(SOURCE, 0, LINE * 2))
    CleanStore(engine).store(Batch(SOURCE, len(LINE), LINE))
    found = survey(engine, {})

    assert found.missing_bytes == {"lake": 0, "clean": len(LINE)}
    (gap,) = found.gaps
    assert (gap.stage, gap.key, gap.start) == ("clean", SOURCE.key, 0)
    assert gap.known_at is not None
    assert began <= gap.known_at <= datetime.now(UTC)


def test_a_missing_tail_is_dated_by_the_segment_that_holds_its_first_byte(engine: Engine) -> None:
    """Of what the other stage stored, the segment around the first missing byte counts, not a later one."""
    lake = LakeStore(engine)
    lake.store(Batch(SOURCE, 0, LINE * 2))
    between = datetime.now(UTC)
    lake.store(Batch(SOURCE, 2 * len(LINE), LINE))
    CleanStore(engine).store(Batch(SOURCE, 0, LINE))
    (gap,) = survey(engine, {}).gaps

    assert (gap.stage, gap.start) == ("clean", len(LINE))
    assert gap.known_at is not None
    assert gap.known_at <= between


def test_what_only_the_checkpoint_knows_is_missing_in_both(engine: Engine) -> None:
    """Confirmed bytes that no stage has stored are missing, since when the ledger cannot say."""
    found = survey(engine, {SOURCE.key: 500})

    assert found.missing_bytes == {"lake": 500, "clean": 500}
    assert {gap.known_at for gap in found.gaps} == {None}


@pytest.fixture
def collector(engine: Engine, settings: Settings) -> SurveyCollector:
    """Return a collector on an embedded broker and one of the databases."""
    return SurveyCollector(settings, lambda: engine)


def test_the_collector_shows_every_family(collector: SurveyCollector, engine: Engine) -> None:
    """Depths, gaps with their age, and what the watch found, each under its name."""
    LakeStore(engine).store(Batch(SOURCE, 0, LINE))
    watches.note(engine, {"logs": "is not there", "queue-data-lake": None}, datetime.now(UTC))
    registry = CollectorRegistry()
    registry.register(collector)
    read = registry.get_sample_value
    assert not collector.measure()

    def aged() -> bool:
        assert not collector.measure()
        return (read("sluice_oldest_missing_seconds", {"stage": "clean"}) or 0) >= 0.05

    wait_until(aged, "a gap of some age")
    assert read("sluice_up", {"part": "broker"}) == read("sluice_up", {"part": "database"}) == 1
    assert read("sluice_queue_messages", {"queue": "queue-data-lake"}) == 0
    assert read("sluice_dead_letters", {"queue": "queue-data-clean"}) == 0
    assert read("sluice_missing_bytes", {"stage": "clean"}) == len(LINE)
    assert read("sluice_oldest_missing_seconds", {"stage": "lake"}) == 0
    assert read("sluice_topology_problem", {"name": "logs"}) == 1
    assert read("sluice_topology_problem", {"name": "queue-data-lake"}) == 0
    assert (read("sluice_topology_checked_timestamp_seconds") or 0) > time.time() - 60


def test_the_age_of_what_the_ledger_cannot_date_grows(
    collector: SurveyCollector, settings: Settings, tmp_path: Path
) -> None:
    """Confirmed bytes that no stage stored age from when they were first seen missing."""
    (tmp_path / "x.log").write_bytes(LINE)
    settings.state_dir.mkdir()
    Watcher(settings, [str(tmp_path / "x.log")], FakePublisher()).run(threading.Event(), once=True)
    registry = CollectorRegistry()
    registry.register(collector)
    collector.measure()
    first = registry.get_sample_value("sluice_oldest_missing_seconds", {"stage": "lake"})

    def older() -> bool:
        collector.measure()
        now = registry.get_sample_value("sluice_oldest_missing_seconds", {"stage": "lake"})
        return (now or 0) > (first or 0)

    wait_until(older, "a greater age")
    assert registry.get_sample_value("sluice_missing_bytes", {"stage": "lake"}) == len(LINE)


def test_a_database_that_is_away_leaves_the_broker_shown(settings: Settings) -> None:
    """What does not answer is 0 in `sluice_up` and named; what answers is shown."""
    collector = SurveyCollector(settings, lambda: make_engine("postgresql://nobody@127.0.0.1:9/none"))
    problems = collector.measure()
    registry = CollectorRegistry()
    registry.register(collector)

    assert len(problems) == 1
    assert registry.get_sample_value("sluice_up", {"part": "database"}) == 0
    assert registry.get_sample_value("sluice_queue_messages", {"queue": "queue-data-lake"}) == 0
    assert registry.get_sample_value("sluice_missing_bytes", {"stage": "lake"}) is None
