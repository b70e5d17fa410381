"""The command `findings`, on findings of the embedded database, and what `status` says of them."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from db.engine import make_engine, transaction
from db.noting import note
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli.main import OK, USAGE, main
from pipeline.detect.sighting import Sighting
from pipeline.settings import Settings
from tests.unit.conftest import Answer

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _noticed(database: Engine) -> None:
    LakeStore(database).store(Batch(Source("ab" * 16, "web-1", "/var/my log"), 0, b"bad \x1b[2J line\n"))
    scan = Sighting("security", "scan", "high", "192.0.2.1\x1b", NOON, NOON, 40, "40 paths \x9b", (0,))
    spike = Sighting("error", "spike", "medium", "all lines", NOON, NOON, 7, "7 errors")
    with transaction(database) as connection:
        note(connection, 1, [scan], NOON)
        note(connection, None, [spike], NOON + timedelta(days=1))


def test_each_is_shown_with_its_lines(answer: Answer) -> None:
    """An object holds every field, and the lines of its places."""
    scan, spike = answer("findings")["findings"]

    assert (scan["rule"], scan["severity"], scan["count"], scan["path"]) == (
        "scan",
        "high",
        40,
        "/var/my log",
    )
    assert scan["lines"] == [{"source_id": 1, "offset": 0, "line": "bad \x1b[2J line"}]
    assert (spike["source_id"], spike["lines"]) == (None, [])


def test_chosen_by_kind_source_time_and_number(answer: Answer) -> None:
    """`--since` goes by the moment of noticing, `--limit` keeps the newest."""
    for arguments, rules in (
        (("--kind", "security"), ["scan"]),
        (("--source", "/var/my log"), ["scan"]),
        (("--since", "2026-03-02"), ["spike"]),
        (("--limit", "1"), ["spike"]),
        (("--open",), ["scan", "spike"]),
    ):
        assert [each["rule"] for each in answer("findings", *arguments)["findings"]] == rules


def test_a_terminal_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of a line, and of a subject that comes from one, are written out."""
    assert main(["findings"]) == OK
    shown = capsys.readouterr().out

    assert "line      0: bad \\x1b[2J line" in shown
    assert "rule      scan: 192.0.2.1\\x1b" in shown
    assert not {"\x1b", "\x9b"} & set(shown)


def test_status_counts_the_open_ones(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    """By severity, the worst first, for people and programs."""
    assert answer("status")["findings"] == {"high": 1, "medium": 1}

    main(["status"])

    assert (
        "open findings: 1 high, 1 medium, see python -m pipeline findings --open" in capsys.readouterr().out
    )


def test_recheck_goes_by_what_is_stored(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever was noticed before: the lines that are stored are looked at, and nothing is kept."""
    line = b'203.0.113.1 - - [01/Mar/2026:00:00:09 +0000] "GET /.env?\x1b HTTP/1.1" 200 12 "-" "curl/8"\n'
    engine = make_engine(Settings.from_environment().sqlalchemy_url)
    CleanStore(engine).store(Batch(Source("cd" * 16, "web-1", "/web.log", format="combined"), 0, line))
    engine.dispose()

    (found,) = answer("findings", "--recheck", "/web.log")["sightings"]

    assert (found["rule"], found["subject"], found["count"]) == ("sensitive-file", "203.0.113.1", 1)
    assert len(answer("findings")["findings"]) == 2
    assert main(["findings", "--recheck", "/web.log"]) == OK
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--source", "9"), "no source"),
        (("--since", "soon"), "--since soon"),
        (("--recheck", "1", "--open"), "--recheck"),
    ],
)
def test_what_does_not_fit_is_named(answer: Answer, arguments: tuple[str, ...], said: str) -> None:
    """A wrong source or time is a usage error that names it."""
    assert said in answer("findings", *arguments, code=USAGE)["error"]
