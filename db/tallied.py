"""Tallies of segments added up, into the tables of counts."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import accumulate, chain
from operator import add
from typing import Any, TypeVar

import msgpack  # type: ignore[import-untyped]
import zstandard
from sqlalchemy import Connection

from db import minutes, sketches, visitors
from db.bulk import insert_rows
from db.durations import LOWER_ENDS, PARTS
from db.traffic import (
    EPOCH,
    ERROR,
    FIRST_ERROR,
    NO_STATUS,
    TALLY_VERSION,
    VALUES,
    TrafficDay,
    TrafficLatency,
    TrafficMinute,
)

#: How many say how long they took, and how long.
_UNTIMED = (0, 0)
_FIRST_DAY = EPOCH.date()
_Sums = dict[tuple[Any, ...], tuple[int, ...]]
_Part = TypeVar("_Part")


class Tallied:
    """The sum of some tallies."""

    def __init__(self) -> None:
        self._minutes: _Sums = {}
        self._days: _Sums = {}
        self._latencies: dict[minutes.LatencyKey, minutes.Histogram] = {}
        self._visitors: dict[minutes.VisitorKey, sketches.Places] = {}

    def add(self, source_id: int, tally: bytes) -> bool:
        """Add what a segment of a source adds to the counts; return False for a tally of another version."""
        version, *parts = msgpack.unpackb(tally) or [None]
        if version != TALLY_VERSION:
            return False
        for packed in parts:
            section = msgpack.unpackb(zstandard.decompress(packed))
            self._add_minutes(source_id, section["minutes"])
            for kind in section.keys() & VALUES.keys():
                self._add_values(source_id, kind, section[kind])
            for part in section.keys() & PARTS.keys():
                self._add_latencies(source_id, part, section[part])
            if "visitors" in section:
                self._add_visitors(source_id, section["visitors"])
        return True

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
        hosts, *told = columns
        for host, (minute, found) in zip(hosts, _bunches(*map(_unpacked, told)), strict=True):
            key = (minute, source_id, part, host)
            known = self._latencies.get(key)
            if known is None:
                self._latencies[key] = dict(found)
                continue
            for number, hits in found:
                known[number] = known.get(number, 0) + hits

    def _add_visitors(self, source_id: int, columns: list[Any]) -> None:
        for minute, found in _bunches(*map(_unpacked, columns)):
            known = self._visitors.get((minute, source_id))
            if known is None:
                self._visitors[minute, source_id] = dict(found)
                continue
            for register, run in found:
                if run > known.get(register, 0):
                    known[register] = run

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
            (
                (*key, LOWER_ENDS[number], hits)
                for key, histogram in _by_hour(self._latencies).items()
                for number, hits in minutes.added(histogram).items()
            ),
        )
        minutes.keep_latencies(connection, self._latencies)
        minutes.keep_visitors(connection, self._visitors)
        visitors.keep(
            connection,
            {
                hour: sketches.sketch(chain.from_iterable(each.items() for each in found))
                for hour, found in _by_hour(self._visitors).items()
            },
        )


def _rows(columns: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    told = (_unpacked(column) if isinstance(column, bytes) else column for column in columns)
    return zip(*told, strict=True)


def _bunches(
    minutes_: Iterable[int], counts: Iterable[int], steps: "array[int]", values: "array[int]"
) -> Iterator[tuple[datetime, Iterator[tuple[int, int]]]]:
    """Yield each minute with its pairs of numbers, which stand as steps, and values."""
    at = 0
    for minute, count in zip(minutes_, counts, strict=True):
        numbers = accumulate(steps[at : at + count])
        yield EPOCH + timedelta(minutes=minute), zip(numbers, values[at : at + count], strict=True)
        at += count


def _by_hour(found: Mapping[Any, _Part]) -> dict[Any, list[_Part]]:
    """Return what belongs to keys that begin with a minute by keys that begin with its hour."""
    hours: defaultdict[Any, list[_Part]] = defaultdict(list)
    for (minute, *key), each in found.items():
        hours[minute.replace(minute=0), *key].append(each)
    return hours


def _status(told: int) -> int | None:
    return None if told == NO_STATUS else told


def _unpacked(column: bytes) -> "array[int]":
    return array(chr(column[0]), column[1:])


def _add(sums: _Sums, key: tuple[Any, ...], added: Iterable[int]) -> None:
    before = sums.get(key)
    sums[key] = tuple(added) if before is None else tuple(map(add, before, added))
