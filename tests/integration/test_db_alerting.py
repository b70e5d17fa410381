"""The outbox on both databases: each fact told once, kept until it is taken, silenced ones not at all."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from db.alerting import (
    FIRST_PAUSE,
    KEPT,
    LEASE,
    LONGEST_PAUSE,
    MOST_NAMED,
    Due,
    collect,
    outbox,
    settle,
    take_due,
    unsent,
)
from db.drifts import DriftEvent
from db.engine import make_engine, transaction
from db.news import MOST_AGE
from db.noting import QUIET, close_stale, note
from db.silences import silence
from db.store import LakeStore
from pipeline.batch import Batch, Source
from pipeline.detect.sighting import Sighting

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BOTH = ["webhook", "mail"]
SEEN = Sighting("security", "xss", "medium", "192.0.2.1", NOW, NOW, 1, "a script", (0,))


@pytest.fixture(autouse=True)
def _source(engine: Engine) -> None:
    LakeStore(engine).store(Batch(Source("ab" * 16, "web-1", "/a.log"), 0, b"line\n"))


def notice(engine: Engine, *seen: Sighting, now: datetime = NOW) -> None:
    """Note what was seen."""
    with transaction(engine) as connection:
        note(connection, 1, seen, now)


def drift(engine: Engine, now: datetime = NOW) -> None:
    """Note a drift of the status of lines."""
    values: dict[str, Any] = {
        "source_id": 1, "kind": "status", "start_offset": 7, "end_offset": 9, "since": NOW,
        "noticed_at": now, "changes": [{"name": "status: 5xx", "before": 0.01, "after": 0.2}],
        "examples": {"before": [], "after": []},
    }  # fmt: skip
    with transaction(engine) as connection:
        connection.execute(insert(DriftEvent).values(values))


def close(engine: Engine, now: datetime) -> None:
    """Close what has been quiet for an hour."""
    with transaction(engine) as connection:
        close_stale(connection, now)


def told(engine: Engine, now: datetime) -> list[tuple[str, str]]:
    """Return the event and rule of each fact that is sent."""
    return [
        (each["event"], each["rule"]) for due in sent(engine, now, ["mail"]) for each in due.content["alerts"]
    ]


def sent(engine: Engine, now: datetime, channels: list[str] = BOTH) -> list[Due]:
    """Collect, take what is due, and settle it as sent; return it."""
    collect(engine, channels, "web-1", now)
    due = take_due(engine, channels, now)
    for alert in due:
        settle(engine, alert, None, now)
    return due


def test_each_fact_is_told_once_on_each_channel(engine: Engine) -> None:
    """Findings and drifts, the worst first; what is added to a finding is no news."""
    notice(engine, SEEN, replace(SEEN, rule="log4j", severity="critical"))
    drift(engine)

    due = sent(engine, NOW)
    notice(engine, SEEN)

    assert [each.channel for each in due] == BOTH
    assert [(each["rule"], each["subject"]) for each in due[0].content["alerts"]] == [
        ("log4j", "192.0.2.1"),
        ("xss", "192.0.2.1"),
        ("drift", "status"),
    ]
    assert due[0].content["alerts"][2]["summary"].startswith("status: 5xx 1.00 % → 20.00 %, since byte 7")
    assert due[0].content["alerts"][0]["path"] == "/a.log"
    assert sent(engine, NOW + MINUTE) == []


def test_a_flood_is_one_alert(engine: Engine) -> None:
    """A thousand findings at once are one message that names the worst and counts the others."""
    notice(engine, *(replace(SEEN, subject=f"a{n}") for n in range(1000)), replace(SEEN, severity="high"))

    (due,) = sent(engine, NOW, ["mail"])

    assert len(due.content["alerts"]) == MOST_NAMED
    assert due.content["alerts"][0]["severity"] == "high"
    assert due.content["more"] == 1001 - MOST_NAMED


def test_what_fails_is_tried_again_until_it_is_taken(engine: Engine) -> None:
    """With pauses that double up to an hour; nothing is given up, and `status` says why it waits."""
    notice(engine, SEEN)
    collect(engine, ["webhook"], "web-1", NOW)
    now, pauses = NOW, []
    for attempt in range(1, 12):
        (due,) = take_due(engine, ["webhook"], now)
        assert due.attempts == attempt
        settle(engine, due, "webhook: it answered 500", now)
        (waiting,) = outbox(engine)
        assert unsent(engine) == {"webhook": "webhook: it answered 500"}
        pauses.append(waiting.due_at - now)
        assert take_due(engine, ["webhook"], waiting.due_at - MINUTE / 2) == []
        now = waiting.due_at

    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    (due,) = sent(engine, now, ["webhook"])
    assert due.content["alerts"][0]["rule"] == "xss"
    assert unsent(engine) == {}


def test_one_channel_does_not_wait_for_the_other(engine: Engine) -> None:
    """The one that takes it is done; the other is tried again alone."""
    notice(engine, SEEN)
    collect(engine, BOTH, "web-1", NOW)
    for due in take_due(engine, BOTH, NOW):
        settle(engine, due, "mail: away" if due.channel == "mail" else None, NOW)

    assert [each.channel for each in take_due(engine, BOTH, NOW + 2 * MINUTE)] == ["mail"]


def test_a_sender_that_died_loses_nothing(engine: Engine) -> None:
    """What was taken and not settled is due again after its lease."""
    notice(engine, SEEN)
    collect(engine, ["mail"], "web-1", NOW)
    (taken,) = take_due(engine, ["mail"], NOW)

    assert take_due(engine, ["mail"], NOW + LEASE / 2) == []
    (again,) = take_due(engine, ["mail"], NOW + LEASE)
    assert (again.id, again.attempts) == (taken.id, 2)


@pytest.mark.parametrize("target", ["xss", "192.0.2.1"])
def test_a_silenced_finding_is_told_when_it_outlasts_the_silence(engine: Engine, target: str) -> None:
    """While it is silenced nobody hears of it; what is over by then is never told."""
    silence(engine, target, NOW + 10 * MINUTE, "", NOW)
    notice(engine, SEEN)

    assert sent(engine, NOW) == []
    assert len(sent(engine, NOW + 11 * MINUTE)) == 2


def test_a_finding_that_outlasts_a_silence_of_days_is_told(engine: Engine) -> None:
    """However long ago it was noticed: it was seen lately."""
    silence(engine, "xss", NOW + 2 * MOST_AGE, "", NOW)
    for hour in range(73):
        at = NOW + timedelta(hours=hour)
        notice(engine, replace(SEEN, since=at, until=at), now=at)
        assert told(engine, at) == ([("began", "xss")] if at == NOW + 2 * MOST_AGE else [])
    end = NOW + 3 * MOST_AGE + 2 * QUIET
    close(engine, end)

    assert told(engine, end) == [("over", "xss")]


OVER = NOW + QUIET + MINUTE


def test_the_end_of_what_was_told_is_told_once(engine: Engine) -> None:
    """With the time of its last record, and behind what began meanwhile, however bad it was."""
    notice(engine, replace(SEEN, severity="critical"))
    sent(engine, NOW)
    close(engine, OVER)
    notice(engine, replace(SEEN, rule="scan", severity="low"), now=OVER)

    first, _ = sent(engine, OVER)

    assert [(each["event"], each["rule"]) for each in first.content["alerts"]] == [
        ("began", "scan"),
        ("over", "xss"),
    ]
    assert [each["until"] for each in first.content["alerts"]] == [None, NOW.isoformat()]
    assert sent(engine, OVER + MINUTE) == []


def test_what_was_over_before_it_was_told_is_told_once(engine: Engine) -> None:
    """As something that began, with its end in the same fact."""
    notice(engine, SEEN)
    close(engine, OVER)

    first, _ = sent(engine, OVER)

    assert [(each["event"], each["until"]) for each in first.content["alerts"]] == [
        ("began", NOW.isoformat())
    ]
    assert sent(engine, OVER + MINUTE) == []


def test_the_end_of_what_nobody_heard_of_is_no_news(engine: Engine) -> None:
    """Of what was noticed without a channel, or too long before there was one."""
    notice(engine, SEEN)
    collect(engine, [], "web-1", NOW)
    notice(engine, replace(SEEN, rule="scan"), now=NOW)
    assert told(engine, NOW + MOST_AGE + MINUTE) == []
    close(engine, NOW + MOST_AGE + MINUTE)

    assert told(engine, NOW + MOST_AGE + MINUTE) == []


@pytest.mark.parametrize("target", ["xss", "192.0.2.1"])
def test_what_is_over_within_its_silence(engine: Engine, target: str) -> None:
    """Is never told; the end of what was told before waits for the end of the silence."""
    notice(engine, SEEN)
    assert told(engine, NOW) == [("began", "xss")]
    silence(engine, target, OVER + 10 * MINUTE, "", NOW)
    notice(engine, replace(SEEN, subject="b") if target == "xss" else replace(SEEN, rule="scan"))
    close(engine, OVER + MINUTE)

    assert told(engine, OVER + 2 * MINUTE) == []
    assert told(engine, OVER + 11 * MINUTE) == [("over", "xss")]


def test_an_end_that_is_old_is_no_news(engine: Engine) -> None:
    """What was closed when everything stood still for days is not told then."""
    notice(engine, SEEN)
    assert told(engine, NOW) == [("began", "xss")]
    close(engine, NOW + 2 * MOST_AGE)

    assert told(engine, NOW + 2 * MOST_AGE) == []


@pytest.mark.parametrize("target", ["status", "drift"])
def test_a_silenced_drift(engine: Engine, target: str) -> None:
    """By its kind, or all of them."""
    silence(engine, target, NOW + 10 * MINUTE, "", NOW)
    drift(engine)

    assert sent(engine, NOW) == []
    assert len(sent(engine, NOW + 11 * MINUTE)) == 2


def test_what_is_old_is_no_news(engine: Engine) -> None:
    """Alerts that are set up now do not tell of last month; without a channel nothing is kept for later."""
    notice(engine, SEEN)
    drift(engine)

    assert sent(engine, NOW + MOST_AGE + MINUTE) == []
    notice(engine, replace(SEEN, subject="b"), now=NOW)
    assert collect(engine, [], "web-1", NOW) == 1
    assert sent(engine, NOW) == []


def test_sent_alerts_are_forgotten_after_a_month(engine: Engine) -> None:
    """Those that wait are kept for as long as it takes."""
    notice(engine, SEEN)
    sent(engine, NOW, ["mail"])
    notice(engine, replace(SEEN, subject="b"))
    collect(engine, ["webhook"], "web-1", NOW)

    collect(engine, BOTH, "web-1", NOW + KEPT + MINUTE)

    assert [each.channel for each in outbox(engine)] == ["webhook"]


def test_several_senders_tell_a_fact_once(database_url: str) -> None:
    """Whoever collects and sends at the same time: one alert a channel, taken by one of them."""
    engines = [make_engine(database_url) for _ in range(4)]
    notice(engines[0], *(replace(SEEN, subject=f"a{n}") for n in range(20)))

    with ThreadPoolExecutor() as threads:
        taken = list(threads.map(lambda each: sent(each, NOW), engines))

    mails = [alert for each in taken for alert in each if alert.channel == "mail"]
    facts = [fact["subject"] for alert in mails for fact in alert.content["alerts"]]
    assert sorted(facts) == sorted(f"a{n}" for n in range(20))
    for engine in engines:
        engine.dispose()
