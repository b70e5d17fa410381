"""The look of the detections over stored lines, on both databases: what it finds, keeps and goes on from."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text, update

from db.detecting import Look
from db.engine import make_engine, reading, transaction
from db.findings import DetectionState, Finding, State, Wanted, example_lines, findings
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.detect.crowd import MOST_SUBJECTS, OTHERS
from pipeline.detect.rules import load
from pipeline.formats import FORMATS

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECONDS = 60
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def request(
    second: int, address: str, target: str, status: int = 200, *, agent: str = AGENT, method: str = "GET"
) -> bytes:
    """Return a line of a web server, so many seconds after the start."""
    at = (START + timedelta(seconds=second)).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{address} - - [{at}] "{method} {target} HTTP/1.1" {status} 12 "-" "{agent}"\n'.encode()


def ssh(second: int, said: str) -> bytes:
    """Return a line of sshd."""
    return f"{(START + timedelta(seconds=second)).isoformat()} web-1 sshd[4711]: {said}\n".encode()


def store(
    engine: Engine, lines: list[bytes], at: int = 0, *, format_: str = "combined", key: str = "ab"
) -> int:
    """Store lines as a segment of both stages; return where it ends."""
    batch = Batch(Source(key * 16, "web-1", f"/{key}.log", format=format_), at, b"".join(lines))
    for stage in (LakeStore, CleanStore):
        stage(engine).store(batch)
    return batch.end


def honest(seconds: int) -> list[bytes]:
    """Return a request of a visitor each second."""
    pages = ("/", "/news?page=2", "/static/site.css", "/search?q=select+a+hotel")
    return [request(n, f"198.51.100.{n % 200}", pages[n % 4]) for n in range(seconds)]


def look(engine: Engine) -> list[tuple[str, str, int]]:
    """Look, and return rule, subject and count of what is new."""
    return [(each.rule, each.subject, each.count) for each in Look(engine, load()).look(SECONDS)]


def test_attacks_are_found_among_honest_requests(engine: Engine) -> None:
    """Each by its rule and address, in URL, agent and referer, with the lines and how they were answered."""
    lines = [
        *honest(300),
        request(301, "203.0.113.1", "/item?id=7'+UNION+SELECT+1--", 500),
        request(302, "203.0.113.1", "/item?id=7'+UNION+SELECT+1,2--", 200),
        request(303, "203.0.113.2", "/a", agent="${jndi:ldap://198.51.100.9/x}"),
        request(304, "203.0.113.3", "/wp-login.php", 404),
        request(305, "203.0.113.4", "/wp-login.php", 200),
        request(306, "2001:db8::5", "/..%2f..%2f..%2fetc/passwd", 400),
    ]
    store(engine, lines)

    found = {(each.rule, each.subject): each for each in Look(engine, load()).look(SECONDS)}

    assert found.keys() == {
        ("sql-injection", "203.0.113.1"),
        ("log4j", "203.0.113.2"),
        ("probe", "203.0.113.3"),
        ("traversal", "2001:db8::5"),
        ("sensitive-file", "2001:db8::5"),
    }
    injection = found["sql-injection", "203.0.113.1"]
    assert (injection.count, injection.kind, injection.path) == (2, "security", "/ab.log")
    assert injection.since == START + timedelta(seconds=301)
    assert "2 by 203.0.113.1, answered 500 (1), 200 (1); first /item?id=7'+UNION" in injection.summary
    shown = example_lines(engine, [injection])[injection.id]
    assert [each["line"].encode() + b"\n" for each in shown] == lines[300:302]


def test_bursts_are_found_across_looks(engine: Engine) -> None:
    """Failed logins, by status or by a login page that comes back, and a scan; told once while they last."""
    end, found = 0, []
    for minute in range(6):
        at = 60 * minute
        lines = [
            *(request(at + n, "203.0.113.1", "/admin", 401) for n in range(5)),
            *(request(at + n, "203.0.113.2", "/user/login", 200, method="POST") for n in range(5)),
            *(request(at + n, "203.0.113.3", "/user/login", 302, method="POST") for n in range(5)),
            *(request(at + n, "203.0.113.4", f"/old/{minute}-{n}.zip", 404) for n in range(10)),
            *(request(at + n, "203.0.113.5", "/missing.png", 404) for n in range(10)),
        ]
        end = store(engine, sorted(lines, key=lambda line: line.split(b"[")[1][:20]), end)
        found += look(engine)

    assert {each[:2] for each in found} == {
        ("brute-force", "203.0.113.1"),
        ("brute-force", "203.0.113.2"),
        ("scan", "203.0.113.4"),
    }
    assert len(found) == 3
    counts = {each.subject: each.count for each in findings(engine)}
    assert (counts["203.0.113.1"], counts["203.0.113.4"]) == (30, 60)


@pytest.mark.parametrize("format_", ["openssh", "syslog"])
def test_failed_logins_of_sshd(engine: Engine, format_: str) -> None:
    """By address and by user, whichever format has read the lines; those who come in count for nothing."""
    assert format_ in FORMATS
    lines = [
        ssh(n, f"Failed password for invalid user adm{n} from 203.0.113.7 port 4711 ssh2") for n in range(25)
    ]
    lines += [ssh(30 + n, f"Failed password for root from 198.51.100.{n} port 22 ssh2") for n in range(25)]
    lines += [ssh(60 + n, f"Accepted publickey for eva from 192.0.2.{n} port 22 ssh2") for n in range(25)]
    store(engine, lines, format_=format_)

    assert look(engine) == [("brute-force", "203.0.113.7", 25), ("brute-force-user", "root", 25)]


def test_a_botnet_is_no_flood_of_findings(engine: Engine) -> None:
    """Hundreds of addresses with the same attack: the busiest by themselves, the others as one."""
    lines = [request(1, f"203.0.{n // 250}.{n % 250}", "/.env", 404) for n in range(400)]
    lines += [request(2, "203.0.113.1", "/.git/config", 404)] * 3
    store(engine, lines)

    found = look(engine)

    assert len(found) == MOST_SUBJECTS + 1
    assert ("sensitive-file", "203.0.113.1", 3) in found
    assert ("sensitive-file", OTHERS, 400 - MOST_SUBJECTS + 1) in found


def test_a_spike_is_found_and_closed(engine: Engine) -> None:
    """Errors far above the usual are told after their five minutes, and closed after an hour without."""
    lines = [
        request(n, "198.51.100.1", "/", 503 if 7200 <= n < 7500 and n % 2 else 200) for n in range(12_000)
    ]
    store(engine, lines)

    (found,) = Look(engine, load()).look(SECONDS)

    assert (found.kind, found.rule, found.subject) == ("error", "error-spike", "5xx, all lines")
    assert (found.since, found.count) == (START + timedelta(seconds=7200), 150)
    assert found.state == State.CLOSED


def test_many_looks_find_what_one_does(engine: Engine) -> None:
    """A look after each segment, by a process that begins anew, notices the same as one over everything."""
    end, again = 0, []
    for minute in range(8):
        lines = [request(60 * minute + n, "203.0.113.4", f"/{minute}/{n}.sql", 404) for n in range(20)]
        end = store(engine, lines, end)
        again += look(engine)
    seen = Look(engine, load()).look_again(1)

    assert {each[:2] for each in again} == {(each.rule, each.subject) for each in seen}
    total = sum(each.count for each in findings(engine))
    assert total == sum(each.count for each in seen)


def test_of_several_looks_at_once_one_keeps(database_url: str) -> None:
    """Whoever is first keeps what was found; the others find that it has been looked at, and add nothing."""
    engines = [make_engine(database_url) for _ in range(4)]
    store(engines[0], [request(n, "203.0.113.1", "/.env", 200) for n in range(500)])

    with ThreadPoolExecutor() as threads:
        found = list(threads.map(lambda each: Look(each, load()).look(SECONDS), engines))

    assert sorted(map(len, found)) == [0, 0, 0, 1]
    assert [each.count for each in findings(engines[0])] == [500]
    for engine in engines:
        engine.dispose()


def test_a_look_has_its_time(engine: Engine) -> None:
    """What is not looked at in time is left to the next look."""
    for key in ("ab", "cd", "ef"):
        store(engine, [request(1, "203.0.113.1", "/.env", 200)], key=key)

    assert Look(engine, load()).look(0) == []
    assert len(look(engine)) == 3


def live(engine: Engine, key: str, path: str, hours: int = 8) -> None:
    """Store a source that has had a line each minute up to now, under a path."""
    now = datetime.now(UTC).replace(microsecond=0)
    seconds = int((now - START).total_seconds())
    lines = [request(seconds - 60 * n, "198.51.100.1", "/") for n in reversed(range(60 * hours))]
    store(engine, lines, key=key)
    with transaction(engine) as connection:
        connection.execute(
            text("UPDATE sources SET path = :path WHERE key = :key"), {"path": path, "key": key * 16}
        )


def overdue(engine: Engine) -> None:
    """Let the time pass at which silence is told."""
    past = datetime.now(UTC) - timedelta(minutes=1)
    with transaction(engine) as connection:
        known = DetectionState.silent_after.is_not(None)
        connection.execute(update(DetectionState).where(known).values(silent_after=past))


def test_silence_is_told_and_ends_with_a_line(engine: Engine) -> None:
    """A source that was followed and has no lines any more is told once; its next line closes that."""
    live(engine, "ab", "/var/log/app.log")
    assert look(engine) == []
    overdue(engine)

    assert look(engine) == [("silence", "/var/log/app.log", 1)]
    assert look(engine) == []
    (lasting,) = findings(engine, Wanted(lasting=True))
    assert (lasting.severity, lasting.kind) == ("high", "performance")

    seconds = int((datetime.now(UTC) - START).total_seconds())
    with reading(engine) as connection:
        end = connection.execute(text("SELECT max(end_offset) FROM segments")).scalar_one()
    store(engine, [request(seconds, "198.51.100.1", "/")], end)
    look(engine)
    assert findings(engine, Wanted(lasting=True)) == []


def test_a_rotated_file_is_not_silent(engine: Engine) -> None:
    """Its name goes on with another generation."""
    live(engine, "ab", "/var/log/app.log.1")
    live(engine, "cd", "/var/log/app.log")
    look(engine)
    overdue(engine)

    silent: list[Finding] = Look(engine, load()).look(SECONDS)

    assert [each.path for each in silent] == ["/var/log/app.log"]
