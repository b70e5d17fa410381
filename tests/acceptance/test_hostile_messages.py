"""Messages of somebody who may write to a queue: a dead letter each, and a pool that goes on."""

import os
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kombu
import psutil
import pytest
import zstandard
from pydantic import SecretStr

from pipeline import dead, topology
from pipeline.batch import Batch
from pipeline.publish import connect
from pipeline.settings import Settings
from pipeline.signing import FIELD, signed
from tests.acceptance.pools import CLEAN, LAKE, LINE, System, make_batch
from tests.services import wait_until

pytestmark = pytest.mark.slow

CANARY = "canary-of-a-hostile-message"
KEY, PREVIOUS = "k" * 32, "p" * 32
ID = make_batch().id
HEADERS = {"task": topology.BATCH_TASK, "id": ID, "root_id": ID, "lang": "py", "argsrepr": "<batch>"}
ENVELOPE = make_batch().encode()


class Exploit:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._path}",)


@pytest.fixture
def system(
    broker: str, postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[System]:
    """RabbitMQ, PostgreSQL, and a lake pool that wants signatures."""
    monkeypatch.setenv("SLUICE_SIGNING_KEY", KEY)
    monkeypatch.setenv("SLUICE_PREVIOUS_SIGNING_KEY", PREVIOUS)
    settings = Settings.from_environment(
        state_dir=tmp_path / "var",
        broker_url=SecretStr(broker),
        database_url=SecretStr(postgresql_url),
    )
    with connect(settings) as connection:
        topology.declare(connection)
    with System(settings, tmp_path) as system:
        yield system


def send(settings: Settings, body: Any, headers: dict[str, Any], queue: str = LAKE, **options: Any) -> None:
    """Publish to one queue, whatever it is."""
    options = options or {"serializer": "msgpack"}
    with connect(settings) as connection:
        kombu.Producer(connection.channel()).publish(
            body, exchange="", routing_key=queue, headers=headers, correlation_id=ID, **options
        )


def as_task(envelope: Any) -> Any:
    """Return the body of a task with this argument."""
    return ((envelope,), {}, {})


#: Headers that are none of ours, with a body that is.
HEADINGS: list[dict[str, Any]] = [
    {},
    {"task": "no.such.task", "id": "x"},
    {"task": "os.system", "id": CANARY},
    {"task": "celery.map", "id": ID, "root_id": ID},
    {"task": "celery.backend_cleanup", "id": ID, "root_id": ID},
    {"task": {"a": "table"}, "id": ID, "root_id": ID},
    {"task": ["a", "list"], "id": ID, "root_id": ID},
    {"task": 7, "id": ID, "root_id": ID},
    {"task": topology.BATCH_TASK, "id": ID},
    {"task": topology.BATCH_TASK, "root_id": ID},
    {**HEADERS, "root_id": CANARY},
    {**HEADERS, "root_id": 7},
    {**HEADERS, "root_id": {"a": "table"}},
    {**HEADERS, "eta": CANARY},
    {**HEADERS, "expires": CANARY},
    {**HEADERS, "timelimit": CANARY},
]


def test_strange_headers_are_dead_letters(system: System) -> None:
    """None of them ends the worker, none is lost, and no word of them is in its log."""
    pool = system.start(LAKE)
    for headers in HEADINGS:
        send(system.settings, as_task({"line": CANARY}), headers)
    send(system.settings, {"task": topology.BATCH_TASK, "id": ID, "args": [CANARY], "kwargs": {}}, {})

    system.wait_for_dead(LAKE, len(HEADINGS) + 1)

    assert pool.poll() is None
    system.publish(make_batch())
    wait_for_lines(system, 10)
    assert CANARY not in system.logs


def wait_for_lines(system: System, count: int) -> None:
    """Wait until the lake holds so many lines."""
    wait_until(lambda: system.count("raw_logs") >= count, "the lines")


def test_foreign_bodies_are_dead_letters(system: System, tmp_path: Path) -> None:
    """A pickle runs nothing, a bomb of each kind fills no memory, what is too large is not looked at."""
    trace = tmp_path / "exploited"
    pool = system.start(LAKE)
    pickled = {"content_type": "application/x-python-serialize", "content_encoding": "binary"}
    packed = {"content_type": "application/x-msgpack", "content_encoding": "binary"}
    bomb = zlib.compress(bytes(1 << 30), 9)
    send(system.settings, pickle.dumps(as_task(Exploit(trace))), HEADERS, **pickled)
    send(system.settings, pickle.dumps(as_task(Exploit(trace))), {}, **pickled)
    send(system.settings, bomb, {**HEADERS, "compression": "application/x-gzip"}, **packed)
    send(system.settings, b"\xc9" + bytes(33 << 20), HEADERS, **packed)
    send(system.settings, b"\x91" * 100_000, HEADERS, **packed)
    send(
        system.settings,
        ("[" * 100_000).encode(),
        HEADERS,
        content_type="application/json",
        content_encoding="utf-8",
    )

    system.wait_for_dead(LAKE, 6)

    assert not trace.exists()
    assert pool.poll() is None
    assert psutil.Process(pool.pid).memory_info().rss < 300 << 20
    assert CANARY not in system.logs


def altered(**fields: Any) -> dict[str, Any]:
    """Return a signed envelope, fields changed afterwards."""
    return {**signed(ENVELOPE, [KEY.encode()]), **fields}


#: Envelopes that are none of ours, with what the dead letter says of them.
ENVELOPES = {
    "unsigned": (ENVELOPE, "not signed"),
    "other key": (signed(ENVELOPE, [b"o" * 32]), "not of this key"),
    "altered block": (altered(block=zstandard.compress(LINE)), "altered"),
    "altered place": (altered(start=1, end=1 + len(make_batch().block)), "altered"),
    "altered path": (altered(source={**ENVELOPE["source"], "path": b"/etc/passwd"}), "altered"),
    "signature of another kind": (altered(**{FIELD: "text"}), "not signed"),
    "none at all": (CANARY, "not signed"),
    "bomb": (signed({**ENVELOPE, "block": zstandard.compress(bytes(1 << 30))}, [KEY.encode()]), "block has"),
}


def test_unsigned_and_altered_batches_are_dead_letters(system: System) -> None:
    """Each says why; what this key or the one before it signed is stored."""
    system.start(LAKE)
    for envelope, _ in ENVELOPES.values():
        send(system.settings, as_task(envelope), HEADERS)

    letters = system.wait_for_dead(LAKE, len(ENVELOPES))

    expected = sorted(reason for _, reason in ENVELOPES.values())
    assert not [reason for reason in expected if not any(reason in letter.reason for letter in letters)]
    assert {letter.batch for letter in letters} == {None}
    assert system.count("raw_logs") == 0
    send(system.settings, as_task(signed(make_batch(1).encode(), [PREVIOUS.encode()])), HEADERS)
    system.publish(make_batch(0))
    wait_for_lines(system, 20)
    assert CANARY not in system.logs


def test_looking_at_hostile_dead_letters_does_no_harm(system: System, tmp_path: Path) -> None:
    """The operator's commands neither unpack a bomb nor run a pickle, and show both as no batch."""
    trace = tmp_path / "exploited"
    pickled = {"content_type": "application/x-python-serialize", "content_encoding": "binary"}
    bomb = zlib.compress(bytes(1 << 30), 9)
    queue = topology.dead_name(CLEAN)
    send(system.settings, pickle.dumps(as_task(Exploit(trace))), HEADERS, queue, **pickled)
    send(
        system.settings,
        bomb,
        {**HEADERS, "compression": "application/x-gzip"},
        queue,
        content_type="a",
        content_encoding="binary",
    )
    before = psutil.Process().memory_info().rss

    letters = system.wait_for_dead(CLEAN, 2)

    assert [letter.batch for letter in letters] == [None, None]
    assert not trace.exists()
    assert psutil.Process().memory_info().rss - before < 100 << 20
    assert isinstance(letters[0], dead.DeadLetter)
    assert Batch.decode(ENVELOPE) == make_batch()
