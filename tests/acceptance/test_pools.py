"""Real pools on each transport and database: one message, two stages, and a spoilt batch."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline import dead
from pipeline.batch import Batch
from pipeline.depths import queue_depths
from pipeline.settings import Settings
from tests.acceptance.pools import CLEAN, LAKE, LINE, System, make_batch, publish_envelope
from tests.services import wait_until


@pytest.fixture(scope="module", params=["embedded", "servers"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Both pools, embedded or on RabbitMQ and PostgreSQL; each test has a source of its own."""
    servers = request.param == "servers"
    folder = tmp_path_factory.mktemp("pools")
    settings = Settings.from_environment(
        state_dir=folder / "var",
        broker_url=SecretStr(request.getfixturevalue("module_broker") if servers else "embedded://"),
        database_url=SecretStr(
            request.getfixturevalue("module_postgresql_url" if servers else "module_sqlite_url")
        ),
    )
    with System(settings, folder) as system:
        system.start_both()
        yield system


@pytest.fixture
def key() -> str:
    """Key of a source that nobody has."""
    return uuid.uuid4().hex


def test_one_message_is_stored_by_both_stages(system: System, key: str) -> None:
    """Each batch is one publish, and each of its lines one row of the lake and one of clean."""
    rejected = system.count("rejected_lines")
    system.publish(*(make_batch(number, key=key) for number in range(5)))
    wait_until(lambda: min(system.stored(key)) >= 50, "50 rows in both stages")

    assert system.stored(key) == (50, 50)
    assert system.count("rejected_lines") == rejected


def test_batch_delivered_again_stores_nothing_twice(system: System, key: str) -> None:
    """The same batch three times, and one that overlaps it, make each line one row."""
    before = system.logs.count("succeeded")
    batch = make_batch(0, key=key)
    overlap = Batch(batch.source, 5 * len(LINE), LINE * 10)
    system.publish(batch, batch, batch, overlap, make_batch(2, key=key))
    wait_until(lambda: system.logs.count("succeeded") >= before + 10, "ten deliveries to end")

    assert system.stored(key) == (25, 25)


def test_no_line_is_in_a_log_or_header(system: System, key: str) -> None:
    """Neither success nor failure writes a byte of a line anywhere but into its table."""
    dead_before = queue_depths(system.settings)[CLEAN].dead
    spoilt = make_batch(1, key=key).encode() | {"checksum": bytes(32)}
    publish_envelope(system.settings, spoilt, CLEAN)
    system.publish(make_batch(0, key=key))
    wait_until(lambda: system.stored(key) == (10, 10), "ten rows in both stages")
    system.wait_for_dead(CLEAN, dead_before + 1)

    assert "canary" not in system.logs
    assert make_batch(0, key=key).encode()["block"].hex() not in system.logs
    assert "succeeded" in system.logs


def test_spoilt_batch_is_a_dead_letter_at_once(system: System, key: str) -> None:
    """A batch whose checksum does not match is kept with its reason, and the batches behind it go through."""
    before = queue_depths(system.settings)
    publish_envelope(system.settings, make_batch(1, key=key).encode() | {"checksum": bytes(32)}, LAKE)
    system.publish(make_batch(0, key=key))
    wait_until(lambda: system.stored(key) == (10, 10), "ten rows in both stages")
    (letter,) = system.wait_for_dead(LAKE, before[LAKE].dead + 1)

    assert letter.reason.startswith("EnvelopeError: checksum does not match")
    assert letter.reader == dead.reader()
    assert "Traceback" in letter.traceback
    assert queue_depths(system.settings)[CLEAN].dead == before[CLEAN].dead


@pytest.mark.slow
@pytest.mark.parametrize("queues", [(LAKE, CLEAN), ()])
def test_worker_without_exactly_one_data_queue_refuses(
    queues: tuple[str, ...], tmp_path: Path, sqlite_url: str
) -> None:
    """A worker on both data queues, or on neither, ends and says how to start it."""
    settings = Settings.from_environment(state_dir=tmp_path / "var", database_url=SecretStr(sqlite_url))
    with System(settings, tmp_path) as system:
        pool = system.start(*queues)

        assert pool.wait(90) != 0
        assert f"-Q {LAKE} or -Q {CLEAN}" in system.logs
