"""More errors, slower answers, more or fewer lines than is usual for a source at that time of day."""

import math
from collections.abc import Iterator
from statistics import fmean, median, quantiles
from typing import Any

from pipeline.detect.interval import CLASSES, Interval, Intervals
from pipeline.detect.observed import UNKNOWN, Lines
from pipeline.detect.rules import Change, Rules
from pipeline.detect.sighting import Sighting
from pipeline.detect.usual import Usual, logarithm, root, share

#: Fewest lines of which a share is judged.
FEWEST = 40
#: Subject of what is about a whole source.
ALL = "all lines"
#: Least time that is told apart, in seconds.
LEAST_SECONDS = 0.001
#: Hosts and paths that a summary names.
MOST_NAMED = 3


class Changes:
    """The judge of intervals; as JSON it goes on after a restart."""

    def __init__(self, rules: Rules, stored: Any = None) -> None:
        stored = stored or {}
        self._rules = rules.changes
        self._intervals = Intervals(stored.get("intervals"))
        self._usual = Usual(stored.get("usual"))

    def as_json(self) -> Any:
        """Return what is known as JSON takes it."""
        return {"intervals": self._intervals.as_json(), "usual": self._usual.as_json()}

    def sightings(self, lines: Lines) -> Iterator[Sighting]:
        """Gather further lines; yield what is unusual in the intervals that are over."""
        for interval in self._intervals.over(lines):
            yield from self._rate(interval)
            for kind in CLASSES:
                yield from self._errors(interval, kind)
            yield from self._times(interval)
            self._usual.intervals += 1

    def _rate(self, interval: Interval) -> Iterator[Sighting]:
        count = interval.lines
        judged = self._usual.judge("rate", ALL, root(count), interval.since)
        usual = max(judged.usual, 0) ** 2
        surge, drop = self._rules.get("surge"), self._rules.get("drop")
        summary = f"{count} lines in 5 minutes, usual are {usual:.0f}"
        if not judged.known:
            return
        if surge and _rose(surge, count, usual, judged.deviations):
            yield _sighting("performance", surge, ALL, interval, count, summary)
        fell = drop and usual >= drop.least and count <= drop.factor * usual
        if drop and fell and -judged.deviations >= drop.deviations:
            yield _sighting("performance", drop, ALL, interval, count, summary)

    def _errors(self, interval: Interval, kind: int) -> Iterator[Sighting]:
        every = {ALL: (interval.errors(kind), interval.lines)}
        hosts = {f"host {h}": (c[kind - 3], c[0]) for h, c in interval.hosts.items() if h != UNKNOWN}
        found = list(self._shares(interval, kind, every))
        among_hosts = list(self._shares(interval, kind, hosts))
        among_paths = list(self._paths(interval, kind))
        # The widest that is unusual names what is in it: not the same thing three times.
        yield from found or among_hosts or among_paths

    def _shares(
        self, interval: Interval, kind: int, counts: dict[str, tuple[int, int]]
    ) -> Iterator[Sighting]:
        rule = self._rules.get("error-spike")
        for subject, (errors, lines) in counts.items():
            if lines < FEWEST or rule is None:
                continue
            judged = self._usual.judge(f"{kind}xx", subject, share(errors, lines), interval.since)
            usual = math.sin(max(judged.usual, 0)) ** 2
            if judged.known and _rose(rule, errors, usual * lines, judged.deviations):
                summary = (
                    f"{errors} of {lines} with {kind}xx ({errors / lines:.1%}), usual are {usual:.1%}; "
                    f"most on {_named(interval.failed.get(str(kind), {}))}"
                )
                yield _sighting("error", rule, f"{kind}xx, {subject}", interval, errors, summary, kind)

    def _paths(self, interval: Interval, kind: int) -> Iterator[Sighting]:
        rule, lines = self._rules.get("error-spike"), interval.lines
        if rule is None or lines < FEWEST:
            return
        counts, name = interval.failed.get(str(kind), {}), f"{kind}xx by path"
        for path in {**dict.fromkeys(self._usual.subjects(name)), **counts}:
            errors = counts.get(path, 0)
            # Of all lines: where there are more of everything, there are more errors.
            measure = share(errors, lines)
            judged = self._usual.judge(name, path, measure, interval.since, was_nothing=True)
            usual = lines * math.sin(max(judged.usual, 0)) ** 2
            if judged.known and _rose(rule, errors, usual, judged.deviations):
                summary = f"{errors} with {kind}xx in 5 minutes on {path}, usual are {usual:.1f}"
                yield _sighting("error", rule, f"{kind}xx, path {path}", interval, errors, summary, kind)

    def _times(self, interval: Interval) -> Iterator[Sighting]:
        rule = self._rules.get("slow")
        if rule is None:
            return
        every = [seconds for times in interval.times.values() for seconds in times]
        found = list(self._slow(rule, interval, ALL, every))
        of_paths = [
            sighting
            for path, times in interval.times.items()
            for sighting in self._slow(rule, interval, f"path {path}", times)
        ]
        yield from found or of_paths

    def _slow(self, rule: Change, interval: Interval, subject: str, times: list[float]) -> Iterator[Sighting]:
        if len(times) < rule.least:
            return
        mean = fmean(math.log(max(seconds, LEAST_SECONDS)) for seconds in times)
        judged = self._usual.judge("times", subject, logarithm(mean, len(times)), interval.since)
        usual = math.exp(judged.usual)
        if not judged.known or judged.deviations < rule.deviations:
            return
        if math.exp(mean) >= rule.factor * usual:
            slowest = {path: median(each) for path, each in interval.times.items() if len(each) >= MOST_NAMED}
            named = sorted(slowest.items(), key=lambda each: -each[1])[:MOST_NAMED]
            summary = (
                f"median {median(times):.3f} s, 95th percentile {quantiles(times, n=20)[-1]:.3f} s, mean "
                f"{math.exp(mean):.3f} s where {usual:.3f} s is usual; slowest "
                + ", ".join(f"{path} ({seconds:.3f} s)" for path, seconds in named)
            )
            yield _sighting("performance", rule, subject, interval, len(times), summary)


def _rose(rule: Change, count: int, usual: float, deviations: float) -> bool:
    return count >= rule.least and count >= rule.factor * usual and deviations >= rule.deviations


def _named(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda each: -each[1])[:MOST_NAMED]
    return ", ".join(f"{path or UNKNOWN} ({count})" for path, count in most) or UNKNOWN


def _sighting(  # noqa: PLR0917 - what a sighting is made of
    kind: str,
    rule: Change,
    subject: str,
    interval: Interval,
    count: int,
    summary: str,
    errors: int | None = None,
) -> Sighting:
    offsets = interval.offsets.get(str(errors), [])
    return Sighting(
        kind, rule.name, rule.severity, subject, interval.since, interval.until, count,
        f"{rule.meaning}: {summary}", tuple(offsets),
    )  # fmt: skip
