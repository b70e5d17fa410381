"""Requests with text that no honest one has, by address and rule."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.detect.observed import Lines, Record, Text
from pipeline.detect.patterns import Patterns
from pipeline.detect.rules import Pattern
from pipeline.detect.sighting import Sighting

#: Lines of a sighting that are named; characters of the first request that are told.
MOST_OFFSETS, SHOWN_CHARACTERS = 5, 120


@dataclass(slots=True)
class _Hits:
    """Of one rule and address."""

    first: Text
    since: datetime
    until: datetime
    offsets: list[int] = field(default_factory=list)
    statuses: Counter[int | None] = field(default_factory=Counter)


def intrusions(lines: Lines, patterns: Patterns) -> Iterator[Sighting]:
    """Yield what has one of the patterns: a sighting for each rule and address."""
    suspicious = {
        text: found for text in lines.texts() if (found := patterns.found(text.field, text.text, text.query))
    }
    if not suspicious:
        return
    hits: dict[tuple[str, str], _Hits] = {}
    rules: dict[str, Pattern] = {}
    for text, record in lines.records(list(suspicious)):
        for rule in suspicious[text]:
            if rule.statuses is None or record.status in rule.statuses:
                rules[rule.name] = rule
                _add(hits, (rule.name, record.address), text, record)
    for (name, address), own in hits.items():
        yield _sighting(rules[name], address, own)


def _add(hits: dict[tuple[str, str], _Hits], key: tuple[str, str], text: Text, record: Record) -> None:
    own = hits.setdefault(key, _Hits(text, record.moment, record.moment))
    own.since, own.until = min(own.since, record.moment), max(own.until, record.moment)
    if record.offset not in own.offsets[-1:]:  # a line may have the pattern in several fields
        own.statuses[record.status] += 1
        if len(own.offsets) < MOST_OFFSETS:
            own.offsets.append(record.offset)


def _sighting(rule: Pattern, address: str, found: _Hits) -> Sighting:
    count = found.statuses.total()
    shown = found.first.text if found.first.query is None else f"{found.first.text}?{found.first.query}"
    answers = ", ".join(
        f"{status or 'no status'} ({times})" for status, times in found.statuses.most_common(4)
    )
    summary = f"{rule.meaning}: {count} by {address}, answered {answers}; first {shown[:SHOWN_CHARACTERS]}"
    return Sighting(
        "security",
        rule.name,
        rule.severity,
        address,
        found.since,
        found.until,
        count,
        summary,
        tuple(found.offsets),
    )
