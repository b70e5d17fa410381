"""The watch over exchange, queues and bindings, on both transports: noticed by name, and mended."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import kombu
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from db import schema
from db.engine import make_engine, reading
from db.store import CleanStore, LakeStore
from db.watches import note_seen, watched
from pipeline import publish, topology
from pipeline.batch import Batch, Source
from pipeline.cli.main import FAILED, OK, main
from pipeline.depths import queue_depths
from pipeline.publish import Publisher, connect
from pipeline.settings import Settings
from pipeline.topology import LOGS, Stage
from tasks.repair import repair
from tasks.topology import LOST, LOST_SECONDS, SLOW_SECONDS, look
from tests.services import PrivateRabbit, wait_until

LAKE, CLEAN = Stage.LAKE.queue_name, Stage.CLEAN.queue_name
LINE = b'192.0.2.1 - - [01/Mar/2023:00:00:09 +0000] "GET / HTTP/1.1" 200 12 "-" "curl/8"\n'
START = datetime.now(UTC)
LATER = START + timedelta(seconds=LOST_SECONDS)


@pytest.fixture
def store(transport: Settings) -> Iterator[Engine]:
    """An engine on the database of the settings; the topology is declared."""
    schema.upgrade(transport.sqlalchemy_url)
    publish.check(transport)
    engine = make_engine(transport.sqlalchemy_url)
    yield engine
    engine.dispose()


def problems(settings: Settings, engine: Engine, now: datetime) -> dict[str, str]:
    """Look once, and return what is wrong."""
    return {name: problem for name, problem in look(settings, engine, now).items() if problem}


def arrive(settings: Settings, engine: Engine, stage: Stage) -> None:
    """Take the probe out of a stage's queue and note it, as a pool does."""
    wait_until(lambda: queue_depths(settings)[stage.queue_name].messages == 1, "the probe")
    with connect(settings) as connection, connection.channel() as channel:
        message = topology.DATA_QUEUES[stage](channel).get(accept=["msgpack"])
        (probe_id,), *_ = message.decode()
        message.ack()
    note_seen(engine, stage.queue_name, uuid.UUID(probe_id), START)


def unbind(settings: Settings, name: str) -> None:
    """Take the binding of a queue away."""
    with connect(settings) as connection, connection.channel() as channel:
        if settings.embedded_broker:
            kept = [list(row) for row in channel.get_table(LOGS.name) if row[2] != name]
            (channel.control_folder / f"{LOGS.name}.exchange").write_text(json.dumps(kept))
        else:
            channel.queue_unbind(name, LOGS.name, topology.ROUTING_KEY)


def test_all_is_well_while_probes_arrive(transport: Settings, store: Engine) -> None:
    """A probe reaches both stages, and the next one follows it."""
    assert problems(transport, store, START) == {}
    for stage in Stage:
        arrive(transport, store, stage)

    assert problems(transport, store, LATER) == {}
    assert {name: depth.messages for name, depth in queue_depths(transport).items() if depth.messages} == {
        LAKE: 1,
        CLEAN: 1,
    }


def test_a_lost_binding_is_noticed_and_made_again(transport: Settings, store: Engine) -> None:
    """The queue that a probe does not reach is named, and the next batch reaches it."""
    unbind(transport, CLEAN)
    assert problems(transport, store, START) == {}
    arrive(transport, store, Stage.LAKE)

    assert problems(transport, store, LATER) == {CLEAN: LOST}

    for stage in Stage:
        arrive(transport, store, stage)
    assert problems(transport, store, LATER + timedelta(seconds=1)) == {}
    for stage in Stage:
        arrive(transport, store, stage)
    with Publisher(transport) as publisher:
        publisher.publish(Batch(Source("ab" * 16, "web-1", "/log"), 0, b"line\n"))
    wait_until(lambda: queue_depths(transport)[CLEAN].messages == 1, "the batch")


def test_probes_do_not_pile_up(transport: Settings, store: Engine) -> None:
    """While a pool is away one probe waits in its queue, and that is said."""
    look(transport, store, START)
    wait_until(lambda: queue_depths(transport)[CLEAN].messages == 1, "the probe")
    arrive(transport, store, Stage.LAKE)

    slow = problems(transport, store, START + timedelta(seconds=SLOW_SECONDS))

    assert set(slow) == {CLEAN}
    assert "its pool is away or behind" in slow[CLEAN]
    assert queue_depths(transport)[CLEAN].messages == 1


def test_a_deleted_queue_is_named_and_declared(transport: Settings, store: Engine) -> None:
    """A queue that is gone is said to be, and is there again with its binding."""
    with connect(transport) as connection, connection.channel() as channel:
        channel.queue_delete(CLEAN)
        if transport.embedded_broker:
            (transport.broker_dir / "queues" / CLEAN).rmdir()

    assert problems(transport, store, START)[CLEAN] == "was gone: declared again"

    with Publisher(transport) as publisher:
        publisher.publish(Batch(Source("ab" * 16, "web-1", "/log"), 0, b"line\n"))
    wait_until(lambda: queue_depths(transport)[CLEAN].messages >= 1, "the batch")


