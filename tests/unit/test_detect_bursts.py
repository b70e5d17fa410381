"""Bursts: failed logins, missing paths and missing agents within minutes, across stretches and restarts."""

import json
from collections.abc import Iterable

from pipeline.detect.bursts import MOST_KEYS, Bursts
from pipeline.detect.observed import Counted, Text
from pipeline.detect.rules import load
from pipeline.detect.sighting import Sighting
from tests.unit.observed_lines import MINUTE, NOON, GivenLines

RULES = load()
ATTACKER = "203.0.113.9"


def failures(
    minute: int, count: int = 1, address: str = ATTACKER, user: str = "-", path: str = ""
) -> Counted:
    """Return failed logins of a minute after noon."""
    return Counted(NOON + minute * MINUTE, address, user, path, count, 100 * minute)


def seen(bursts: Bursts, *lines: GivenLines) -> list[Sighting]:
    """Return what stretches of lines show."""
    return [sighting for each in lines for sighting in bursts.sightings(each)]


def missed(count: int, minute: int = 0, address: str = ATTACKER) -> list[Counted]:
    """Return requests for so many paths that are not there."""
    at = NOON + minute * MINUTE
    return [Counted(at, address, "-", f"/{number}", 1, number) for number in range(count)]


def test_failed_logins_within_the_minutes() -> None:
    """Twenty within five minutes are told once, with how many, since when and where; more adds to it."""
    bursts = Bursts(RULES)
    lines = [GivenLines(given_logins=[failures(minute, 5)]) for minute in range(5)]

    (first, second) = seen(bursts, *lines)

    assert (first.rule, first.subject, first.count) == ("brute-force", ATTACKER, 20)
    assert (first.since, first.until, first.offsets) == (NOON, NOON + 3 * MINUTE, (300,))
    assert (second.count, second.until) == (5, NOON + 4 * MINUTE)


def test_slow_failures_are_none() -> None:
    """As many over a longer time are a person who forgot a password."""
    assert seen(Bursts(RULES), GivenLines(given_logins=[failures(5 * n, 4) for n in range(20)])) == []


def test_a_user_whom_many_addresses_try() -> None:
    """Each address stays below the limit, the user does not; nobody is called `-`."""
    logins = [failures(0, 1, f"203.0.113.{n}", "root") for n in range(25)]
    logins += [failures(0, 1, f"198.51.100.{n}") for n in range(25)]

    (found,) = seen(Bursts(RULES), GivenLines(given_logins=logins))

    assert (found.rule, found.subject, found.count) == ("brute-force-user", "root", 25)


def test_only_paths_of_logins_count() -> None:
    """The rule's paths decide which requests are attempts."""
    texts = [Text("url", path, None, 1, 0) for path in ("/wp-login.php", "/user/Login", "/logins", "/order")]
    logins = [failures(0, 30, f"203.0.113.{n}", path=text.text) for n, text in enumerate(texts)]

    found = seen(Bursts(RULES), GivenLines(given_texts=texts, given_logins=logins))

    assert [each.subject for each in found] == ["203.0.113.0", "203.0.113.1"]


def test_a_scan_is_many_paths_and_mostly_misses() -> None:
    """Distinct paths count, and a visitor of a broken page, who finds much else, is no scanner."""
    same = [Counted(NOON, ATTACKER, "-", "/favicon.ico", 500, 0)]

    def scans(missing: list[Counted], requests: int) -> list[Sighting]:
        return seen(Bursts(RULES), GivenLines(given_missing=missing, given_addresses={ATTACKER: requests}))

    assert [each.rule for each in scans(missed(30), 40)] == ["scan"]
    assert scans(missed(29), 30) == []
    assert scans(missed(30), 100) == []
    assert scans(same, 500) == []


def test_a_missing_agent_is_odd_where_others_have_one() -> None:
    """In a log without agents, or where most have none, it means nothing."""
    agentless, agents = [failures(0, 60)], [Text("agent", "curl/8", None, 900, 0)]

    odd = GivenLines(1000, given_texts=agents, given_agentless=agentless)
    common = GivenLines(5000, given_texts=agents, given_agentless=agentless)

    assert [each.rule for each in seen(Bursts(RULES), odd)] == ["empty-agent"]
    assert seen(Bursts(RULES), common) == seen(Bursts(RULES), GivenLines(60, given_agentless=agentless)) == []


def test_it_goes_on_after_a_restart() -> None:
    """What was counted before is kept as JSON; what was told is not told again."""
    lines = [GivenLines(given_logins=[failures(minute, 5)]) for minute in range(6)]
    once, bursts, again = seen(Bursts(RULES), *lines), Bursts(RULES), []
    for each in lines:
        again += seen(bursts, each)
        bursts = Bursts(RULES, json.loads(json.dumps(bursts.as_json())))

    assert again == once
    assert sum(each.count for each in again) == 30


def test_what_is_remembered_is_bounded() -> None:
    """Addresses that are quiet are forgotten, and so are those seen longest ago."""
    bursts = Bursts(RULES)

    def remembered(logins: Iterable[Counted]) -> int:
        seen(bursts, GivenLines(given_logins=list(logins)))
        return len(bursts.as_json())

    assert remembered(failures(0, 1, f"a{n}") for n in range(3 * MOST_KEYS)) == MOST_KEYS
    assert remembered([failures(60)]) == 1
