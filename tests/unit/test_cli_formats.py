"""The command `formats`: what it prints, and its exit codes."""

import bz2
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.formats import FORMATS
from tests.unit.formats.lines import COMBINED_LINE, COMMON_LINE, PATTERNS, PROXY_LINE


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Path of a log that a test writes."""
    return tmp_path / "access.log"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = OK) -> dict[str, Any]:
    """Return the JSON object of a command that ends with this code."""
    assert main(["formats", *arguments, "--json"]) == code
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = OK) -> str:
    """Return what a command that ends with this code prints for a person."""
    assert main(["formats", *arguments]) == code
    return capsys.readouterr().out


def test_every_format_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each format has a line with name, version, number of columns and description."""
    listed = answer(capsys, "list")["formats"]

    assert [each["name"] for each in listed] == list(FORMATS)
    assert next(each for each in listed if each["name"] == "combined") == {
        "name": "combined",
        "version": FORMATS["combined"].version,
        "columns": len(FORMATS["combined"].columns),
        "description": FORMATS["combined"].description,
    }
    assert all(each["description"] in printed(capsys, "list") for each in listed)


@pytest.mark.parametrize("name", [each.name for each in PATTERNS])
def test_a_format_is_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` has the pattern with its placeholders, the columns by group, and the example's typed values."""
    shown = answer(capsys, "show", name)

    assert shown["pattern"] == FORMATS[name].pattern
    assert [each["column"] for each in shown["columns"]] == list(FORMATS[name].columns)
    columns = {each["column"]: each for each in shown["columns"]}
    assert columns["timestamp"]["example"] is not None
    if "status" in columns:
        status = {"group": columns["status"]["group"], "column": "status", "type": "smallint", "example": 200}
        assert columns["status"] == status
    assert FORMATS[name].example.decode() in printed(capsys, "show", name)


def test_a_file_that_parses_is_well(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of one format is recognised, every line counted, its first records typed, with code 0."""
    log.write_bytes((COMBINED_LINE + b"\n") * 4 + COMBINED_LINE)

    found = answer(capsys, "try", str(log), "--records", "2")

    assert (found["format"], found["version"]) == ("combined", FORMATS["combined"].version)
    assert found["scores"] == dict.fromkeys(FORMATS, 0) | {"combined": 1}
    assert (found["lines"], found["records"], found["rejected"], found["percent"]) == (5, 5, 0, 100)
    assert found["kinds"] == []
    assert [each["line_number"] for each in found["first"]] == [1, 2]
    assert found["first"][0]["record"]["timestamp"] == "2015-05-17 10:05:03+00:00"
    assert found["types"]["timestamp"] == "timestamp"


def test_a_caret_stands_where_matching_stops(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rejected line makes the code 1, and is shown with its number, reason and a caret at the place."""
    broken = "漢e\u0301 " + COMMON_LINE.decode().partition(" ")[2].replace("17/May", "40/May")
    log.write_bytes((COMMON_LINE + b"\n") * 3 + broken.encode() + b"\n")

    lines = printed(capsys, "try", str(log), code=FAILED).splitlines()

    (heading,) = (number for number, line in enumerate(lines) if line.startswith("1 rejected, time … "))
    assert lines[heading].endswith("the first is line 4:")
    assert lines[heading + 1].startswith("  漢e\u0301 - - [40/May")
    # The first character takes two cells, and the accent none.
    assert lines[heading + 2].index("^") == lines[heading + 1].index("40/May")
    kind = answer(capsys, "try", str(log), code=FAILED)["kinds"][0]
    assert (kind["line_number"], kind["position"]) == (4, broken.encode().index(b"40/May"))
    assert kind["after"].startswith("40/May")
    assert kind["before"] == "漢e\u0301 - - ["


HOSTILE = {
    "escape": b"\x1b]0;owned\x07\x1b[2J",
    "NUL": b"a\0b",
    "invalid UTF-8": b"\xff\xfe\xc3",
    "C1 control": "\x9b2J".encode(),
    "bidirectional": "a\u202eb".encode(),
    "line separator": "a\u2028b".encode(),
    "carriage return": b"a\rb",
    "very long": b"\x1b" * 3_000_000,
    "empty": b"",
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_line_comes_out_inert(
    hostile: bytes, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a line holds, alone or in a field, a terminal gets printable text of bounded length."""
    field = hostile[:99].replace(b"\r", b"")
    log.write_bytes(b"\n".join((hostile, COMMON_LINE, COMMON_LINE.replace(b"/a", b"/" + field), COMMON_LINE)))

    lines = printed(capsys, "try", str(log), code=FAILED).split("\n")

    assert all(line.isprintable() and len(line) < 300 for line in lines)
    assert sum("^" in line for line in lines) == 1
    assert answer(capsys, "try", str(log), code=FAILED)["rejected"] == 1


def test_a_hostile_name_comes_out_inert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An escape sequence in the name of a file is written out, in the result and in an error."""
    log = tmp_path / "a\x1b[2Jb"
    log.write_bytes(COMMON_LINE)

    assert "\x1b" not in printed(capsys, "try", str(log))
    log.unlink()
    assert main(["formats", "try", str(log)]) == USAGE
    assert "\x1b" not in capsys.readouterr().err


def test_any_terminal_will_do(log: Path) -> None:
    """On a terminal that knows ASCII only, other characters come out as escapes."""
    log.write_text("漢" * 99)

    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "formats", "try", str(log), "--format", "common"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (FAILED, b"")
    assert rb"\u6f22" in done.stdout


def test_lines_are_limited(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--lines` what follows is not read, and the result says that there may be more."""
    log.write_bytes((PROXY_LINE + b"\n") * 3 + b"noise\n" * 9)

    assert answer(capsys, "try", str(log), "--lines", "3")["lines"] == 3
    assert "there may be more" in printed(capsys, "try", str(log), "--lines", "3")


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_compressed_file_is_read_inside(
    ending: str, compress: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A compressed log is tried like a plain one; a damaged one is named, with code 2."""
    log = tmp_path / f"access.log{ending}"
    archive = compress((COMMON_LINE + b"\n") * 30_000)
    log.write_bytes(archive)
    assert answer(capsys, "try", str(log), "--lines", "40000")["records"] == 30_000

    log.write_bytes(archive[: len(archive) // 2])
    assert "ends in the middle" in answer(capsys, "try", str(log), "--lines", "40000", code=USAGE)["error"]


def test_standard_input_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A dash stands for stdin, and nothing is stored by a trial."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PROXY_LINE)))

    found = answer(capsys, "try", "-")

    assert (found["path"], found["format"], found["records"]) == ("-", "proxy", 1)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(sys, "stdin", None)
    assert "stdin is closed" in answer(capsys, "try", "-", code=USAGE)["error"]


def test_a_format_can_be_named(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--format` is tried though the lines are of another or of none, and the scores are still told."""
    log.write_bytes(COMBINED_LINE + b"\n")

    found = answer(capsys, "try", str(log), "--format", "common", code=FAILED)

    assert (found["format"], found["records"], found["percent"]) == ("common", 0, 0)
    assert found["scores"]["combined"] == 1
    assert found["kinds"][0]["signature"] == "expected the end of the line"
    log.write_bytes(b"")
    assert answer(capsys, "try", str(log), "--format", "common")["lines"] == 0


def test_a_format_can_be_made_from_its_name(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name with W3C fields is a format to try and to show; one without a time is refused with code 2."""
    name = "w3c:date,time,sc-status"
    log.write_bytes(b"#Fields: date time sc-status\n2015-05-17 10:05:03 304\nnoise\n")

    found = answer(capsys, "try", str(log), "--format", name, code=FAILED)
    shown = answer(capsys, "show", name)

    assert (found["format"], found["records"], found["headers"], found["rejected"]) == (name, 1, 1, 1)
    assert found["first"][0]["record"]["status"] == 304
    assert ["sc_status", "status", "smallint", None] in [list(each.values()) for each in shown["columns"]]
    assert "date and time are needed" in answer(capsys, "show", "w3c:date", code=USAGE)["error"]


def test_confidence_and_kinds_of_records_are_told(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mixed file shows how sure the format is, what was partial, and which lines another format read."""
    log.write_bytes(b"\n".join([COMBINED_LINE] * 6 + [COMMON_LINE] * 2 + [COMBINED_LINE[:-1], b"#"]) + b"\n")

    found = answer(capsys, "try", str(log), code=FAILED)
    lines = printed(capsys, "try", str(log), code=FAILED).splitlines()

    assert found["confidence"] == {"format": "combined", "share": 6 / 9, "margin": 4 / 9}
    assert (found["partial"], found["others"], found["records"]) == ({"user_agent": 1}, {"common": 2}, 9)
    assert lines[1].endswith("(combined 66.7 %, common 22.2 %; 44.4 % ahead)")
    assert lines[3] == "records   9 (90.00 %), 1 partial without user_agent, 2 common"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "it is empty"), (b'{"a": 1}\n', "no format is recognised"), (b"\n\n", "no format")],
)
def test_no_format_is_named_as_such(
    content: bytes, complaint: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of no format, or without a line, ends with code 2 and the option to name one."""
    log.write_bytes(content)

    error = answer(capsys, "try", str(log), code=USAGE)["error"]

    assert complaint in error
    assert "--format" in error


def test_what_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, a folder, and an unknown format end with code 2 and say what is wrong."""
    assert "No such file" in answer(capsys, "try", str(tmp_path / "none"), code=USAGE)["error"]
    assert "not a regular file" in answer(capsys, "try", str(tmp_path), code=USAGE)["error"]
    assert "combined, common" in answer(capsys, "try", "-", "--format", "apache", code=USAGE)["error"]
    assert "combined, common" in answer(capsys, "show", "apache", code=USAGE)["error"]
