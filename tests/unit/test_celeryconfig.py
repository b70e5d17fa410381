"""Celery's settings that keep messages from doing harm."""

from celery.backends.base import DisabledBackend

from tasks.celery import app


def test_there_are_no_results() -> None:
    """Nothing of a task is kept outside the database: no backend, so nothing to read or to forge."""
    assert app.conf.result_backend is None
    assert isinstance(app.backend, DisabledBackend)
    assert app.conf.task_ignore_result is True


def test_no_message_can_carry_code() -> None:
    """Neither tasks nor events nor remote control accept pickle, and nothing is sent as one."""
    assert set(app.conf.accept_content) == {"msgpack", "json"}
    assert app.conf.task_serializer == "msgpack"
    assert app.conf.event_serializer == "json"
    assert set(app.control.mailbox.accept) <= {"msgpack", "json"}
