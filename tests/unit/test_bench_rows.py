"""The reference gets the same facts as the pipeline, in the text that its loader reads."""

import sqlite3
from pathlib import Path

import pytest

from bench import reference, rows
from bench.reference import load_sqlite
from pipeline.errors import PipelineError
from pipeline.generate import write_file

LINE = (
    b'203.0.113.9 s1 jane@example.org [01/Mar/2023:00:00:09 -0500] "GET https://a.example:443/x?q=1 HTTP/1.1"'
    b' 404 2048 "https://r.example/a\\tb" "agent, \xc3\xa9"\n'
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of two lines."""
    path = tmp_path / "two.log"
    path.write_bytes(LINE * 2)
    return path


def test_the_reference_has_the_expected_columns() -> None:
    """27 columns of clean with the derived ones, and place and line of the lake."""
    assert len(rows.CLEAN_COLUMNS) == 27
    assert rows.RAW_COLUMNS == ("source integer", '"offset" bigint', "line text")


def test_rows_hold_the_values_and_what_follows_from_them(log: Path, tmp_path: Path) -> None:
    """Time is UTC, derived columns are there, COPY's escapes stand where they must."""
    made = rows.write_rows(log, tmp_path / "rows", rows.COPY)
    names = [definition.rpartition(" ")[0].strip('"') for definition in rows.CLEAN_COLUMNS]
    first, second = made.clean.read_text().splitlines()
    values = dict(zip((name.split()[0] for name in names), first.split("\t"), strict=True))

    assert values["timestamp"] == "2023-03-01 05:00:09+00:00"
    assert (values["year"], values["day_of_week"], values["is_email"]) == ("2023", "Wednesday", "t")
    assert (values["email_domain"], values["url"]) == ("example.org", "https://a.example:443/x?q=1")
    assert (values["status_verbose"], values["size_kilo_bytes"]) == ("Not Found", "2.0")
    assert values["referer"] == "https://r.example/a\\\\tb"
    assert values["country"] == "\\N"
    assert second.startswith(f"1\t{len(LINE)}\t")


def test_raw_rows_hold_the_lines(log: Path, tmp_path: Path) -> None:
    """The lake's rows are offset and line, quoted as CSV needs it."""
    made = rows.write_rows(log, tmp_path / "rows", rows.CSV)

    assert made.raw.read_text().splitlines()[0] == '1,0,"' + LINE.decode().rstrip().replace('"', '""') + '"'


def test_lines_that_do_not_parse_stop_the_reference(tmp_path: Path) -> None:
    """A comparison over different lines would mean nothing."""
    path = tmp_path / "odd.log"
    path.write_bytes(LINE + b"odd\n")

    with pytest.raises(PipelineError, match="do not parse"):
        rows.write_rows(path, tmp_path / "rows", rows.COPY)


def test_sqlite_imports_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's .import takes all rows of both files, and its time is measured."""
    if reference.shutil.which("sqlite3") is None:
        pytest.skip("no sqlite3 on PATH")
    log = tmp_path / "sample.log"
    write_file(log, 500)
    made = rows.write_rows(log, tmp_path / "rows", rows.CSV)
    kept: list[Path] = []
    monkeypatch.setattr(reference.shutil, "rmtree", kept.append)

    run = load_sqlite(made, tmp_path / "reference", 500)

    with sqlite3.connect(kept[0] / "reference.db") as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name, _ in made.tables]
    connection.close()
    assert counts == [(500,), (500,)]
    assert run.seconds > 0
    assert run.usage.cpu_seconds["sqlite3"] > 0
