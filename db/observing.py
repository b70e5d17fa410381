"""Answers the questions of the detections (pipeline/detect/observed.py) about stored lines, by SQL."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    case,
    func,
    literal,
    or_,
    select,
    type_coerce,
)
from sqlalchemy import (
    Text as SqlText,
)

from db.columns import Moment
from db.models import CleanRecord
from db.traffic import Condition, as_text, truncated
from db.windows import Stretch, scrambled
from pipeline.detect.observed import UNKNOWN, Counted, Failed, Minute, Record, Said, Text, Timed
from pipeline.formats.openssh import PROGRAMS, tried

#: Values that one statement asks for.
VALUES_AT_ONCE = 200
#: Lines of which times are read, of a stretch.
TIMED_LINES = 2000
#: Longest text that is read, in characters.
TEXT_LENGTH = 4096
#: Statuses of what is not there.
MISSING = (404, 410)
ERROR_LEVELS = ("error", "severe", "critical", "crit", "fatal", "alert", "emerg", "emergency", "panic", "err")
_OWN = CleanRecord
_HOST = func.coalesce(_OWN.server_name, _OWN.host, UNKNOWN)
#: Columns without which some questions need not be asked.
_ASKED = ("path", "query", "user_agent", "referer", "user_name", "status", "duration_seconds", "message")
_FIELDS = {"agent": _OWN.user_agent, "referer": _OWN.referer, "user": _OWN.user_name}


class StoredLines:
    """The records of a stretch of one source."""

    def __init__(self, connection: Connection, source_id: int, stretch: Stretch) -> None:
        self._connection = connection
        self._within = _OWN.within(source_id, stretch.start, stretch.end)
        dialect = connection.dialect.name
        self._minute = truncated("minute", _OWN.timestamp, dialect)
        self._address = func.coalesce(as_text("address", _OWN.ip, dialect), _OWN.client_host, UNKNOWN)

    def _rows(self, columns: Iterable[Any], condition: Condition | None = None) -> Iterator[Any]:
        query = select(*columns).where(self._within)
        return iter(self._all(query if condition is None else query.where(condition)))

    def _all(self, query: Select[Any]) -> Sequence[Any]:
        # At once: one by one, rows cost twice as much.
        return self._connection.execute(query).all()

    def _grouped(self, keys: Sequence[Any], condition: Condition | None = None) -> Sequence[Any]:
        query = select(*keys, func.count(), func.min(_OWN.line_start)).where(self._within).group_by(*keys)
        return self._all(query if condition is None else query.where(condition))

    @cached_property
    def _extent(self) -> dict[str, Any]:
        """How many records there are, up to when, and in how many each column stands.

        Asked first, so that what a format lacks costs nothing.
        """
        counts = [func.count(getattr(_OWN, name)).label(name) for name in _ASKED]
        newest = type_coerce(func.max(_OWN.timestamp), Moment()).label("reached")
        query = select(func.count().label("records"), newest, *counts).where(self._within)
        return dict(self._connection.execute(query).mappings().one())

    @property
    def count(self) -> int:
        """How many records there are."""
        return int(self._extent["records"])

    @property
    def reached(self) -> datetime | None:
        """Time of the newest record."""
        reached: datetime | None = self._extent["reached"]
        return reached

    @cached_property
    def _texts(self) -> list[Text]:
        found: list[Text] = []
        if self._extent["path"] or self._extent["query"]:
            urls = self._grouped(
                [_OWN.path, _OWN.query], or_(_OWN.path.is_not(None), _OWN.query.is_not(None))
            )
            found += [Text("url", row[0] or "", row[1], *row[2:]) for row in urls]
        for field, column in _FIELDS.items():
            if self._extent[column.key]:
                rows = self._grouped([column], column.is_not(None))
                found += [Text(field, row[0], None, *row[1:]) for row in rows]
        return found

    def texts(self) -> Sequence[Text]:
        """Return each distinct text of each field once."""
        return self._texts

    def records(self, texts: Sequence[Text]) -> Iterable[tuple[Text, Record]]:
        """Return the lines that have one of these texts, in their order."""
        found = list(self._having("url", texts))
        for field in _FIELDS:
            found += self._having(field, texts)
        return sorted(found, key=lambda each: each[1].offset)

    def _having(self, field: str, texts: Sequence[Text]) -> Iterator[tuple[Text, Record]]:
        wanted = {(text.text, text.query): text for text in texts if text.field == field}
        column = func.coalesce(_OWN.path, "") if field == "url" else _FIELDS[field]
        query = _OWN.query if field == "url" else literal(None, SqlText())
        columns = [column, query, _OWN.line_start, _OWN.timestamp, self._address, _OWN.status]
        values = sorted({text for text, _ in wanted})
        for place in range(0, len(values), VALUES_AT_ONCE):
            some = values[place : place + VALUES_AT_ONCE]
            for text, rest, *record in self._rows(columns, column.in_(some)):
                if (known := wanted.get((text, rest))) is not None:
                    yield known, Record(*record)

    def logins(self, paths: Sequence[str]) -> Sequence[Counted]:
        """Return failed logins: 401, a POST with 403, one to these paths not answered by 3xx, and sshd's."""
        posted, status = _OWN.rest_method == "POST", _OWN.status
        failed = (status == 401) | (posted & (status == 403))  # noqa: PLR2004 - HTTP's own numbers
        if paths:
            failed |= posted & _OWN.path.in_(sorted(set(paths))) & ~status.between(300, 399)
        requests = self._counted(failed, user=True) if self._extent["status"] else []
        return [*requests, *self._sshd()]

    def _sshd(self) -> Iterator[Counted]:
        said = or_(
            *(_OWN.message.startswith(word) for word in ("Failed ", "Invalid user ", "error: maximum "))
        )
        if not self._extent["message"]:
            return
        columns = [self._minute, _OWN.message, _OWN.line_start]
        for minute, message, offset in self._rows(columns, _OWN.program.in_(PROGRAMS) & said):
            if (who := tried(message)) is not None:
                yield Counted(minute, who[0], who[1], "", 1, offset)

    def missing(self) -> Sequence[Counted]:
        """Return requests for what is not there, by path."""
        return self._missing

    @cached_property
    def _missing(self) -> list[Counted]:
        return self._counted(_OWN.status.in_(MISSING), path=True) if self._extent["status"] else []

    def agentless(self) -> Sequence[Counted]:
        """Return requests without an agent."""
        if self._extent["user_agent"] == self.count:
            return []
        return self._counted(func.coalesce(_OWN.user_agent, "") == "")

    def _counted(self, condition: Condition, *, user: bool = False, path: bool = False) -> list[Counted]:
        keys: list[ColumnElement[Any]] = [self._minute, self._address]
        keys += [func.coalesce(_OWN.user_name, UNKNOWN)] if user else []
        keys += [func.coalesce(_OWN.path, "")] if path else []
        return [
            Counted(row[0], row[1], row[2] if user else UNKNOWN, row[2] if path else "", *row[-2:])
            for row in self._grouped(keys, condition)
        ]

    def addresses(self) -> Mapping[str, int]:
        """Return how many lines each address has."""
        return {row[0]: row[1] for row in self._grouped([self._address])}

    def minutes(self) -> Sequence[Minute]:
        """Return the counts by minute and host."""
        return self._minutes

    @cached_property
    def _minutes(self) -> list[Minute]:
        kinds = [func.sum(case((_OWN.status.between(low, low + 99), 1), else_=0)) for low in (400, 500)]
        keys = (self._minute, _HOST)
        query = select(*keys, func.count(), *kinds).where(self._within).group_by(*keys)
        return [Minute(row[0], row[1], *map(int, row[2:])) for row in self._all(query)]

    def failed(self) -> Sequence[Failed]:
        """Return the counts of errors by minute, path and status."""
        return self._failed

    @cached_property
    def _failed(self) -> list[Failed]:
        if not self._extent["status"]:
            return []
        keys = [self._minute, func.coalesce(_OWN.path, ""), _OWN.status]
        return [Failed(*row) for row in self._grouped(keys, _OWN.status >= 400)]  # noqa: PLR2004 - HTTP's

    def timed(self) -> Sequence[Timed]:
        """Return a sample of requests with their time."""
        if not self._extent["duration_seconds"]:
            return []
        step = max(1, self.count // TIMED_LINES)
        sample = _OWN.duration_seconds.is_not(None) & (scrambled(_OWN.line_start) % step == 0)
        columns = [self._minute, func.coalesce(_OWN.path, ""), _OWN.duration_seconds, _OWN.line_start]
        return [Timed(*row) for row in self._rows(columns, sample)]

    def said(self) -> Sequence[Said]:
        """Return errors of programs, each message of a level once."""
        if not self._extent["message"]:
            return []
        level, message = func.lower(_OWN.level), func.substr(_OWN.message, 1, TEXT_LENGTH)
        bad = level.in_(ERROR_LEVELS) & _OWN.message.is_not(None) & _OWN.continues.is_(None)
        first = type_coerce(func.min(_OWN.timestamp), Moment())
        query = select(first, level, message, func.min(_OWN.line_start)).where(self._within, bad)
        return [Said(*row) for row in self._all(query.group_by(level, message))]
