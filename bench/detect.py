"""How well the detections tell attacks from honest requests, and changes from chance; what a look costs."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Engine

from bench.labelled import Labels, labelled, unseen
from bench.report import Report
from bench.rhythm import Site
from bench.servers import scratch
from db import schema
from db.detecting import Look
from db.engine import make_engine
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli import output
from pipeline.detect.changes import Changes
from pipeline.detect.rules import Rules, load
from pipeline.detect.sighting import Sighting
from pipeline.generate import generate_blocks

#: Lines of the generated log, all honest, at most.
HONEST_LINES = 200_000
#: Minutes before a change, and after it, in which it must be told.
BEFORE, AFTER = 3 * 1440, 40
#: Lines of one day of a site, and most days without a change.
DAY_LINES, MOST_DAYS = 170_000, 60
#: Columns of the samples that were written after the rules.
_LATER = ("unseen", "found then", "wrong then", "precision then", "recall then")
#: What each rule of changes must tell of: what happens to a site.
CHANGES: dict[str, Callable[[Site], None]] = {
    "error-spike": lambda site: setattr(site, "server_errors", 0.05),
    "slow": lambda site: setattr(site, "seconds", 3 * site.seconds),
    "surge": lambda site: setattr(site, "rate", 8 * site.rate),
    "drop": lambda site: setattr(site, "rate", 0.05 * site.rate),
}


@dataclass
class Score:
    """Of one rule: samples that it told of rightly, those it missed, and those it told of wrongly."""

    found: int = 0
    missed: int = 0
    wrong: int = 0

    def columns(self) -> tuple[object, ...]:
        """Return samples, found, wrong, precision and recall."""
        return self.found + self.missed, self.found, self.wrong, self.precision, self.recall

    @property
    def precision(self) -> float | None:
        """Share of what was told that is right."""
        told = self.found + self.wrong
        return self.found / told if told else None

    @property
    def recall(self) -> float | None:
        """Share of the samples that was told."""
        samples = self.found + self.missed
        return self.found / samples if samples else None


def detect(lines: int, runs: int) -> Report:
    """Score the rules on labelled samples, on generated lines that are all honest, and on sites that change.

    `lines` is how many lines the sites without a change have, and bounds the generated ones; `runs` is how
    many sites change in each way.
    """
    rules = load()
    scores, misses = _scored(labelled(), rules)
    later, later_misses = _scored(unseen(), rules)
    honest = _honest(min(lines, HONEST_LINES), rules)
    rows: list[list[object]] = [
        [rule, *each.columns(), *later[rule].columns(), None] for rule, each in scores.items()
    ]
    changed = {
        rule: [_delay(rule, change, run, rules) for run in range(runs)] for rule, change in CHANGES.items()
    }
    days = max(1, min(lines // DAY_LINES, MOST_DAYS))
    false = _steady(days, rules)
    for rule, delays in changed.items():
        known = [delay for delay in delays if delay is not None]
        late = statistics.median(known) if known else None
        rows.append([rule, runs, len(known), false[rule], None, len(known) / runs, *([None] * 5), late])
    return _report(rows, [*misses, *later_misses], days, false, (min(lines, HONEST_LINES), *honest))


def _store(engine: Engine, name: str, format_: str, parts: Iterable[bytes]) -> None:
    source, place = Source(name.encode().hex().ljust(32, "0"), "bench", f"/{name}.log", format=format_), 0
    for block in parts:
        for stage in (LakeStore, CleanStore):
            stage(engine).store(Batch(source, place, block))
        place += len(block)


def _look(rules: Rules, fill: Callable[[Engine], None]) -> tuple[list[Any], float, float]:
    """Return what one look at a new database finds, its processor seconds, and those of storing."""
    with scratch() as folder:
        url = f"sqlite:///{folder / 'sluice.db'}"
        schema.upgrade(url)
        engine = make_engine(url)
        began = time.process_time()
        fill(engine)
        stored = time.process_time()
        found = Look(engine, rules).look(3600)
        looked = time.process_time()
        engine.dispose()
    return found, looked - stored, stored - began


def _scored(labels: Labels, rules: Rules) -> tuple[dict[str, Score], list[str]]:
    """Return the score of each rule, and in words what was missed and what was wrong."""

    def fill(engine: Engine) -> None:
        for name, format_, lines in (("web", "combined", labels.lines), ("sshd", "openssh", labels.logins)):
            ordered = sorted(lines, key=lambda each: each[0])
            # A segment a minute, as a log that is followed comes.
            minutes = groupby(ordered, key=lambda each: each[0] // 60)
            _store(engine, name, format_, (b"".join(line for _, line in part) for _, part in minutes))

    output.say(f"labelled samples: {len(labels.right)} addresses and users")
    found, *_ = _look(rules, fill)
    told = {(each.rule, each.subject) for each in found if each.kind == "security"}
    scores = {rule: Score() for rule in (*rules.patterns, *rules.bursts)}
    words = []
    for subject, rule in labels.right.items():
        if rule is None:
            continue
        hit = (rule, subject) in told
        scores[rule].found += hit
        scores[rule].missed += not hit
        if not hit:
            words.append(f"missed by {rule}: {_first(labels, subject)}")
    for rule, subject in sorted(told):
        if rule != labels.right.get(subject) and rule not in labels.also.get(subject, ()):
            scores[rule].wrong += 1
            words.append(f"wrong by {rule}: {_first(labels, subject)}")
    return scores, words


def _first(labels: Labels, subject: str) -> str:
    lines = (line.decode() for _, line in (*labels.lines, *labels.logins))
    return next((line.strip() for line in lines if f"{subject} " in line), subject)


def _honest(lines: int, rules: Rules) -> tuple[Counter[str], float, float]:
    """Return what is told of generated lines by rule, the seconds of a look, and its share of storing."""
    output.say(f"{lines} generated lines without an attack")
    blocks = (b"".join(part) for part in generate_blocks(lines, seed=5))
    found, seconds, stored = _look(rules, lambda engine: _store(engine, "honest", "combined", blocks))
    return Counter(each.rule for each in found), seconds * 1e6 / lines, seconds / stored


def _sightings(site: Site, judge: Changes, minutes: int) -> list[Sighting]:
    return [sighting for _ in range(minutes) for sighting in judge.sightings(site.minute())]


def _delay(rule: str, change: Callable[[Site], None], run: int, rules: Rules) -> int | None:
    """Return the minutes from a change to its sighting, None where it is missed."""
    output.say(f"change: {rule}, run {run + 1}")
    site, judge = Site(run), Changes(rules)
    _sightings(site, judge, BEFORE + 37 * run)
    change(site)
    for minute in range(AFTER):
        if any(each.rule == rule for each in _sightings(site, judge, 1)):
            return minute + 1
    return None


def _steady(days: int, rules: Rules) -> Counter[str]:
    """Return what is told of sites without a change, by rule."""
    output.say(f"{days} days without a change")
    found: Counter[str] = Counter()
    for number in range(-(-days // 10)):
        site, judge = Site(1000 + number, rate=(30, 120, 600)[number % 3]), Changes(rules)
        seen = _sightings(site, judge, 1440 * min(10, days - 10 * number))
        found.update(each.rule for each in seen)
    return found


def _report(
    rows: list[list[object]],
    misses: list[str],
    days: int,
    false: Counter[str],
    honest: tuple[int, Counter[str], float, float],
) -> Report:
    heads = ["rule", "samples", "found", "wrong", "precision", "recall", *_LATER, "minutes"]
    lines, told, seconds, share = honest
    values = {
        "rules": {str(row[0]): dict(zip(heads[1:], row[1:], strict=True)) for row in rows},
        "misses": misses,
        "steady_days": days,
        "steady_sightings": dict(false),
        "honest_lines": lines,
        "honest_findings": dict(told),
        "look_seconds_per_million_lines": seconds,
        "look_share_of_storing": share,
    }
    notes = [
        *misses,
        f"{lines:,} generated lines without an attack: {dict(told) or 'nothing'} told",
        f"{days} days of sites without a change: {dict(false) or 'nothing'} told",
        f"looking took {seconds:.1f} s of processor time per million lines, {share:.0%} of storing them",
    ]
    bars = [(str(row[0]), 100 * row[5]) for row in rows if isinstance(row[5], float)]
    return Report("detect", values, heads, rows, bars, "per cent of the samples found", notes)
