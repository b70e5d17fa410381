"""What a visitor chooses in the address."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest

from pipeline.web.choice import RANGES, Choice, Unfit, chosen

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
NEXT = datetime(2026, 3, 1, 12, 1, tzinfo=UTC)


def choose(newest: datetime | None = NOW, **given: str) -> Choice:
    """Return the choice of an address."""
    return chosen(lambda name: given.get(name, ""), newest, NOW)


@pytest.mark.parametrize("name", RANGES)
def test_a_range_ends_now(name: str) -> None:
    """With the minute that has begun."""
    period = choose(range=name).selection.period

    assert (period.until, period.length) == (NEXT, RANGES[name][1])


def test_a_range_ends_with_the_newest_record_where_that_is_older() -> None:
    """So that a log of last year shows its last day and not nothing."""
    old = datetime(2025, 7, 1, 9, 30, tzinfo=UTC)

    assert choose(newest=old).selection.period.until == old + timedelta(minutes=1)
    assert choose(newest=NOW - timedelta(hours=3)).selection.period.until == NEXT
    assert choose(newest=None).selection.period.until == NEXT


def test_days_and_times_are_utc_unless_they_say_otherwise() -> None:
    """A day, a time without and a time with an offset."""
    period = choose(since="2026-02-01", until="2026-02-02T10:30:59+02:00").selection.period

    assert period.since == datetime(2026, 2, 1, tzinfo=UTC)
    assert period.until == datetime(2026, 2, 2, 8, 30, tzinfo=UTC)
    assert choose(since="2026-02-01T00:00").selection.period.until == NEXT


@pytest.mark.parametrize(
    "given",
    [
        {"range": "7d"},
        {"since": "2026-02-01", "until": "2026-02-02", "source": "3"},
        {"range": "1h", "source": "1", "compare": "1"},
    ],
)
def test_a_choice_can_be_made_again(given: dict[str, Any]) -> None:
    """From the query that it makes."""
    first = choose(**given)

    assert choose(**dict(parse_qsl(first.query()))) == first


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"range": "9y"}, "range"),
        ({"since": "yesterday"}, "since"),
        ({"since": "0001-01-01T00:00+23:59"}, "since"),
        ({"until": "2026-02-01"}, "until"),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "before"),
        ({"since": "2026-02-02", "until": "2026-02-02"}, "before"),
        ({"since": "1026-02-02", "until": "2026-02-02"}, "ten years"),
        ({"source": "x"}, "source"),
        ({"source": "-1"}, "source"),
        ({"source": "²"}, "source"),
        ({"source": "9" * 30}, "source"),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, Any], named: str) -> None:
    """The message says which value to change."""
    with pytest.raises(Unfit, match=named):
        choose(**given)
