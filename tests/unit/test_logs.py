"""One event is one line, whatever its words hold."""

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import logs
from pipeline.cli import output
from pipeline.settings import Settings

#: What ends a line or takes a terminal over: C0, DEL, C1, separators, bidirectional marks, lone surrogates.
HOSTILE = "\n\r\x00\x07\x0b\x0c\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066\udcff"
TEXT = st.text(st.one_of(st.sampled_from(HOSTILE), st.characters()), max_size=60)


def record(message: str, *arguments: object, **more: object) -> logging.LogRecord:
    """Return a record as logging makes it."""
    made = logging.LogRecord("tasks.lake", logging.WARNING, __file__, 1, message, arguments, None)
    made.__dict__.update(more)
    return made


@given(TEXT, TEXT, TEXT)
def test_a_json_event_is_one_printable_line(message: str, batch_id: str, host: str) -> None:
    """Any text comes back whole from a line of printable ASCII."""
    line = logs.JsonFormatter(host).format(record("%s", message, batch_id=batch_id))

    read = json.loads(line)
    assert line.isascii()
    assert line.isprintable()
    assert (message, batch_id, host) == (read["message"], read["batch_id"], read["host"])


@given(TEXT, TEXT)
def test_a_console_event_is_one_printable_line(message: str, argument: str) -> None:
    """Nothing that ends a line or that a terminal obeys is left, and plain words stay as they are."""
    line = logs.formatter("console", "h").format(record(f"{message.replace('%', '')} %s", argument))

    assert line.isprintable()
    assert argument in line or not argument.isprintable()


@pytest.mark.parametrize("style", list(logs.Style))
def test_a_traceback_is_part_of_its_line(style: logs.Style) -> None:
    """An error that was raised stays with its event."""
    try:
        int("first\nsecond")
    except ValueError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()
    line = logs.formatter(style, "h").format(failed)

    assert "\n" not in line
    assert "Traceback" in line
    assert "ValueError: invalid literal" in line


@pytest.mark.parametrize("style", list(logs.Style))
def test_a_record_that_does_not_fit_its_words_is_still_told(style: logs.Style) -> None:
    """A mistake in a log call costs neither the event nor the process."""
    line = logs.formatter(style, "h").format(record("%d lines", "many"))

    assert "%d lines ('many',)" in line


def test_the_fields_of_an_event() -> None:
    """A record's own batch comes before that of the work in hand; what nobody knows is null."""
    formatter = logs.JsonFormatter("web-1", lambda: {"batch_id": "of the task", "stage": "lake"})
    read = json.loads(formatter.format(record("stored", batch_id="its own")))

    assert list(read) == list(logs.FIELDS)
    assert read["time"].endswith("+00:00")
    del read["time"]
    assert read == {
        "level": "WARNING",
        "logger": "tasks.lake",
        "message": "stored",
        "batch_id": "its own",
        "task": None,
        "stage": "lake",
        "host": "web-1",
    }


def test_messages_of_a_command_follow_the_style(
    capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    """What `run` says is JSON too, and a child's JSON line is passed on as it is."""
    as_json = settings.model_copy(update={"log_style": logs.Style.JSON})
    try:
        output.log_to_stderr("WARNING", as_json)
        output.say("one\ntwo")
        output.complain("bad\x1b[2J")
        output.relay("lake", '{"level": "WARNING"}')
        output.relay("lake", "Traceback\x1b[2J")
        logging.getLogger("x").warning("late")
    finally:
        output.log_to_stderr("WARNING", settings)
    lines = capsys.readouterr().err.splitlines()

    read = [json.loads(line) for line in lines]
    messages = [each.get("message") for each in read]
    assert messages == ["one\ntwo", "bad\x1b[2J", None, "lake | Traceback\x1b[2J", "late"]
    assert [each["level"] for each in read] == ["INFO", "ERROR", "WARNING", "INFO", "WARNING"]
