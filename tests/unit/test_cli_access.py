"""The command `access`, on the embedded database."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from db.engine import make_engine
from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.cli.main import OK, USAGE, main
from pipeline.settings import Settings
from tests.databases import migrate
from tests.unit.conftest import Answer

HOSTILE = "=1+1\u202e"
LINES = (
    '203.0.113.9 - ann [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 1 "-" "x"\n'
    f'203.0.113.9 - {HOSTILE} [18/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 1 "-" "{HOSTILE}"\n'
)
KEY = "k" * 32


def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a database with the lines, under the settings of the environment."""
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    url = Settings.from_environment().sqlalchemy_url
    migrate(url)
    engine = make_engine(url)
    CleanStore(engine).store(Batch(Source("ab" * 16, "web-1", "/log", format="combined"), 0, LINES.encode()))
    engine.dispose()


@pytest.fixture(autouse=True)
def _stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path, monkeypatch)


def objects(out: str) -> list[dict[str, Any]]:
    """Return the objects of JSON lines."""
    return [json.loads(text) for text in out.splitlines()]


def test_json_is_an_object_a_line_and_a_sum(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows come as they are read; the last line counts them."""
    assert main(["access", "--resource", "/a", "--json"]) == OK

    out = capsys.readouterr().out
    first, second, last = objects(out)
    assert (first["user"], first["url"], first["timestamp"]) == ("ann", "/a", "2015-05-17T10:05:03+00:00")
    assert second["user"] == HOSTILE
    assert last == {"rows": 2}
    assert out.isascii()


def test_every_form_is_inert(capsys: pytest.CaptureFixture[str]) -> None:
    """A spreadsheet runs no formula of a user's name, and a terminal obeys none of its characters."""
    assert main(["access", "--resource", "/a", "--csv"]) == OK
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert [row["user"] for row in found] == ["ann", f"'{HOSTILE}"]

    assert main(["access", "--resource", "/*"]) == OK
    out = capsys.readouterr().out
    assert "\u202e" not in out
    assert "\\u202e" in out


def test_a_summary(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each user of a resource."""
    assert main(["access", "--resource", "/a", "--summary", "--json"]) == OK

    *rows, _ = objects(capsys.readouterr().out)
    assert {row["user"]: row["accesses"] for row in rows} == {"ann": 1, HOSTILE: 1}
    assert answer("access", "--user", "ann", "--until", "2015-05-17")["rows"] == 0


def test_a_pseudonym_is_found_by_its_user(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where clean holds pseudonyms, their key finds the user."""
    from pipeline.formats import privacy  # noqa: PLC0415 - for the end of the test alone

    policy = tmp_path / "privacy.toml"
    policy.write_text('[columns]\nuser_name = "pseudonym"\n')
    monkeypatch.setenv("SLUICE_PRIVACY_FILE", str(policy))
    monkeypatch.setenv("SLUICE_PRIVACY_KEY", KEY)
    try:
        privacy.adopt(Settings.from_environment().privacy)
        store(tmp_path / "other", monkeypatch)

        assert answer("access", "--user", "ann")["rows"] == 1
    finally:
        privacy.adopt(privacy.Policy())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--user", "ann", "--csv", "--json"],
        ["--user", "ann", "--since", "2015-05-18", "--until", "2015-05-18"],
        ["--user", "ann", "--source", "/nowhere"],
    ],
)
def test_what_makes_no_question_is_refused(arguments: list[str]) -> None:
    """Nothing to ask for, two forms at once, an empty range, an unknown source."""
    assert main(["access", *arguments]) == USAGE
