r"""Logs of applications, with the stack traces of Java and Python behind their records.

Forms: `2026-11-24 12:00:00,123 LEVEL logger - message` (log4j, logback), `time - logger - LEVEL - message`
(Python's usual), `time LEVEL process --- [thread] logger : message` (Spring Boot), and `time LEVEL message`;
a thread in brackets may stand before the level or behind it. Every other line continues the record before.
"""

import re
from datetime import datetime
from typing import Any

from pipeline.errors import RejectedLine
from pipeline.formats.fields import decode
from pipeline.formats.line import LineFormat
from pipeline.formats.times import moment

TIME = re.compile(
    r"\[?(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?[+-]\d\d:?\d\d)?)\]?(?= |:|$)",
    re.ASCII,
)
LEVEL = (
    r"\[?(?P<level>TRACE|FINEST|FINER|FINE|DEBUG|CONFIG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|CRITICAL|FATAL"
    r"|trace|debug|info|notice|warn|warning|error|critical|fatal)\]?"
)
THREAD = r"(?:\[(?P<thread>[^\]]{1,255})\] +)?"
LOGGER, MESSAGE = r"(?P<logger>[\w.$/\[\]-]{1,255})", r"(?P<message>.*)"
#: Newer Spring Boot writes its name before the thread.
APPLICATION_NAME = r"(?:\[[^\]]{1,255}\] +(?=\[))?"
#: What may follow the time; the first that fits counts.
FORMS = [
    re.compile(form, re.ASCII | re.DOTALL)
    for form in (
        rf" +{LEVEL} +(?P<process>\d{{1,18}}) --- {APPLICATION_NAME}{THREAD}{LOGGER} *: {MESSAGE}",
        rf" - (?P<logger>\S{{1,255}}) - {LEVEL} - {MESSAGE}",
        rf":? +{THREAD}{LEVEL}:? +{THREAD.replace('thread', 'thread2')}{LOGGER}(?: -|:) {MESSAGE}",
        rf":?(?: -)? +{THREAD}{LEVEL}:?(?: -)?(?: +{MESSAGE})?",
    )
]


def read(line: bytes, at: datetime) -> dict[str, Any]:  # noqa: ARG001 - its times have their year
    """Return the values of the first line of a record.

    Raises:
        RejectedLine: it does not begin with a time and a level.
    """
    text = decode(line)
    head = TIME.match(text)
    if head is None:
        raise RejectedLine('expected "time" at byte 0', 0)
    try:
        values = moment(head[1]).columns()
    except ValueError as error:
        raise RejectedLine(f"time {head[1]!r} does not exist: {error}", head.start(1)) from None
    for form in FORMS:
        if match := form.fullmatch(text, head.end()):
            return values | _said(match.groupdict())
    raise RejectedLine(f'expected "level" at byte {head.end()}', head.end())


def _said(groups: dict[str, str | None]) -> dict[str, Any]:
    thread = (groups.get("thread") or groups.get("thread2") or "").strip(" ")
    process = groups.get("process")
    return {
        "level": groups["level"],
        "program": groups.get("logger"),
        "process_id": int(process) if process else None,
        "message": groups["message"] or "",
        "extra": {"thread": thread} if thread else None,
    }


APPLICATION = LineFormat(
    "application",
    1,
    (
        *("timestamp", "utc_offset_minutes", "inferred", "level", "program", "process_id"),
        *("message", "continues", "extra"),
    ),
    read,
    "log of an application, with the stack traces of Java and Python",
    b"2026-11-24 12:00:00,123 ERROR com.example.Shop - order 4711 failed",
    "time level logger - message, and every line after it that begins with no time",
    # With what looks like a time, a line stands for itself, or is rejected.
    continuation=re.compile(rb"(?!\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d)"),
)
