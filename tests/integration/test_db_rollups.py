"""Durations, visitors and totals: equal to what the lines say, counted or not, on both databases."""

import json
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any

import pytest
from sqlalchemy import Engine

from db import counting, minutes
from db.cleaned import Choice
from db.counted import Scope
from db.queries import BY_MINUTES, Answer, answer
from db.replay import replay
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source

SOURCE = Source("ab" * 16, "web-1", "/a.json", format="json")
SINCE = datetime(2026, 1, 1, 22, 0, tzinfo=UTC)
SCOPE = Scope(SINCE, SINCE + timedelta(hours=4))
#: Seconds at the ends of buckets, as the database may hold them, and the last two that are none.
ODD_SECONDS = (0.0, 1e-6, 63e-6, 64e-6, 65.4e-6, 127e-6, 128e-6, 0.25, 1.0, 3600.5, 999_999.0, 1e6 + 1, -1.0)


def lines(count: int = 600) -> list[dict[str, Any]]:
    """Return requests of four hours, across midnight; some say how long they took."""
    rng = random.Random(7)
    made = []
    for number in range(count):
        second = 4 * 3600 * number // count
        made.append({
            "time": (SINCE + timedelta(seconds=second)).isoformat(),
            "remote_addr": f"203.0.113.{rng.randrange(100)}",
            "method": rng.choice(["GET", "POST"]), "path": f"/{rng.randrange(4)}",
            "status": rng.choice([200, 200, 404, 503]), "bytes": rng.randrange(5000),
            "host": rng.choice(["a.example", "b.example"]),
        })  # fmt: skip
        if number < len(ODD_SECONDS):
            made[-1]["request_time"] = ODD_SECONDS[number]
        elif number % 3:
            made[-1] |= {"request_time": rng.lognormvariate(-2, 1.5), "upstream_response_time": rng.random()}
    return made


LINES = lines()
#: What a line has of each key of minutes.
KEYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "minute": lambda line: datetime.fromisoformat(line["time"]).replace(second=0),
    "host": lambda line: line["host"],
    "status_class": lambda line: line["status"] // 100,
    "rest_method": lambda line: line["method"],
}
BLOCK = b"".join(json.dumps(each).encode() + b"\n" for each in LINES)


@pytest.fixture(params=["minutes counted", "minutes forgotten"], autouse=True)
def _minutes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minutes, "KEPT", timedelta(days=366_000 if "counted" in request.param else 0))


