"""Much of the same within minutes by address or user: failed logins, missing paths, missing agents."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.detect.observed import UNKNOWN, Counted, Lines
from pipeline.detect.rules import Burst, Rules
from pipeline.detect.sighting import Sighting

#: Addresses or users of a rule that are remembered; those that were quiet longest are forgotten.
MOST_KEYS = 2000
#: Share of an address's requests that must miss: a visitor of a broken page finds others.
MISSING_SHARE = 0.5
#: Share of a source's requests that have an agent, where one without is odd.
AGENT_SHARE = 0.5

Key = tuple[str, str]


class Bursts:
    """The counts of the last minutes by rule and key; as JSON they go on after a restart."""

    def __init__(self, rules: Rules, stored: Any = None) -> None:
        self._rules = rules.bursts
        # By rule and key, the one counted last at the end: minute since the epoch → count, told of it.
        self._counts: dict[Key, dict[int, list[int]]] = {
            (rule, key): {minute: [count, told] for minute, count, told in counts}
            for rule, key, counts in stored or ()
        }

    def as_json(self) -> Any:
        """Return what is remembered as JSON takes it."""
        return [
            [rule, key, [[minute, *counts] for minute, counts in own.items()]]
            for (rule, key), own in self._counts.items()
        ]

    def sightings(self, lines: Lines) -> Iterator[Sighting]:
        """Count further lines; yield what exceeds a rule."""
        if rule := self._rules.get("brute-force"):
            paths = {each.text for each in lines.texts() if each.field == "url"}
            logins = lines.logins([path for path in sorted(paths) if _is_login(rule, path)])
            yield from self._exceeding(rule, ((each.address, each) for each in logins))
            if by_user := self._rules.get("brute-force-user"):
                yield from self._exceeding(by_user, ((each.user, each) for each in logins))
        if rule := self._rules.get("scan"):
            yield from self._scans(rule, lines)
        if rule := self._rules.get("empty-agent"):
            yield from self._agentless(rule, lines)

    def _scans(self, rule: Burst, lines: Lines) -> Iterator[Sighting]:
        # Each path once a minute: the same missing image again and again is no scan.
        once = {
            (each.address, each.minute, zlib.crc32(each.path.encode(errors="replace"))): each
            for each in lines.missing()
        }
        found = list(self._exceeding(rule, ((each.address, each) for each in once.values()), each_once=True))
        if not found:
            return
        all_of, missing = lines.addresses(), _by_address(lines.missing())
        for sighting in found:
            if missing.get(sighting.subject, 0) >= MISSING_SHARE * all_of.get(sighting.subject, 0):
                yield sighting

    def _agentless(self, rule: Burst, lines: Lines) -> Iterator[Sighting]:
        with_agent = sum(text.count for text in lines.texts() if text.field == "agent")
        if with_agent >= AGENT_SHARE * lines.count:
            yield from self._exceeding(rule, ((each.address, each) for each in lines.agentless()))

    def _exceeding(
        self, rule: Burst, counted: Iterable[tuple[str, Counted]], *, each_once: bool = False
    ) -> Iterator[Sighting]:
        touched: dict[str, list[Counted]] = {}
        for key, each in counted:
            if key not in {UNKNOWN, ""}:
                own = self._counts.pop((rule.name, key), {})
                self._counts[rule.name, key] = own
                own.setdefault(_number(each.minute), [0, 0])[0] += 1 if each_once else each.count
                touched.setdefault(key, []).append(each)
        for key, lines in touched.items():
            if (sighting := self._judged(rule, key, lines)) is not None:
                yield sighting
        self._forget(rule)

    def _judged(self, rule: Burst, key: str, lines: Sequence[Counted]) -> Sighting | None:
        own = self._counts[rule.name, key]
        exceeding: set[int] = set()
        for last in {_number(each.minute) for each in lines}:
            window = [minute for minute in own if last - rule.minutes < minute <= last]
            if sum(own[minute][0] for minute in window) >= rule.least:
                exceeding.update(window)
        untold = sum(own[minute][0] - own[minute][1] for minute in exceeding)
        if not untold:
            return None
        for minute in exceeding:
            own[minute][1] = own[minute][0]
        offsets = tuple(sorted(each.offset for each in lines)[:3])
        since, until = (_moment(pick(exceeding)) for pick in (min, max))
        summary = f"{rule.meaning}: {untold} for {key} within {rule.minutes} minutes or longer"
        return Sighting("security", rule.name, rule.severity, key, since, until, untold, summary, offsets)

    def _forget(self, rule: Burst) -> None:
        """Drop minutes that no window reaches any more, and the keys seen longest ago."""
        own = [key for key in self._counts if key[0] == rule.name]
        if not own:
            return
        newest = max(max(self._counts[key]) for key in own)
        for key in own:
            kept = {m: counts for m, counts in self._counts[key].items() if m > newest - rule.minutes}
            if kept:
                self._counts[key] = kept
            else:
                del self._counts[key]
        own = [key for key in own if key in self._counts]
        for key in own[: max(0, len(own) - MOST_KEYS)]:
            del self._counts[key]


def _is_login(rule: Burst, path: str) -> bool:
    lower = path.lower()
    return any(each.search(lower) for each in rule.paths)


def _by_address(counted: Sequence[Counted]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in counted:
        found[each.address] = found.get(each.address, 0) + each.count
    return found


def _number(minute: datetime) -> int:
    return int(minute.timestamp() // 60)


def _moment(number: int) -> datetime:
    return datetime.fromtimestamp(60 * number, UTC)
