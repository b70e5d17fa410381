"""How log records look: one event is one line, as text or as JSON, and names the batch that it speaks of."""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

#: What a JSON line holds, in this order; `batch_id`, `task` and `stage` are null where none is meant.
FIELDS = ("time", "level", "logger", "message", "batch_id", "task", "stage", "host")
#: Gives the fields of the work in hand to every record that does not carry its own.
Context = Callable[[], Mapping[str, str]]


class Style(StrEnum):
    """The two looks of a log line."""

    CONSOLE = "console"
    JSON = "json"


def escape(text: str) -> str:
    """Return the text with everything that a terminal could obey or hide made visible.

    File names and log lines are foreign text: control characters, line separators, bidirectional marks
    and undecodable bytes come out as backslash escapes.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def json_line(fields: Mapping[str, Any]) -> str:
    """Return one JSON object on one line of printable ASCII, whatever its strings hold."""
    return json.dumps(fields, default=str).replace("\x7f", "\\u007f")


def event(level: str, logger: str, message: str, created: float | None = None, **fields: Any) -> str:
    """Return the JSON line of an event; `created` is in seconds since 1970, None means now."""
    when = datetime.now(UTC) if created is None else datetime.fromtimestamp(created, UTC)
    time = when.isoformat(timespec="milliseconds")
    known = {"time": time, "level": level, "logger": logger, "message": message}
    return json_line({**dict.fromkeys(FIELDS), **known, **fields})


class JsonFormatter(logging.Formatter):
    """Records as JSON lines; a traceback is one more field, `error`."""

    def __init__(self, host: str, context: Context = dict) -> None:
        super().__init__()
        self._host = host
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        own = {name: record.__dict__[name] for name in FIELDS[4:7] if name in record.__dict__}
        fields: dict[str, Any] = {"host": self._host, **self._context(), **own}
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return event(record.levelname, record.name, _message(record), record.created, **fields)


class EscapedFormatter(logging.Formatter):
    """Another formatter's text on one line: its control characters and line ends are written as escapes."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        try:
            return escape(self._inner.format(record))
        except (TypeError, ValueError, KeyError):
            return escape(f"{record.levelname} {record.name}: {_message(record)}")


def formatter(
    style: str, host: str, inner: logging.Formatter | None = None, context: Context = dict
) -> logging.Formatter:
    """Return the formatter of a style; `inner` makes the text of the console style."""
    if style == Style.JSON:
        return JsonFormatter(host, context)
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    return EscapedFormatter(inner or plain)


def _message(record: logging.LogRecord) -> str:
    # A record whose words and arguments do not fit is still an event.
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args!r}"
