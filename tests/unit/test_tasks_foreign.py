"""What a worker checks of a message before it trusts it."""

import uuid
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.worker.control import Panel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu import compression
from kombu.exceptions import ContentDisallowed

from pipeline.protocol import headers
from pipeline.unpacking import refuse_compression
from tasks.control import KEPT, allow_questions_only
from tasks.foreign import FAULTS, MOST_BYTES, MOST_WORDS, checked, forget_builtin_tasks, guarded

ID = str(uuid.UUID(int=1))
OURS = headers("logs.batch", ID, argsrepr="<batch>")


class Message:
    """A delivery that notes what becomes of it."""

    content_type = "application/x-msgpack"

    def __init__(self, given: Any, body: bytes = b"") -> None:
        self.headers = given
        self.body = body
        self.acknowledged = False
        self.rejected = False

    def reject_log_error(self, *_: Any) -> None:
        """Note the rejection."""
        self.acknowledged = self.rejected = True


def test_our_headers_pass_unchanged() -> None:
    """What the watcher sends is what the worker takes."""
    assert {**OURS, **checked(OURS)} == OURS


def test_nobody_else_sets_time_limits_or_long_words() -> None:
    """A limit is removed, and what Flower and logs would show is cut."""
    found = checked({**OURS, "timelimit": [0.1, 0.1], "argsrepr": "x" * 9999})

    assert found["timelimit"] == [None, None]
    assert len(found["argsrepr"]) == MOST_WORDS


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("1a-", max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(list(OURS)), ANYTHING))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_headers_reach_beyond_the_guard(changed: dict[str, Any]) -> None:
    """Whatever stands in the headers, the message is handled with headers of the right kinds, or rejected."""
    message, handled = Message({**OURS, **changed}), []

    guarded(handled.append, ())(message)

    assert bool(handled) != message.rejected
    if handled:
        assert uuid.UUID(message.headers["root_id"])
        assert message.headers["timelimit"] == [None, None]


@pytest.mark.parametrize("given", [None, [], "text"])
def test_headers_that_are_no_map_are_rejected(given: Any) -> None:
    """A message without headers is none of ours."""
    message = Message(given)

    guarded(pytest.fail, ())(message)

    assert message.rejected


def test_a_message_that_is_too_large_is_not_looked_at() -> None:
    """Its body is never decoded."""
    message = Message(OURS, bytes(MOST_BYTES + 1))

    guarded(pytest.fail, ())(message)

    assert message.rejected


def test_errors_of_the_connection_pass() -> None:
    """What is not the message's fault is left to whoever connects again."""

    def lost(_: Any) -> None:
        raise ConnectionResetError

    assert not issubclass(ConnectionResetError, FAULTS)
    with pytest.raises(ConnectionResetError):
        guarded(lost, ())(Message(OURS))


def test_celerys_own_tasks_are_forgotten() -> None:
    """`celery.map` and its kin, which run any task with any arguments, are not there."""
    app = Celery("test", set_as_current=False)

    @app.task(name="ours", shared=False)
    def ours() -> None: ...

    app.finalize()
    assert "celery.map" in app.tasks

    forget_builtin_tasks(app)

    assert "ours" in app.tasks
    assert not [name for name in app.tasks if name.startswith("celery.")]


@pytest.mark.parametrize("name", ["gzip", "zlib", "bzip2", "lzma"])
def test_no_compression_is_unpacked(name: str) -> None:
    """A body that names a compression is refused before a byte of it is unpacked."""
    refuse_compression()

    with pytest.raises(ContentDisallowed):
        compression.decompress(zlib.compress(b"x"), name)


def test_remote_control_keeps_questions_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Celery's commands none that changes, ends or empties anything is left."""
    monkeypatch.setattr(Panel, "data", dict(Panel.data))

    allow_questions_only()

    assert set(Panel.data) == {*KEPT, "active", "reserved", "scheduled"}
    assert not {"shutdown", "revoke", "terminate", "pool_restart", "hello", "query_task"} & set(Panel.data)
    assert Panel.data["active"](None) == Panel.data["reserved"](None) == Panel.data["scheduled"](None) == []


def test_a_message_may_wait_for_a_while() -> None:
    """The next slice of a replay comes through; what would be held for hours, or names no time, does not."""
    now = datetime.now(UTC)
    soon = (now + timedelta(minutes=1)).isoformat()

    assert checked({**OURS, "eta": soon})["task"] == OURS["task"]
    for eta in ((now + timedelta(hours=2)).isoformat(), "tomorrow", 4, now.replace(tzinfo=None).isoformat()):
        with pytest.raises((TypeError, ValueError)):
            checked({**OURS, "eta": eta})
