"""The detector of drifts: what it finds in windows, what it leaves alone, and what it remembers."""

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.drift.detector import Detector, Drift
from pipeline.drift.measure import LENGTH, measures, unscaled
from pipeline.drift.novelty import MOST_KNOWN, NEW_WINDOWS, RECENT_WINDOWS, Templates, Values
from pipeline.drift.window import WINDOW_LINES, Window

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 100_000


def window(
    number: int, *, share: float = 0.1, host: str = "a", hours: float = 0.1, size: int = SIZE
) -> Window:
    """Return a full window in which a share of the answers is an error, the place and time by its number."""
    hits = {"status: 5xx": round(share * WINDOW_LINES), "rejected: lines": 0}
    values = {"hosts": [(host, number * SIZE)] * 50}
    moment = FIRST + timedelta(hours=hours * number)
    among = dict.fromkeys(hits, WINDOW_LINES)
    return Window(number * SIZE, (number + 1) * SIZE, moment, WINDOW_LINES, size, hits, among, values)


def drifts(windows: Iterator[Window], detector: Detector | None = None) -> list[Drift]:
    """Return the drifts of some windows."""
    detector = detector or Detector()
    return [found for each in windows if (found := detector.feed(each)) is not None]


def new(known: Values | Templates, values: list[tuple[str, int]], number: int) -> list[tuple[str, int]]:
    """Return the values of a window that are new in it, and learn them."""
    return [(each.value, each.place) for each in known.aged(values, number) if each.age < NEW_WINDOWS]


def spreading(number: int, begins: int, over: int) -> Window:
    """Return a window in which a new host spreads from nothing to two of five lines, over so many windows."""
    share = min(max((number - begins + 1) / over, 0), 1)
    each, count = window(number), round(20 * share)
    each.values["hosts"] = [("b" if place < count else "a", each.start) for place in range(50)]
    return each


def test_an_abrupt_change_has_its_place_and_values() -> None:
    """The drift begins with the first window that differs, and says what the share was and is."""
    (found,) = drifts(window(n, share=0.1 if n < 60 else 0.3) for n in range(100))

    assert (found.kind, found.start, found.moment) == ("status", 60 * SIZE, FIRST + timedelta(hours=6))
    assert found.end <= 65 * SIZE
    (change,) = found.changes
    assert (change.name, round(change.before, 3), round(change.after, 3)) == ("status: 5xx", 0.1, 0.3)


def test_a_gradual_change_is_found_before_it_is_complete() -> None:
    """A share that doubles over a hundred windows drifts on the way."""
    found = drifts(window(n, share=min(max(0.1, 0.1 + (n - 60) / 500), 0.3), hours=0.01) for n in range(160))

    assert found[0].kind == "status"
    assert 60 * SIZE < found[0].start < found[0].end < 160 * SIZE


def test_one_window_is_no_drift() -> None:
    """What is over after one window, however far off, is none."""
    assert drifts(window(n, share=0.9 if n == 60 else 0.1) for n in range(100)) == []


def test_a_usual_day_is_no_drift() -> None:
    """A share that rises and falls with the hour is none, on the first day and later."""
    shares = (0.1 + 0.05 * math.sin(2 * math.pi * n / 240) for n in range(1200))

    assert drifts(window(n, share=share) for n, share in enumerate(shares)) == []


def test_a_change_against_the_usual_hour() -> None:
    """The day's highest share, at the hour of the lowest, is a drift."""
    usual = [0.2 + 0.1 * math.sin(2 * math.pi * n / 240) for n in range(960)]
    night = 240 * 3 + 180
    found = drifts(window(n, share=0.3 if n >= night else usual[n]) for n in range(960))

    assert found[0].start == night * SIZE


@pytest.mark.parametrize("jump", [timedelta(days=40_000), timedelta(days=-9_000)])
def test_a_clock_that_jumps_is_survived(jump: timedelta) -> None:
    """Windows with an impossible time among others hide no later drift, and are none."""
    windows = [window(n, share=0.1 if n < 160 else 0.3) for n in range(200)]
    for each in windows[80:83]:
        assert each.moment is not None
        each.moment += jump

    (found,) = drifts(iter(windows))

    assert found.start == 160 * SIZE


