"""The command `export`, on the embedded database."""

import base64
import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from db.engine import make_engine
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.settings import Settings

LINES = (
    b'203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 1 "-" "=1+1"\n',
    b'203.0.113.9 - - [18/May/2015:10:05:03 +0000] "GET /b HTTP/1.1" 200 1 "-" "\xff"\n',
)


@pytest.fixture(autouse=True)
def state(database: Engine, tmp_path: Path) -> Path:
    """Folder of a database with two records and their lines."""
    for store in (LakeStore(database), CleanStore(database)):
        store.store(Batch(Source("ab" * 16, "web-1", "/log", format="combined"), 0, b"".join(LINES)))
    return tmp_path / "var"


def exported(tmp_path: Path, *arguments: str, stage: str = "clean") -> bytes:
    """Return the file that an export with these arguments writes."""
    target = tmp_path / "out"
    assert main(["export", stage, *arguments, "--output", str(target)]) == OK
    return target.read_bytes()


def records(content: bytes) -> list[dict[str, Any]]:
    """Return the rows of a CSV with a head."""
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_csv_is_harmless_unless_told_otherwise(tmp_path: Path) -> None:
    """A user agent that is a formula gets an apostrophe, and none with --raw-csv."""
    assert [row["user_agent"] for row in records(exported(tmp_path))] == ["'=1+1", "\\xff"]
    assert [row["user_agent"] for row in records(exported(tmp_path, "--raw-csv"))] == ["=1+1", "\\xff"]


def test_json_lines_of_the_lake(tmp_path: Path) -> None:
    """A line that is UTF-8 stands as text, another one's bytes in base64 too."""
    first, second = map(json.loads, exported(tmp_path, "--format", "jsonl", stage="lake").splitlines())

    assert first["line"] == LINES[0].decode().removesuffix("\n")
    assert "raw_base64" not in first
    assert base64.b64decode(second["raw_base64"]) == LINES[1]
    assert (second["source_id"], second["line_start"]) == (1, len(LINES[0]))


def test_parquet(tmp_path: Path) -> None:
    """The columns are those of the view, whatever is NULL in them."""
    found = pq.read_table(io.BytesIO(exported(tmp_path, "--format", "parquet")))

    assert found.column("path").to_pylist() == ["/a", "/b"]
    assert {"is_bot", "extra", "status_verbose"} <= set(found.column_names)


def test_range_and_source(tmp_path: Path) -> None:
    """Days are of the records' own time, in UTC, and a source goes by its path."""
    chosen = ("--since", "2015-05-18", "--until", "2015-05-18T12:05:04+02:00", "--source", "/log")

    assert [row["path"] for row in records(exported(tmp_path, *chosen))] == ["/b"]


def test_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the last line says what was written."""
    target = tmp_path / "out"

    assert main(["export", "lake", "--output", str(target), "--json"]) == OK

    assert json.loads(capsys.readouterr().out) == {
        "stage": "lake",
        "format": "csv",
        "output": str(target),
        "rows": 2,
    }


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_standard_output_is_the_same(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, name: str
) -> None:
    """What goes to standard output is the file, without a word more."""
    assert main(["export", "clean", "--format", name]) == OK

    assert capfdbinary.readouterr().out == exported(tmp_path, "--format", name)


def test_a_pipe_gets_the_same(state: Path, tmp_path: Path) -> None:
    """What the process of the command writes into a pipe is the file, without a word more."""
    command = [sys.executable, "-m", "pipeline", "export", "clean", "--format", "jsonl"]

    piped = subprocess.run(command, check=True, capture_output=True, env={"SLUICE_STATE_DIR": str(state)})

    assert piped.stdout == exported(tmp_path, "--format", "jsonl")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "--since yesterday: not a day"),
        (["--since", "2015-05-18", "--until", "2015-05-18"], "--until 2015-05-18 is not after"),
        (["--source", "/none"], "no source has the id or path /none"),
        (["--format", "jsonl", "--raw-csv"], "--raw-csv is about --format csv"),
        (["--json"], "--json needs a file"),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """What does not fit is named, and nothing is written to stdout but with --json."""
    assert main(["export", "clean", *arguments]) == USAGE
    assert message in capsys.readouterr().err


def test_missing_library_is_named(state: Path, tmp_path: Path) -> None:
    """Without pyarrow the error says what to install, and there is no file."""
    (tmp_path / "pyarrow.py").write_text("raise ImportError('no pyarrow here')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from pipeline.cli.main import main; "
    code += f"sys.exit(main(['export', 'clean', '--format', 'parquet', '--output', {str(tmp_path / 'x')!r}]))"

    run = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env={"SLUICE_STATE_DIR": str(state)},
    )

    assert run.returncode == USAGE
    assert "pip install pyarrow" in run.stderr
    assert not (tmp_path / "x").exists()


def test_file_stays_as_it_was_on_an_error(tmp_path: Path) -> None:
    """An export that meets a gap in the lake leaves the file of the last one alone."""
    before = exported(tmp_path, stage="lake")
    engine = make_engine(Settings.from_environment().sqlalchemy_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM raw_logs WHERE line_start > 0")
    engine.dispose()

    assert main(["export", "lake", "--output", str(tmp_path / "out")]) == FAILED

    assert (tmp_path / "out").read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
