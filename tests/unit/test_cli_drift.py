"""The command `drift`, on drifts of the embedded database."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, insert, update

from db.drifts import DriftEvent
from db.engine import make_engine, transaction
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli.main import OK, USAGE, main
from pipeline.settings import Settings

NOTICED = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: Two drifts: the lines of one do not parse, those of the other are of a new path.
EVENTS = [
    ("rejected", "rejected: lines", "bad \x1b[2J line", NOTICED.replace(day=1)),
    ("paths", "paths: new", "GET /new", NOTICED.replace(day=2)),
]


@pytest.fixture(autouse=True)
def _drifted(database: Engine) -> None:
    for stage in (LakeStore, CleanStore):
        stage(database).store(Batch(Source("ab" * 16, "web-1", "/var/my log"), 0, b"line one\n"))
    with transaction(database) as connection:
        for kind, name, line, noticed in EVENTS:
            values = {
                "source_id": 1,
                "kind": kind,
                "start_offset": 700,
                "end_offset": 900,
                "since": NOTICED,
                "noticed_at": noticed,
                "changes": [{"name": name, "before": 0.001, "after": 0.25}],
                "examples": {"before": [], "after": [{"offset": 710, "line": line}]},
            }
            connection.execute(insert(DriftEvent).values(values))


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = OK) -> dict[str, Any]:
    """Return the JSON object of a command that ends with this code."""
    assert main(["drift", *arguments, "--json"]) == code
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def test_status_counts_those_of_a_day(capsys: pytest.CaptureFixture[str]) -> None:
    """`status` says how many were noticed lately: the old ones do not count."""
    engine = make_engine(Settings.from_environment().sqlalchemy_url)
    with transaction(engine) as connection:
        connection.execute(update(DriftEvent).where(DriftEvent.id == 2).values(noticed_at=datetime.now(UTC)))
    engine.dispose()

    main(["status", "--json"])

    assert json.loads(capsys.readouterr().out.splitlines()[-1])["drifts"] == 1


def test_drifts_are_listed_and_are_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """Each says what changed, from what to what, since when, and the code is 0."""
    first, second = answer(capsys)["drifts"]

    assert first["summary"].startswith("rejected: lines 0.10 % → 25.00 %, since byte 700 (2026-03-01")
    assert first["advice"] == [
        "python -m pipeline formats try '/var/my log'",
        "python -m pipeline replay clean --source 1 --dry-run",
    ]
    assert (second["kind"], second["advice"]) == ("paths", [])


def test_chosen_by_source_time_and_number(capsys: pytest.CaptureFixture[str]) -> None:
    """`--since` goes by the moment of noticing, `--limit` keeps the newest."""
    assert len(answer(capsys, "--source", "/var/my log")["drifts"]) == 2
    assert [each["kind"] for each in answer(capsys, "--since", "2026-03-02")["drifts"]] == ["paths"]
    assert [each["kind"] for each in answer(capsys, "--limit", "1")["drifts"]] == ["paths"]
    assert answer(capsys, "--since", "2026-03-03")["drifts"] == []


def test_a_terminal_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """A control character of a line is written out."""
    assert main(["drift"]) == OK

    shown = capsys.readouterr().out
    assert "after     710: bad \\x1b[2J line" in shown
    assert "\x1b" not in shown


def test_recheck_goes_by_what_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    """A source whose lines show no drift has none, whatever was noticed."""
    assert answer(capsys, "--recheck", "1")["drifts"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--source", "9"), "no source"),
        (("--since", "soon"), "--since soon"),
        (("--recheck", "1", "--since", "2026-03-01"), "--recheck"),
    ],
)
def test_what_does_not_fit_is_named(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    """A wrong source, time or pair of options is a usage error that names it."""
    assert said in answer(capsys, *arguments, code=USAGE)["error"]
