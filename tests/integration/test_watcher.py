"""The whole watcher with its threads: events, sweep alone, stop, once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.checkpoint import read_offsets
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from pipeline.watcher import Watcher
from tests.doubles import FakePublisher
from tests.services import wait_until


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with one line in a folder of its own."""
    path = tmp_path / "logs" / "a.log"
    path.parent.mkdir()
    path.write_bytes(b"one\n")
    return path


@contextmanager
def running(settings: Settings, pattern: Path, publisher: FakePublisher) -> Iterator[None]:
    """Run a watcher in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=Watcher(settings, [str(pattern)], publisher).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def test_an_event_wakes_the_watcher(tmp_path: Path, log: Path) -> None:
    """With sweeps an hour apart an appended line is published because of its event."""
    publisher = FakePublisher()
    settings = Settings(state_dir=tmp_path / "state", sweep_seconds=3600)
    with running(settings, log.parent, publisher):
        wait_until(lambda: publisher.text() == b"one\n", "the first line")
        for number in range(5):
            line = b"line %d\n" % number
            with log.open("ab") as file:
                file.write(line)
            wait_until(lambda line=line: publisher.text().endswith(line), f"line {number}")
        (log.parent / "b.log").write_bytes(b"new\n")
        wait_until(lambda: publisher.text().endswith(b"new\n"), "the line of the new file")
    assert sum(read_offsets(tmp_path / "state").values()) == len(publisher.text())


def test_the_sweep_alone_is_enough(tmp_path: Path, log: Path) -> None:
    """Without events everything is found by the sweep."""
    publisher = FakePublisher()
    settings = Settings(state_dir=tmp_path / "state", sweep_seconds=0.05, watch_events=False)
    with running(settings, log.parent, publisher):
        wait_until(lambda: publisher.text() == b"one\n", "the first line")
        log.rename(log.with_name("a.log.1"))
        log.write_bytes(b"two\n")
        wait_until(lambda: sorted(publisher.sources().values()) == [b"one\n", b"two\n"], "both files")


def test_once_ends_when_all_is_confirmed(tmp_path: Path, log: Path) -> None:
    """Read once, a refusing broker is waited for and the last line comes without its newline."""
    publisher = FakePublisher()
    publisher.refuse_count = 2
    log.write_bytes(b"one\ntwo")
    Watcher(Settings(state_dir=tmp_path / "state"), [str(log)], publisher).run(threading.Event(), once=True)
    assert publisher.text() == b"one\ntwo"


def test_once_needs_its_files(tmp_path: Path) -> None:
    """A path that is not there is the user's mistake, said before anything starts."""
    watcher = Watcher(Settings(state_dir=tmp_path / "state"), [str(tmp_path / "none.log")], FakePublisher())
    with pytest.raises(ConfigurationError, match=r"none\.log"):
        watcher.run(threading.Event(), once=True)
    assert not (tmp_path / "state").exists()
