"""What is counted of a watcher."""

import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pipeline.batch import Batch, Source
from pipeline.checkpoint import FILE_NAME
from pipeline.errors import BrokerUnavailable
from pipeline.measured import REGISTRY, CheckpointCollector, MeasuredPublisher
from pipeline.settings import Settings
from pipeline.watcher import Watcher
from tests.doubles import FakePublisher


def value(name: str) -> float:
    """Return a sample of the watcher's registry."""
    return REGISTRY.get_sample_value(name) or 0.0


def test_what_is_confirmed_is_counted_once() -> None:
    """A refused publish is a retry and holds the watcher back; a confirmed one counts lines and bytes."""
    names = ("batches_total", "lines_total", "bytes_total")
    before = [value(f"sluice_published_{name}") for name in names]
    retries, seen = value("sluice_publish_retries_total"), value("sluice_batch_lines_count")
    broker = FakePublisher()
    broker.refuse_count = 1
    publisher = MeasuredPublisher(broker)
    batch = Batch(Source("0" * 32, "h", "/x"), 0, b"a\nbb\n")

    with pytest.raises(BrokerUnavailable):
        list(publisher.publish_all([batch]))
    assert value("sluice_watcher_blocked") == 1
    assert list(publisher.publish_all([batch])) == [batch]

    after = [value(f"sluice_published_{name}") for name in names]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 2, 5]
    assert value("sluice_publish_retries_total") == retries + 1
    assert value("sluice_batch_lines_count") == seen + 1
    assert value("sluice_watcher_blocked") == 0


def test_the_checkpoint_tells_states_and_lag(settings: Settings, tmp_path: Path) -> None:
    """Sources are counted by state, and nothing lags once all is confirmed."""
    log = tmp_path / "a.log"
    log.write_bytes(b"one\ntwo\n")
    settings.state_dir.mkdir()
    steps: list[None] = []
    watcher = Watcher(settings, [str(log)], FakePublisher(), on_step=lambda: steps.append(None))
    watcher.run(threading.Event(), once=True)
    registry = CollectorRegistry()
    registry.register(CheckpointCollector(settings.state_dir))

    assert steps
    assert sum_of_sources(registry) == 1
    assert registry.get_sample_value("sluice_lag_bytes") == 0
    assert registry.get_sample_value("sluice_lost_bytes") == 0


def test_many_scrapes_read_the_checkpoint_once(settings: Settings, tmp_path: Path) -> None:
    """What a scrape found is shown until reading again costs little; then what is new is seen."""
    now = [0.0]
    log = tmp_path / "a.log"
    log.write_bytes(b"one\n")
    settings.state_dir.mkdir()
    registry = CollectorRegistry()
    registry.register(CheckpointCollector(settings.state_dir, lambda: now[0]))
    assert sum_of_sources(registry) == 0
    Watcher(settings, [str(log)], FakePublisher()).run(threading.Event(), once=True)

    assert sum_of_sources(registry) == 0
    now[0] += 1000
    assert sum_of_sources(registry) == 1


def sum_of_sources(registry: CollectorRegistry) -> float:
    """Return how many sources are shown in all states."""
    samples = [sample for family in registry.collect() for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "sluice_sources")


def test_a_checkpoint_that_cannot_be_read_shows_nothing(tmp_path: Path) -> None:
    """A scrape of a damaged state folder is served without its families."""
    (tmp_path / FILE_NAME).mkdir()
    registry = CollectorRegistry()
    registry.register(CheckpointCollector(tmp_path))

    assert registry.get_sample_value("sluice_lag_bytes") is None
