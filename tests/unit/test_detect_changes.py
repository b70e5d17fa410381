"""Changes: errors, times and rates beside what is usual; first errors; silence."""

import json
import random
import re
from datetime import datetime, timedelta

import pytest

from pipeline.detect.changes import Changes
from pipeline.detect.firsts import Firsts
from pipeline.detect.observed import Failed, Minute, Said, Timed
from pipeline.detect.pauses import LATE, LEAST_FOLLOWED, LEAST_SILENCE, Pauses
from pipeline.detect.rules import load
from pipeline.detect.sighting import Sighting
from tests.unit.observed_lines import MINUTE, NOON, GivenLines

RULES = load()
HOUR = timedelta(hours=1)


class Traffic:
    """Five minutes after another of a site with two hosts, with chance of its own."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self.moment = NOON

    def minutes(
        self,
        count: int,
        lines: int = 60,
        errors: float = 0.02,
        seconds: float = 0.1,
        *,
        host: str = "shop",
        path: str = "/cart/add",
    ) -> list[GivenLines]:
        """Return so many minutes; of one host a share of the lines fails, on one path."""
        return [self._minute(lines, errors, seconds, host, path) for _ in range(count)]

    def _minute(self, lines: int, errors: float, seconds: float, host: str, path: str) -> GivenLines:
        self.moment += MINUTE
        many = max(0, round(self._random.gauss(lines, lines**0.5)))
        bad = sum(self._random.random() < errors for _ in range(many // 2))
        other = sum(self._random.random() < 0.02 for _ in range(many // 2))
        times = [self._random.lognormvariate(0, 0.5) * seconds for _ in range(10)]
        return GivenLines(
            many,
            self.moment,
            given_minutes=[
                Minute(self.moment, host, many // 2, 0, bad),
                Minute(self.moment, "blog", many // 2, 0, other),
            ],
            given_failed=[Failed(self.moment, path, 500, bad, 7)] if bad else [],
            given_timed=[Timed(self.moment, path, each, 9) for each in times],
        )


def changes(lines: list[GivenLines], judge: Changes | None = None) -> list[Sighting]:
    """Return what is unusual in consecutive lines."""
    judge = judge or Changes(RULES)
    return [sighting for each in lines for sighting in judge.sightings(each)]


def test_steady_traffic_is_nothing() -> None:
    """Four days of chance alone give no sighting."""
    assert changes(Traffic().minutes(4 * 1440)) == []


def test_more_errors_than_usual_name_where_they_are() -> None:
    """A rise of the whole is told as that, with the figures and the paths; once it is usual no more."""
    traffic = Traffic()
    found = changes([*traffic.minutes(600), *traffic.minutes(30, errors=0.5)])

    assert {(each.kind, each.rule, each.subject) for each in found} == {
        ("error", "error-spike", "5xx, all lines")
    }
    first = found[0]
    assert NOON + 600 * MINUTE - 5 * MINUTE <= first.since <= NOON + 606 * MINUTE
    assert re.search(r"usual are [12]\.\d%; most on /cart/add \(", first.summary)
    assert first.offsets


def test_a_host_or_a_path_alone() -> None:
    """What a large site hides is seen in its host, and what a host hides on its path."""
    traffic = Traffic()
    small = [
        GivenLines(
            1200,
            traffic.moment + n * MINUTE,
            given_minutes=[
                Minute(traffic.moment + n * MINUTE, "large", 1100, 0, 30),
                Minute(traffic.moment + n * MINUTE, "small", 100, 0, 20 if n >= 300 else 1),
            ],
        )
        for n in range(320)
    ]
    by_path = [
        GivenLines(
            1200,
            traffic.moment + n * MINUTE,
            given_minutes=[Minute(traffic.moment + n * MINUTE, "large", 1200, 0, 30)],
            given_failed=[Failed(traffic.moment + n * MINUTE, "/pay/now/7" if n >= 300 else "/", 500, 30, 5)],
        )
        for n in range(320)
    ]

    assert {each.subject for each in changes(small)} == {"5xx, host small"}
    assert "5xx, path /pay/now" in {each.subject for each in changes(by_path)}


def test_what_is_usual_at_that_time_of_day_is_nothing() -> None:
    """Errors that come each night at the same hour are told in the first nights, and then no more."""
    traffic, found = Traffic(), []
    judge = Changes(RULES)
    for _ in range(5):
        found.append(len(changes(traffic.minutes(20 * 60), judge)))
        found.append(len(changes(traffic.minutes(4 * 60, errors=0.3), judge)))

    assert found[1] > 0
    assert found[-4:] == [0, found[-3], 0, found[-1]]
    assert found[-1] < found[1]


def test_requests_that_take_longer() -> None:
    """Three times the usual is told, with median, percentile and the slowest paths; a third more is not."""
    traffic = Traffic()

    found = changes([*traffic.minutes(300), *traffic.minutes(20, seconds=0.3)])

    assert {(each.kind, each.rule, each.subject) for each in found} == {("performance", "slow", "all lines")}
    assert "slowest /cart/add (0." in found[0].summary
    assert changes([*Traffic(2).minutes(300), *Traffic(3).minutes(20, seconds=0.13)]) == []


@pytest.mark.parametrize(("lines", "rule"), [(600, "surge"), (2, "drop"), (0, "drop")])
def test_many_more_or_fewer_lines(lines: int, rule: str) -> None:
    """Ten times as many, a thirtieth, or none: each is told, as what it is."""
    traffic = Traffic()
    before = traffic.minutes(300)
    after = traffic.minutes(15, lines=lines) if lines else []
    traffic.moment += 15 * MINUTE if not lines else 0 * MINUTE
    found = changes([*before, *after, *traffic.minutes(10)])

    assert {each.rule for each in found} == {rule}
    assert "usual are 3" in found[0].summary or "usual are 2" in found[0].summary


def test_it_goes_on_after_a_restart() -> None:
    """The state as JSON, after each stretch, gives what an unbroken look gives, and stays small."""

    def stream() -> list[GivenLines]:
        traffic = Traffic()
        return [*traffic.minutes(150), *traffic.minutes(10, errors=0.5)]

    judge, found = Changes(RULES), []
    for each in stream():
        found += changes([each], judge)
        state = json.dumps(judge.as_json())
        judge = Changes(RULES, json.loads(state))

    assert found == changes(stream())
    assert found
    assert len(state) < 100_000


def firsts(state: Firsts, *lines: GivenLines) -> list[str]:
    """Return the subjects of what is new in stretches of lines."""
    return [sighting.subject for each in lines for sighting in state.sightings(each)]


def test_errors_of_a_new_kind() -> None:
    """Once a source is known: a status of its own, and one of the server on a path where it repeats."""
    known = GivenLines(20_000, given_failed=[Failed(NOON, "/a", 404, 9, 0), Failed(NOON, "/a", 500, 9, 0)])
    new = GivenLines(
        100,
        given_failed=[
            Failed(NOON, "/b", 404, 90, 0),
            Failed(NOON, "/b", 429, 1, 1),
            Failed(NOON, "/b/c/17/x", 500, 3, 2),
            Failed(NOON, "/once", 500, 1, 3),
        ],
    )
    state = Firsts(RULES)

    assert firsts(state, known) == []
    state = Firsts(RULES, json.loads(json.dumps(state.as_json())))
    assert firsts(state, new, new) == ["status 429", "status 500 on /b/c"]


def test_messages_of_a_new_template() -> None:
    """What differs in its numbers is one kind; another sentence is another, told once, restarted or not."""

    def said(*messages: str) -> GivenLines:
        errors = [Said(NOON, "error", message, place) for place, message in enumerate(messages)]
        return GivenLines(20_000, given_said=errors)

    known = [f"connection to db-1 lost after {n} s" for n in range(20)]
    state = Firsts(RULES)

    assert firsts(state, said(*known)) == []
    assert firsts(state, said("connection to db-1 lost after 77 s")) == []
    (new,) = firsts(state, said("disk /dev/sda is full: 0 bytes left", "disk /dev/sda is full: 9 bytes left"))
    assert new.startswith("error disk /dev/sda is full:")
    state = Firsts(RULES, json.loads(json.dumps(state.as_json())))
    assert firsts(state, said("disk /dev/sda is full: 5 bytes left")) == []


def paused(until: timedelta, *pauses: tuple[timedelta, timedelta]) -> Pauses:
    """Return what is known of a source with a line each minute, but for pauses: from, to."""
    state, moment = Pauses(RULES), NOON
    while moment <= NOON + until:
        if not any(start < moment - NOON < end for start, end in pauses):
            state.learn(GivenLines(given_minutes=[Minute(moment, "-", 1, 0, 0)]))
            state = Pauses(RULES, json.loads(json.dumps(state.as_json())))
        moment += MINUTE
    return state


@pytest.mark.parametrize(
    ("followed", "pauses", "now", "after"),
    [
        (12 * HOUR, [], NOON + 12 * HOUR + MINUTE, NOON + 12 * HOUR + LEAST_SILENCE),
        (12 * HOUR, [(HOUR, 2 * HOUR)], NOON + 12 * HOUR, NOON + 17 * HOUR),
        (LEAST_FOLLOWED - MINUTE, [], NOON + LEAST_FOLLOWED, None),
        (12 * HOUR, [], NOON + 12 * HOUR + LATE + MINUTE, None),
    ],
    ids=["ten minutes", "five times its longest pause", "not known yet", "an old log"],
)
def test_from_when_on_silence_means_something(
    followed: timedelta,
    pauses: list[tuple[timedelta, timedelta]],
    now: datetime,
    after: datetime | None,
) -> None:
    """By what the source did itself; of a log that is not followed as it is written, never."""
    assert paused(followed, *pauses).silent_after(now) == after
