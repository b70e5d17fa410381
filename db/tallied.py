"""Tallies of segments added up, into the tables of counts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from itertools import chain, repeat, zip_longest
from operator import add, sub
from typing import Any

from sqlalchemy import Connection

from db import minutes, sections, sketches, visitors
from db.bulk import insert_rows
from db.durations import LOWER_ENDS, PARTS
from db.sections import Section
from db.traffic import (
    EPOCH,
    ERROR,
    FIRST_ERROR,
    VALUES,
    TrafficDay,
    TrafficLatency,
    TrafficMinute,
    class_of,
)

#: How many say how long they took, and how long.
_UNTIMED = (0, 0)
_FIRST_DAY = EPOCH.date()
_Sums = dict[tuple[Any, ...], tuple[int, ...]]
#: Minute, status, method, host, hits, bytes.
_Row = tuple[Any, ...]
_Latencies = dict[minutes.LatencyKey, minutes.Histogram]
_Visitors = dict[minutes.Key, sketches.Places]


class _Keys(dict[int, minutes.Key]):
    """Keys of durations and visitors by the numbers of rows."""

    def __init__(self, source_id: int, rows: Sequence[_Row]) -> None:
        super().__init__()
        self._source_id, self._rows = source_id, rows

    def __missing__(self, number: int) -> minutes.Key:
        minute, status, method, host, *_ = self._rows[number]
        at = EPOCH + timedelta(minutes=minute)
        key = self[number] = (at, self._source_id, host, class_of(sections.status(status)), method)
        return key


class Tallied:
    """The sum of some tallies."""

    def __init__(self) -> None:
        self._minutes: _Sums = {}
        self._days: _Sums = {}
        self._latencies: _Latencies = {}
        self._visitors: _Visitors = {}

    def add(self, source_id: int, tally: bytes) -> bool:
        """Add what a segment of a source adds to the counts; return False for a tally of another version."""
        if not sections.is_current(tally):
            return False
        for section in sections.parts(tally):
            self.add_section(source_id, section, section.keys())
        return True

    def add_section(self, source_id: int, section: Section, kinds: AbstractSet[str]) -> None:
        """Add some kinds of what a section of a tally holds."""
        kinds = section.keys() & kinds
        rows = list(sections.rows(section.get("minutes", ())))
        keys = _Keys(source_id, rows)
        if "minutes" in kinds:
            self._add_minutes(source_id, rows)
        for kind in kinds & VALUES.keys():
            self._add_values(source_id, kind, section[kind])
        for part in kinds & PARTS.keys():
            self._add_latencies(part, keys, section[part])
        if "visitors" in kinds:
            self._add_visitors(keys, section["visitors"])

    def subtract(self, other: "Tallied") -> set[visitors.Hour]:
        """Take away another sum, and return the hours that had visitors in it who are not in this one."""
        their_minutes, their_days, latencies, visitors_ = other.sums()
        for sums, theirs in ((self._minutes, their_minutes), (self._days, their_days)):
            for key, taken in theirs.items():
                had = sums.get(key)
                if had == taken:
                    del sums[key]
                else:
                    sums[key] = tuple(map(sub, had or repeat(0), taken))
        for timed, histogram in latencies.items():
            negative = {number: -hits for number, hits in histogram.items()}
            self._latencies[timed] = minutes.added((self._latencies.get(timed, {}), negative))
        lost = set()
        for at, places in visitors_.items():
            own = self._visitors.get(at, {})
            if any(run > own.get(register, 0) for register, run in places.items()):
                lost.add((at[0].replace(minute=0), at[1]))
            elif own == places:
                self._visitors.pop(at, None)
        return lost

    def sums(self) -> tuple[_Sums, _Sums, _Latencies, _Visitors]:
        """Return the sums: hits and bytes by minute and by day, durations, visitors."""
        return self._minutes, self._days, self._latencies, self._visitors

    def _add_minutes(self, source_id: int, rows: Iterable[_Row]) -> None:
        for minute, status, method, host, *sums in rows:
            _add(self._minutes, (minute, source_id, sections.status(status), method, host), sums)

    def _add_values(self, source_id: int, kind: str, columns: list[Any]) -> None:
        if kind == "path":
            for day, value, status, hits, size, *took in sections.rows(columns):
                _add(self._days, (day, source_id, kind, value, None), (hits, size, *(took or _UNTIMED)))
                if status >= FIRST_ERROR:
                    _add(self._days, (day, source_id, ERROR, value, status), (hits, size, *_UNTIMED))
        else:
            for day, value, *sums in sections.rows(columns):
                _add(self._days, (day, source_id, kind, value, None), (*sums, *_UNTIMED))

    def _add_latencies(self, part: str, keys: _Keys, columns: list[bytes]) -> None:
        for group, found in sections.bunches(*map(sections.unpacked, columns)):
            key = part, keys[group]
            known = self._latencies.get(key)
            if known is None:
                self._latencies[key] = dict(found)
                continue
            for number, hits in found:
                known[number] = known.get(number, 0) + hits

    def _add_visitors(self, keys: _Keys, columns: list[bytes]) -> None:
        for group, found in sections.bunches(*map(sections.unpacked, columns)):
            key = keys[group]
            known = self._visitors.get(key)
            if known is None:
                self._visitors[key] = dict(found)
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
                (_FIRST_DAY + timedelta(days=at), *key, *sums, *(took if any(took) else (None, None)))
                for (at, *key), (*sums, timed, spent) in self._days.items()
                for took in ((timed, spent),)
            ),
        )
        insert_rows(
            connection,
            TrafficLatency,
            ("part", "hour", "source_id", "host", "bucket", "hits"),
            (
                (*key, LOWER_ENDS[number], hits)
                for key, histogram in self._latencies_by_hour().items()
                for number, hits in minutes.added(histogram).items()
            ),
        )
        minutes.keep_latencies(connection, self._latencies)
        minutes.keep_visitors(connection, self._visitors)
        visitors.keep(
            connection,
            {
                hour: sketches.sketch(chain.from_iterable(each.items() for each in found))
                for hour, found in self._visitors_by_hour().items()
            },
        )

    def _latencies_by_hour(self) -> Mapping[Any, list[minutes.Histogram]]:
        hours = defaultdict(list)
        for (part, (minute, source_id, host, *_)), histogram in self._latencies.items():
            hours[part, minute.replace(minute=0), source_id, host].append(histogram)
        return hours

    def _visitors_by_hour(self) -> Mapping[visitors.Hour, list[sketches.Places]]:
        hours = defaultdict(list)
        for (minute, source_id, *_), places in self._visitors.items():
            hours[minute.replace(minute=0), source_id].append(places)
        return hours


def difference(source_id: int, tally: bytes, other: bytes) -> tuple[Tallied, set[visitors.Hour]]:
    """Return what a tally of a source adds to the counts more, or less, than another one.

    Visitors cannot be less: beside it stand the hours of those who are in the other one alone.
    """
    own, theirs = Tallied(), Tallied()
    nothing: Section = {}
    for section, before in zip_longest(sections.parts(tally), sections.parts(other), fillvalue=nothing):
        # The same records stand in the same order (tally.py): what did not change is not looked at again.
        changed = {kind for kind in section.keys() | before.keys() if section.get(kind) != before.get(kind)}
        if "minutes" in changed:  # whose rows tell the keys of these
            changed |= {"visitors", *PARTS}
        own.add_section(source_id, section, changed)
        theirs.add_section(source_id, before, changed)
    return own, own.subtract(theirs)


def _add(sums: _Sums, key: tuple[Any, ...], added: Iterable[int]) -> None:
    before = sums.get(key)
    sums[key] = tuple(added) if before is None else tuple(map(add, before, added))
