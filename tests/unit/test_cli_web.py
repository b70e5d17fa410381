"""`web` and `report`: what they refuse, and what they say while nothing is there yet."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from db.engine import make_engine
from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.cli import reader
from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.errors import ConfigurationError, DatabaseUnavailable
from pipeline.report.figures import Selection
from pipeline.settings import Settings
from tests.databases import migrate
from tests.figures import SELECTION

LINE = b'192.0.2.1 - ann [01/Mar/2026:10:00:09 +0000] "GET /a HTTP/1.1" 200 12 "-" "curl/8"\n'
PERIOD = ("--since", "2026-03-01", "--until", "2026-03-02")


@pytest.fixture
def filled(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of an installation with one record."""
    engine = make_engine(sqlite_url)
    CleanStore(engine).store(Batch(Source("ab" * 16, "web-1", "/a.log", format="combined"), 0, LINE))
    engine.dispose()
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("web", "--host", "0.0.0.0"), "SLUICE_WEB_AUTH"),
        (("web", "--flower", "javascript:1"), "--flower"),
        (("report", "--since", "yesterday"), "--since"),
        (("report", "--since", "2026-03-02", "--until", "2026-03-01"), "--since"),
        (("report", "--output", "x.pdf"), "--format"),
        (("report", "--output", "-"), "--format"),
        (("report", *PERIOD, "--source", "9"), "status"),
    ],
)
def test_what_does_not_fit_is_named(
    filled: Path, arguments: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what to change, and nothing is written."""
    assert main(arguments) == USAGE
    assert named in capsys.readouterr().err
    assert not list(filled.glob("*.html"))


@pytest.mark.parametrize("kind", ["html", "md", "json"])
def test_a_report_is_written(filled: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the name of the file, with the record in it; the last line says where it is."""
    assert main(("report", *PERIOD, "--compare", "--source", "1", "--output", f"day.{kind}", "--json")) == OK
    assert json.loads(capsys.readouterr().out) == {"output": f"day.{kind}", "format": kind, "problems": []}
    assert "/a" in (filled / f"day.{kind}").read_text()


def test_a_report_goes_to_standard_output(filled: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Nothing but the report."""
    assert main(("report", *PERIOD, "--format", "json", "--output", "-")) == OK
    assert json.loads(capsysbinary.readouterr().out)["figures"]["paths"] == [
        {"path": "/a", "hits": 1, "bytes": 12}
    ]


def test_a_report_without_a_database_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is written, names what it lacks, and the exit code tells; no database is made by looking."""
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))

    assert main(("report", *PERIOD, "--output", str(tmp_path / "r.md"))) == FAILED
    assert "no database" in capsys.readouterr().err
    assert "no database" in (tmp_path / "r.md").read_text()
    assert not (tmp_path / "var" / "sluice.db").exists()


def test_a_database_that_comes_later_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page need not be started again."""
    monkeypatch.setattr(reader, "AGAIN_SECONDS", 0.0)
    settings = Settings(state_dir=tmp_path / "var")
    with reader.parts(settings, "test") as parts:
        with pytest.raises(ConfigurationError, match="no database"):
            parts["sources"](SELECTION)
        migrate(f"sqlite:///{tmp_path / 'var' / 'sluice.db'}")

        assert parts["sources"](SELECTION).rows == []


def test_a_server_that_is_away_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many questions the first tells; the others do not wait for the same again."""
    asked = []

    def check(_: str) -> None:
        asked.append(1)
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(reader.schema, "check", check)
    settings = Settings(state_dir=tmp_path, database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"))
    with reader.parts(settings, "test") as parts:
        for part in ("traffic", "sources", "missing"):
            with pytest.raises(DatabaseUnavailable):
                parts[part](Selection(SELECTION.period))

    assert len(asked) == 1