def test_a_queue_of_a_wrong_type_is_named(rabbitmq: Settings, sqlite_url: str) -> None:
    """What stands there with other properties cannot be mended by declaring: a person reads its name."""
    publish.check(rabbitmq)
    engine = make_engine(sqlite_url)
    with connect(rabbitmq) as connection, connection.channel() as channel:
        channel.queue_delete(LAKE)
        kombu.Queue(LAKE, durable=True)(channel).declare()

    found = problems(rabbitmq, engine, START)

    assert set(found) == {LAKE}
    assert found[LAKE].startswith("is not as it should be")
    engine.dispose()


def test_a_deleted_exchange_is_named_and_declared(rabbitmq: Settings, sqlite_url: str) -> None:
    """The exchange comes back with both bindings."""
    publish.check(rabbitmq)
    engine = make_engine(sqlite_url)
    with connect(rabbitmq) as connection, connection.channel() as channel:
        channel.exchange_delete(LOGS.name)

    assert problems(rabbitmq, engine, START)[LOGS.name] == "was gone: declared again"
    look(rabbitmq, engine, LATER)
    for queue in (LAKE, CLEAN):
        wait_until(lambda queue=queue: queue_depths(rabbitmq)[queue].messages == 1, "the probe")
    engine.dispose()


def test_two_watches_at_once_do_no_harm(transport: Settings, store: Engine) -> None:
    """Two at the same time, again and again, find nothing wrong and leave one row a name."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: problems(transport, store, START), range(6)))

    assert found == [{}] * 6
    assert len(watched(store)) == 1 + len(topology.LIVE_QUEUES) + len(topology.DEAD_QUEUES)


def test_status_names_what_is_wrong(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A problem of the last minute is one of `status`, and the age of the last probe is shown."""
    monkeypatch.setenv("SLUICE_STATE_DIR", str(settings.state_dir))
    schema.upgrade(settings.sqlalchemy_url)
    publish.check(settings)
    engine = make_engine(settings.sqlalchemy_url)
    look(settings, engine)
    arrive(settings, engine, Stage.LAKE)
    assert main(["status", "--json"]) == OK
    assert CLEAN not in json.loads(capsys.readouterr().out)["probe_age_seconds"]

    look(settings, engine, datetime.now(UTC) + timedelta(seconds=SLOW_SECONDS))

    assert main(["status", "--json"]) == FAILED
    shown = json.loads(capsys.readouterr().out)
    assert shown["probe_age_seconds"].keys() == {LAKE}
    assert shown["problems"][0].startswith(f"{CLEAN} a probe waits in it")
    engine.dispose()


def test_a_revoked_permission_is_named(tmp_path: Path) -> None:
    """What the watch may no longer declare or publish is said by name; granted again, all is well."""
    with PrivateRabbit() as rabbit:
        settings = Settings.from_environment(state_dir=tmp_path / "var", broker_url=SecretStr(rabbit.url))
        schema.upgrade(settings.sqlalchemy_url)
        publish.check(settings)
        engine = make_engine(settings.sqlalchemy_url)
        rabbit.ctl("set_permissions", "-p", "/", "guest", "^none$", "^none$", ".*")

        found = problems(settings, engine, START)

        assert found.keys() == {LOGS.name}
        assert "access" in found[LOGS.name].lower()
        rabbit.ctl("delete_queue", LAKE)
        assert "may not declare" in problems(settings, engine, START)[LAKE]
        rabbit.ctl("set_permissions", "-p", "/", "guest", ".*", ".*", ".*")
        assert problems(settings, engine, START)[LAKE] == "was gone: declared again"
        for stage in Stage:
            assert problems(settings, engine, START).get(stage.queue_name) is None
        engine.dispose()


def test_two_repairs_at_once_store_a_gap_once(transport: Settings, store: Engine) -> None:
    """Two schedulers may both publish what is missing: the ledger stores it once."""
    batch = Batch(Source("ab" * 16, transport.host, "/logs/a.log", format="combined"), 0, LINE * 3)
    LakeStore(store).store(batch)
    CleanStore(store).store(Batch(batch.source, batch.end, LINE))
    LakeStore(store).store(Batch(batch.source, batch.end, LINE))

    def repair_once(_: int) -> int:
        with Publisher(transport) as publisher:
            return repair(transport, store, publisher).published_bytes[Stage.CLEAN]

    with ThreadPoolExecutor(2) as pool:
        published = list(pool.map(repair_once, range(2)))

    assert max(published) == len(batch.block)
    assert stored_once(transport, store, sum(published) // len(batch.block)) == 4


def stored_once(settings: Settings, engine: Engine, count: int) -> int:
    """Store what waits for the clean stage, and return the rows that it has then."""
    wait_until(lambda: queue_depths(settings)[CLEAN].messages == count, "what was published again")
    with connect(settings) as connection, connection.channel() as channel:
        for _ in range(count):
            message = topology.DATA_QUEUES[Stage.CLEAN](channel).get(accept=["msgpack"])
            CleanStore(engine).store(Batch.decode(message.decode()[0][0]))
            message.ack()
    with reading(engine) as connection:
        return int(connection.execute(text("SELECT count(*) FROM clean_logs")).scalar_one())
