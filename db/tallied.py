"""Tallies of segments added up, into the tables of counts."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from operator import add
from typing import Any

import msgpack  # type: ignore[import-untyped]
import zstandard
from sqlalchemy import Connection

from db import sketches, visitors
from db.bulk import insert_rows
from db.durations import PARTS
from db.traffic import EPOCH, ERROR, FIRST_ERROR, NO_STATUS, VALUES, TrafficDay, TrafficLatency, TrafficMinute

#: How many say how long they took, and how long.
_UNTIMED = (0, 0)
_FIRST_DAY = EPOCH.date()
_Sums = dict[tuple[Any, ...], tuple[int, ...]]


class Tallied:
    """The sum of some tallies."""

    def __init__(self) -> None:
        self._minutes: _Sums = {}
        self._days: _Sums = {}
        self._latencies: _Sums = {}
        self._sketches: dict[visitors.Hour, list[bytes]] = defaultdict(list)

    def add(self, source_id: int, tally: bytes) -> None:
        """Add what a segment of a source adds to the counts."""
        for packed in msgpack.unpackb(tally):
            section = msgpack.unpackb(zstandard.decompress(packed))
            self._add_minutes(source_id, section["minutes"])
            for kind in section.keys() & VALUES.keys():
                self._add_values(source_id, kind, section[kind])
            for part in section.keys() & PARTS.keys():
                self._add_latencies(source_id, part, section[part])
            for hour, sketch in section.get("visitors", ()):
                self._sketches[EPOCH + timedelta(hours=hour), source_id].append(sketches.unpacked(sketch))

    def _add_minutes(self, source_id: int, columns: list[Any]) -> None:
        for minute, status, method, host, *sums in _rows(columns):
            _add(self._minutes, (minute, source_id, _status(status), method, host), sums)

    def _add_values(self, source_id: int, kind: str, columns: list[Any]) -> None:
        if kind == "path":
            for day, value, status, hits, size, *took in _rows(columns):
                _add(self._days, (day, source_id, kind, value, None), (hits, size, *(took or _UNTIMED)))
                if status >= FIRST_ERROR:
                    _add(self._days, (day, source_id, ERROR, value, status), (hits, size, *_UNTIMED))
        else:
            for day, value, *sums in _rows(columns):
                _add(self._days, (day, source_id, kind, value, None), (*sums, *_UNTIMED))

    def _add_latencies(self, source_id: int, part: str, columns: list[Any]) -> None:
        for hour, host, bucket, *sums in _rows(columns):
            _add(self._latencies, (hour, source_id, part, host, bucket), sums)

    def insert(self, connection: Connection) -> None:
        """Insert the sums into the tables of counts."""
        insert_rows(
            connection,
            TrafficMinute,
            ("minute", "source_id", "status", "rest_method", "host", "hits", "bytes"),
            ((EPOCH + timedelta(minutes=at), *key, *sums) for (at, *key), sums in self._minutes.items()),
        )
        insert_rows(
            connection,
            TrafficDay,
            ("day", "source_id", "kind", "value", "status", "hits", "bytes", "timed", "microseconds"),
            (
                (_FIRST_DAY + timedelta(days=at), *key, *sums, timed or None, spent if timed else None)
                for (at, *key), (*sums, timed, spent) in self._days.items()
            ),
        )
        insert_rows(
            connection,
            TrafficLatency,
            ("hour", "source_id", "part", "host", "bucket", "hits"),
            ((EPOCH + timedelta(hours=at), *key, *sums) for (at, *key), sums in self._latencies.items()),
        )
        visitors.keep(connection, {hour: sketches.merged(found) for hour, found in self._sketches.items()})


def _rows(columns: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    told = (_unpacked(column) if isinstance(column, bytes) else column for column in columns)
    return zip(*told, strict=True)


def _status(told: int) -> int | None:
    return None if told == NO_STATUS else told


def _unpacked(column: bytes) -> "array[int]":
    return array(chr(column[0]), column[1:])


def _add(sums: _Sums, key: tuple[Any, ...], added: Iterable[int]) -> None:
    before = sums.get(key)
    sums[key] = tuple(added) if before is None else tuple(map(add, before, added))