def test_a_pause_hides_nothing() -> None:
    """What is different after hours without a line is a drift from its first line on."""
    windows = [window(n, share=0.1 if n < 60 else 0.3, hours=0.02) for n in range(100)]
    for each in windows[60:]:
        assert each.moment is not None
        each.moment += timedelta(hours=5)

    (found,) = drifts(iter(windows))

    assert found.start == 60 * SIZE


def test_what_was_new_at_first_hides_no_later_news() -> None:
    """Windows of a source's beginning, in which every value is new, do not count as noise."""
    windows = [window(n) for n in range(120)]
    for number, each in enumerate(windows):
        fresh = 10 if number >= 100 else max(0, 45 - number)
        names = ["z"] * fresh if number >= 100 else [chr(1000 + 100 * number + n) for n in range(fresh)]
        each.values["hosts"] = [(name, each.start) for name in [*names, *["a"] * (50 - fresh)]]

    (found,) = drifts(iter(windows))

    assert (found.kind, found.start) == ("hosts", 100 * SIZE)


def test_new_values_are_named_by_their_lines() -> None:
    """Lines with a host that was not there before are a drift, with the places where they start."""
    (found,) = drifts(window(n, host="a" if n < 60 else "b") for n in range(70))

    assert (found.kind, found.start) == ("hosts", 60 * SIZE)
    assert set(found.places) == {found.end - SIZE}


def test_a_value_that_spreads_slowly_is_told() -> None:
    """Known long before it is frequent, it is still recent: on the way, with lines that have it."""
    begins = RECENT_WINDOWS + 300

    (found,) = drifts(spreading(n, begins, 200) for n in range(begins + 200))

    assert [change.name for change in found.changes] == ["hosts: recent"]
    assert begins * SIZE <= found.start < found.end < (begins + 100) * SIZE
    assert set(found.places) == {found.end - SIZE}
    assert len(found.places) < 15


def test_what_is_new_at_once_is_not_told_again_as_recent() -> None:
    """It stays recent for long after the drift that told of it."""
    begins = RECENT_WINDOWS + 50

    (found,) = drifts(spreading(n, begins, 1) for n in range(begins + 2 * RECENT_WINDOWS))

    assert {change.name for change in found.changes} >= {"hosts: new"}
    assert found.start == begins * SIZE


def test_at_first_everything_is_recent() -> None:
    """A source tells of no recent values before it has older ones."""
    ages = {"hosts": [0] * 50}
    names = [
        {each.name for each in measures(window(number), ages, number)}
        for number in (RECENT_WINDOWS, RECENT_WINDOWS + 1)
    ]

    assert names[1] - names[0] == {"hosts: recent"}


def test_what_moves_together_is_one_drift() -> None:
    """Two measures that change at once are told once, the one nearest to the cause first."""
    (found,) = drifts(
        window(n, share=0.1 if n < 60 else 0.3, size=SIZE if n < 60 else 2 * SIZE) for n in range(100)
    )

    assert [change.name for change in found.changes] == [LENGTH, "status: 5xx"]
    assert round(found.changes[0].after / found.changes[0].before, 3) == 2