@pytest.fixture(
    params=["counted", "not counted", "replayed", "replayed and counted", "replayed with tallies"]
)
def ask(
    request: pytest.FixtureRequest, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Answer]:
    """Asks about LINES, whatever of them is in the counts."""
    if request.param == "replayed with tallies":
        monkeypatch.setattr(counting, "KEPT_LINES", 1)
    half = BLOCK.index(b"\n", len(BLOCK) // 2) + 1
    for stage in (LakeStore, CleanStore):
        stage(engine).store(Batch(SOURCE, 0, BLOCK[:half]))
        stage(engine).store(Batch(SOURCE, half, BLOCK[half:]))
    if request.param != "not counted":
        counting.count(engine)
    if "replayed" in request.param:
        replay(engine, list_sources(engine)[0], Choice(redo=True))
    if request.param == "replayed with tallies":
        replay(engine, list_sources(engine)[0], Choice(named="common"))
        replay(engine, list_sources(engine)[0], Choice(named="json"))
        assert counting.count(engine) == 0
    if request.param == "replayed and counted":
        assert counting.count(engine) == 2
        counting.compact(engine)
    return lambda name, scope=SCOPE: answer(engine, name, scope)


def durations(unit: str, field: str = "request_time") -> dict[datetime, list[float]]:
    """Return the durations that count, sorted, by unit of time."""
    found: dict[datetime, list[float]] = defaultdict(list)
    parts = {"minute": {"second": 0}, "hour": {"second": 0, "minute": 0}}
    parts["day"] = parts["hour"] | {"hour": 0}
    for each in LINES:
        if 0 <= each.get(field, -1) <= 1e6:
            moment = datetime.fromisoformat(each["time"])
            found[moment.replace(**parts.get(unit, {"hour": 0, "minute": 0, "second": 0}))].append(
                each[field]
            )
    return {moment: sorted(values) for moment, values in found.items()}


def test_what_the_lines_say(ask: Callable[..., Answer]) -> None:
    """Every answer about all of the lines, and about a part of hours."""
    for name, unit in (
        ("latency_by_minute", "minute"),
        ("latency_by_hour", "hour"),
        ("latency_by_day", "day"),
    ):
        check_quantiles(ask, name, unit, "request_time")
    for name, unit in (("upstream_latency_by_hour", "hour"), ("upstream_latency_by_day", "day")):
        check_quantiles(ask, name, unit, "upstream_response_time")
    check_slowest_paths(ask)
    check_visitors(ask)
    check_keys_of_minutes(ask)
    check_totals(ask)
    check_a_part_of_an_hour(ask)


def check_quantiles(ask: Callable[..., Answer], name: str, unit: str, field: str) -> None:
    """Each unit of time has the hits that are timed, and quantiles that stray by 1/64 at most."""
    found = ask(name)
    wanted = durations(unit, field)

    assert found.columns == (unit, "hits", "p50", "p90", "p99")
    assert [row[:2] for row in found.rows] == [(moment, len(wanted[moment])) for moment in sorted(wanted)]
    for moment, hits, *quantiles in found.rows:
        for share, value in zip((0.5, 0.9, 0.99), quantiles, strict=True):
            exact = wanted[moment][-int(-share * hits // 1) - 1]
            assert value == pytest.approx(exact, rel=1 / 64, abs=1e-6)


def check_slowest_paths(ask: Callable[..., Answer]) -> None:
    """Paths by their mean duration, each with how many say one."""
    took: dict[str, list[float]] = defaultdict(list)
    for each in LINES:
        if 0 <= each.get("request_time", -1) <= 1e6:
            took[each["path"]].append(each["request_time"])
    found = ask("slowest_paths").rows

    assert [row[0] for row in found] == sorted(took, key=lambda path: -fmean(took[path]))
    for path, hits, mean, seconds in found:
        assert hits == len(took[path])
        assert (mean, seconds) == pytest.approx((fmean(took[path]), sum(took[path])), abs=1e-3)


def check_visitors(ask: Callable[..., Answer]) -> None:
    """Few visitors are counted nearly exactly, in an hour, a day, and all of a range."""
    by_minute, by_hour, by_day = defaultdict(set), defaultdict(set), defaultdict(set)
    for each in LINES:
        moment = datetime.fromisoformat(each["time"])
        by_minute[moment.replace(second=0)].add(each["remote_addr"])
        by_hour[moment.replace(minute=0, second=0)].add(each["remote_addr"])
        by_day[moment.replace(hour=0, minute=0, second=0)].add(each["remote_addr"])

    for name, wanted in (
        ("visitors_by_minute", by_minute),
        ("visitors_by_hour", by_hour),
        ("visitors_by_day", by_day),
    ):
        found = ask(name).rows
        assert [row[0] for row in found] == sorted(wanted)
        assert [row[1] for row in found] == pytest.approx([len(wanted[row[0]]) for row in found], rel=0.05)
    assert ask("visitors").rows[0] == pytest.approx((100,), rel=0.05)


def check_keys_of_minutes(ask: Callable[..., Answer]) -> None:
    """Durations and visitors by host, class of statuses and method, with the minute or without."""
    for name in (*BY_MINUTES, "latency_by_host"):
        columns = ask(name).columns
        names = [column for column in columns if column in KEYS]
        came, took = defaultdict(set), defaultdict(list)
        for each in LINES:
            key = tuple(KEYS[column](each) for column in names)
            came[key].add(each["remote_addr"])
            if 0 <= each.get("request_time", -1) <= 1e6:
                took[key].append(each["request_time"])
        wanted = came if columns[-1] == "visitors" else took
        found = {row[: len(names)]: row[len(names) :] for row in ask(name).rows}

        assert list(found) == sorted(wanted, key=lambda key: key if "minute" in names else -found[key][0])
        for key, (hits, *quantiles) in found.items():
            assert hits == pytest.approx(len(wanted[key]), rel=0 if quantiles else 0.05)
            for share, value in zip((0.5, 0.9, 0.99), quantiles, strict=bool(quantiles)):
                exact = sorted(took[key])[-int(-share * hits // 1) - 1]
                assert value == pytest.approx(exact, rel=1 / 64, abs=1e-6)
    assert len(ask("visitors_by_host", Scope(SCOPE.since, SCOPE.until, limit=1)).rows) == 1


def check_totals(ask: Callable[..., Answer]) -> None:
    """Hits, bytes and errors of a range, of all sources and of each."""
    sums = (
        len(LINES),
        sum(each["bytes"] for each in LINES),
        sum(each["status"] == 404 for each in LINES),
        sum(each["status"] == 503 for each in LINES),
    )
    assert ask("totals").columns == ("hits", "bytes", "client_errors", "server_errors")
    assert ask("totals").rows == [sums]
    assert ask("totals_by_source").rows == [(1, *sums)]
    assert [row[1] for row in ask("traffic_by_day").rows] == [300, 300]
    assert sum(row[1] for row in ask("traffic_by_minute").rows) == len(LINES)


def check_a_part_of_an_hour(ask: Callable[..., Answer]) -> None:
    """What lies beside the whole hours of a range is read from the records."""
    scope = Scope(SINCE + timedelta(minutes=30.5), SINCE + timedelta(minutes=150.5))
    within = [each for each in LINES if scope.since <= datetime.fromisoformat(each["time"]) < scope.until]
    timed = [each for each in within if 0 <= each.get("request_time", -1) <= 1e6]

    for name in ("latency_by_minute", "latency_by_hour"):
        assert sum(row[1] for row in ask(name, scope).rows) == len(timed)
    assert ask("totals", scope).rows[0][0] == len(within)
    visitors = len({each["remote_addr"] for each in within})
    assert ask("visitors", scope).rows[0] == pytest.approx((visitors,), rel=0.05)


def test_sizes_that_no_answer_has_do_not_stop_the_counting(engine: Engine) -> None:
    """The largest number that a column holds, often in one minute: sums are those of the others."""
    line = '203.0.113.1 - - [01/Jan/2026:22:00:00 +0000] "GET / HTTP/1.1" 200 {} "-" "-"\n'
    block = (line.format((1 << 63) - 1) * 3 + line.format(5)).encode()
    CleanStore(engine).store(Batch(Source("cd" * 16, "web-1", "/b.log", format="combined"), 0, block))

    for _ in range(2):
        assert answer(engine, "totals", SCOPE).rows == [(4, 5, 0, 0)]
        counting.count(engine)
