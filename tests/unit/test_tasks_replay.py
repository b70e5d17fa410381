"""One slice of a replay and what is sent after it, on the embedded broker and database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.cleaned import Choice
from db.engine import make_engine, transaction
from db.slices import Order
from db.store import CleanStore
from pipeline import topology
from pipeline.publish import connect
from pipeline.settings import Settings
from tasks import replay as task
from tasks.replay import AWAY_SECONDS, replay_some
from tests import older
from tests.databases import migrate

SEGMENTS = 3
EVERYTHING = Order(Choice(redo=True))


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """Return an engine on an embedded database with some segments."""
    settings.state_dir.mkdir()
    migrate(settings.sqlalchemy_url)
    engine = make_engine(settings.sqlalchemy_url)
    older.store(engine, older.blocks(SEGMENTS, 20))
    yield engine
    engine.dispose()


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slice end after its first range."""
    monkeypatch.setattr(task, "SLICE_SECONDS", 0.0)


def sent(settings: Settings) -> list[tuple[Order, dict[str, Any]]]:
    """Take the tasks out of the maintenance queue; return the order and the headers of each."""
    found = []
    with connect(settings) as connection:
        topology.declare(connection)
        queue = topology.MAINTENANCE_QUEUE(connection.channel())
        while message := queue.get(accept=["msgpack"]):
            (values,), _, _ = message.decode()
            found.append((Order.decode(values), message.headers))
            message.ack()
    return found


def wait_of(headers: dict[str, Any]) -> float:
    """Return the seconds from now until a task may begin."""
    return (datetime.fromisoformat(headers["eta"]) - datetime.now(UTC)).total_seconds()


@pytest.mark.usefixtures("_short")
def test_slices_follow_each_other_to_the_end(settings: Settings, engine: Engine) -> None:
    """Each slice sends the place behind it on, in words that Flower can show, and the last one nothing."""
    order, store = EVERYTHING, CleanStore(engine)
    places = []
    for _ in range(SEGMENTS):
        assert replay_some(settings, engine, store, order).startswith("1 ranges replaced")
        ((order, headers),) = sent(settings)
        places.append(order.place)
        assert headers["task"] == "replay.clean"
        assert headers["argsrepr"] == f"(as ordered, from source 1 at byte {order.place[1]} on)"

    assert places == sorted(set(places))
    assert "nothing is left" in replay_some(settings, engine, store, order)
    assert sent(settings) == []


@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize(("share", "least"), [(0.001, 3.0), (1.0, None)])
def test_a_small_share_waits_long(
    settings: Settings, engine: Engine, share: float, least: float | None
) -> None:
    """The next slice waits so long that all of them take the share; with the whole time, not at all."""
    throttled = settings.model_copy(update={"replay_share": share})

    replay_some(throttled, engine, CleanStore(engine), EVERYTHING)

    ((_, headers),) = sent(settings)
    assert headers["eta"] is None if least is None else wait_of(headers) > least


def test_a_share_of_nothing_does_nothing(settings: Settings, engine: Engine) -> None:
    """With SLUICE_REPLAY_SHARE=0 no range is read again, and the setting is named."""
    off = settings.model_copy(update={"replay_share": 0.0})

    assert "SLUICE_REPLAY_SHARE" in replay_some(off, engine, CleanStore(engine), EVERYTHING)
    assert sent(settings) == []


@pytest.mark.usefixtures("_short")
def test_what_beat_began_ends_when_the_next_is_due(settings: Settings, engine: Engine) -> None:
    """A slice that could not begin before the end is not sent: the next one on the schedule goes on."""
    order = replace(EVERYTHING, until=datetime.now(UTC))

    assert "1 ranges replaced" in replay_some(settings, engine, CleanStore(engine), order)
    assert sent(settings) == []
    order = replace(order, until=datetime.now(UTC) + timedelta(hours=1))
    replay_some(settings, engine, CleanStore(engine), order)
    assert [each.until for each, _ in sent(settings)] == [order.until]


def test_an_order_waits_for_the_database(settings: Settings, engine: Engine) -> None:
    """Where the tables cannot be read the same order is sent again, for later."""
    with transaction(engine) as connection:
        connection.execute(text("ALTER TABLE segments RENAME TO elsewhere"))

    assert replay_some(settings, engine, CleanStore(engine), EVERYTHING).startswith("not now")

    ((order, headers),) = sent(settings)
    assert order == EVERYTHING
    assert 0 < wait_of(headers) <= AWAY_SECONDS