def test_few_lines_wait_for_more() -> None:
    """Parts of a window are judged as the whole that they make."""
    whole = drifts(window(n, share=0.1 if n < 60 else 0.3) for n in range(100))
    parts: list[Window] = []
    for number in range(100):
        full = window(number, share=0.1 if number < 60 else 0.3)
        half = full.start + SIZE // 2
        hits = {name: count // 2 for name, count in full.hits.items()}
        rest = {name: count - hits[name] for name, count in full.hits.items()}
        among = {name: count // 2 for name, count in full.among.items()}
        lines, size = WINDOW_LINES // 2, SIZE // 2
        parts.append(Window(full.start, half, full.moment, lines, size, hits, among, {}))
        parts.append(Window(half, full.end, full.moment, lines, size, rest, dict(among), dict(full.values)))

    assert drifts(iter(parts)) == whole


def test_a_restart_changes_nothing() -> None:
    """A detector that is made anew from JSON before each window finds the same."""
    state, found = json.dumps(Detector().as_json()), []
    for number in range(100):
        detector = Detector(json.loads(state))
        each = detector.feed(window(number, share=0.1 if number < 60 else 0.3))
        found += [each] if each else []
        state = json.dumps(detector.as_json(), sort_keys=True)

    assert found == drifts(window(n, share=0.1 if n < 60 else 0.3) for n in range(100))


def test_a_state_of_another_version_is_learnt_again() -> None:
    """A state that is not understood is not used."""
    assert Detector({"version": 0, "number": 7}).as_json() == Detector().as_json()


def test_values_are_new_for_a_while() -> None:
    """A value is new in the window that brings it and in some more; digits do not make it another one."""
    values = Values()
    assert new(values, [("v1.0", 5)], 1) == [("v1.0", 5)]
    assert new(values, [("v2.7", 6)], NEW_WINDOWS) == [("v2.7", 6)]
    assert new(values, [("v3.1", 7)], NEW_WINDOWS + 1) == []


def test_messages_are_new_by_their_template() -> None:
    """A message that differs in a number from one that is known is not new, another text is."""
    templates = Templates()
    new(templates, [("connection 7 to db lost", 0)], 1)
    again = Templates(templates.as_json())

    assert new(again, [("connection 9 to db lost", 1), ("disk is full now", 2)], NEW_WINDOWS + 2) == [
        ("disk is full now", 2)
    ]


def test_the_value_seen_longest_ago_is_forgotten() -> None:
    """A value that is seen again stays, after a restart too, where a thousand others come between."""
    letters = [chr(1000 + n) for n in range(MOST_KNOWN - 1)]
    values = Values()
    for value in ("old", *letters[:10], "old", *letters[10:]):
        new(values, [(value, 0)], 1)
    values = Values(json.loads(json.dumps(values.as_json(), sort_keys=True)))

    new(values, [("one more", 0)], 1)

    assert new(values, [("old", 1)], NEW_WINDOWS + 1) == []
    assert new(values, [(letters[0], 1)], NEW_WINDOWS + 1) == [(letters[0], 1)]


def test_a_path_is_new_by_its_beginning() -> None:
    """What lies deep in a path is content; its first two names are what the source serves."""
    paths = Values((), 2)
    new(paths, [("/shop/shoes/red", 0)], 1)

    assert new(paths, [("/shop/shoes/blue/7", 1), ("/admin/login", 2)], NEW_WINDOWS + 1) == [
        ("/admin/login", 2)
    ]


@given(st.lists(st.text(alphabet="/ <*>a0\x1b\u202eé", max_size=12), max_size=30))
def test_any_text_may_be_a_value(texts: list[str]) -> None:
    """Empty paths, wildcards and control characters are learnt, kept as JSON and known again."""
    for kind in (Values, Templates):
        known = kind()
        new(known, [(text, 0) for text in texts], 1)
        again = kind(json.loads(json.dumps(known.as_json(), sort_keys=True)))

        assert new(again, [(text, 0) for text in texts], NEW_WINDOWS) == [(text, 0) for text in texts]


@pytest.mark.parametrize("count", [0, 1, 50, WINDOW_LINES])
def test_the_scale_goes_both_ways(count: int) -> None:
    """A share on the scale reads as the share that it was."""
    share, length = measures(Window(0, SIZE, None, WINDOW_LINES, SIZE, {"a: b": count}, {"a: b": 500}), {}, 1)

    assert unscaled(share.name, share.value) == pytest.approx(count / 500)
    assert unscaled(length.name, length.value) == pytest.approx(SIZE / WINDOW_LINES)
