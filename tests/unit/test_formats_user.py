"""Format files of users: what they may say, and how what does not fit is told."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS, detect
from pipeline.formats.examples import failures
from pipeline.formats.naming import USUAL
from pipeline.formats.userfile import load, register
from pipeline.formats.userpattern import PLACEHOLDERS
from tests.unit.formats.lines import COMMON_LINE, record, rejection

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "user-formats.md").read_text()
#: The worked example of the document.
SHOP = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)[0]
LINE = b"2026-11-24 12:00:00 [a] INFO x=1"
PATTERN = "pattern = '''{time:time} \\[{bracketed:program}\\] {level:level} x={integer:x}'''\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of format files, which the environment names; no format of it outlives the test."""
    monkeypatch.setenv("SLUICE_FORMATS_DIR", str(tmp_path))
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    yield tmp_path
    register(None)


def written(folder: Path, body: str = PATTERN, **changed: str) -> Path:
    """Write a file with these lines and what every file has; `changed` replaces the value of a key."""
    keys = {"name": "'mine'", "version": "1", "description": "'d'", "example": f"'{LINE.decode()}'"} | changed
    path = folder / "mine.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in keys.items() if value) + body)
    return path


def test_the_worked_example_works(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file of the document passes its tests, and the command prints what the document shows."""
    path = folder / "shop.toml"
    path.write_text(SHOP)

    assert main(["formats", "test", str(path)]) == OK
    shown = re.findall(r"formats test shop.toml\n(.*?)```", DOCUMENT, re.DOTALL)[0]
    assert shown.split() == capsys.readouterr().out.split()


def test_the_document_names_what_there_is() -> None:
    """Each placeholder and each usual name stands in the document."""
    assert not [name for name in PLACEHOLDERS if f"`{{{name}}}`" not in DOCUMENT]
    assert not [name for names in USUAL.values() for name in names.split() if name not in DOCUMENT]


def test_a_format_of_a_user_is_one_of_the_formats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is recognised, listed, shown and tried like a built-in one, and gone with its file."""
    path = folder / "shop.toml"
    path.write_text(SHOP)
    register(folder)

    shop = FORMATS["shop"]
    assert list(FORMATS)[-1] == "shop"
    assert detect(shop.example) is shop
    log = folder / "shop.log"
    log.write_bytes(shop.example + b"\n")
    for arguments in (["list"], ["show", "shop"], ["try", str(log), "--format", "shop"], ["test", "shop"]):
        assert main(["formats", *arguments]) == OK
        assert "shop" in capsys.readouterr().out
    path.unlink()
    assert main(["formats", "list"]) == OK
    assert "shop" not in FORMATS


def test_the_pools_know_the_formats_of_users(folder: Path) -> None:
    """A process of Celery reads the folder with its settings, and does not start with a wrong file."""
    command = [
        sys.executable,
        "-c",
        "import celeryconfig; from pipeline.formats import FORMATS; print(*FORMATS)",
    ]
    (folder / "shop.toml").write_text(SHOP)

    started = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    written(folder, PATTERN, version="0")
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert started.stdout.split()[-1] == "shop"
    assert refused.returncode
    assert refused.stderr.startswith(f"error: {folder / 'mine.toml'}: version: ")


def test_a_test_that_fails_says_how(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each difference is named, and the exit code is that of failure."""
    tests = f"""[[test]]
line = '{LINE.decode()}'
[test.record]
timestamp = "2026-11-24T12:00:01Z"
utc_offset_minutes = 0
inferred = "zone"
program = "a"
level = "INFO"
port = 1
[[test]]
line = 'noise'
rejected = 'another reason'
[[test]]
line = '{LINE.decode()}'
rejected = 'why'
[[test]]
line = 'noise'
record = {{ timestamp = "2026-11-24T12:00:01Z" }}
"""
    path = written(folder, PATTERN + tests)

    assert main(["formats", "test", str(path)]) == FAILED
    out = capsys.readouterr().out
    assert "timestamp is 2026-11-24 12:00:00+00:00, not 2026-11-24 12:00:01+00:00" in out
    assert "port is NULL, not 1" in out
    assert "extra is {'x': 1}, not NULL" in out
    assert """it is rejected with 'expected "time" at byte 0', not 'another reason'""" in out
    assert "it is a record, not rejected with 'why'" in out
    assert 'it is rejected: expected "time" at byte 0' in out


@pytest.mark.parametrize(
    ("body", "changed", "complaint"),
    [
        (PATTERN, {"name": "'Mine'"}, "name: use lower-case"),
        (PATTERN, {"name": "'auto'"}, "name: .*not auto"),
        (PATTERN, {"name": "'combined'"}, "name: 'combined' is built in"),
        (PATTERN, {"version": "0"}, "version: a whole number from 1"),
        (PATTERN, {"version": "true"}, "version: a whole number"),
        (PATTERN, {"description": ""}, "description: a text must be there"),
        (PATTERN, {"example": "'noise'"}, 'example: it does not parse: expected "time" at byte 0'),
        (PATTERN, {"colour": "1"}, "colour: no such key; use name"),
        ("", {}, "one of pattern, json, logfmt, nginx, apache must be there"),
        (PATTERN + "json = true\n", {}, ".*only one"),
        ("pattern = '(?P<time>.*) (a+)*'\n", {}, "pattern: a loop inside a loop"),
        ("pattern = '(?P<time>.*) x'\n", {}, r"pattern: a loop can also take what follows it \(' '\)"),
        ("pattern = '{nope}'\n", {}, "pattern: no placeholder {nope}; use one of word"),
        ("pattern = '('\n", {}, "pattern: no regular expression"),
        ("pattern = '{word:a}{rest:b}'\n", {}, r"pattern: a loop can also take what follows it"),
        ("pattern = '{word:a} {rest:b}'\n", {}, 'fields.NAME: no field fills the column "timestamp"'),
        (PATTERN + "continuation = '(a*)*'\n", {}, "continuation: a loop inside a loop"),
        (PATTERN + "[fields.y]\ntype = 'text'\n", {}, "fields.y: the pattern has no such group"),
        (PATTERN + "[fields.x]\ntype = 'colour'\n", {}, "fields.x.type: no type 'colour'; use one of text"),
        (PATTERN + "[fields.x]\ncolumn = 'colour'\n", {}, "fields.x.column: no column 'colour'; use one of"),
        (PATTERN + "[fields.x]\ncolumn = 'extra'\n", {}, "fields.x.column: no column 'extra'"),
        (PATTERN + "[fields.x]\ncolumn = 'ip'\ntype = 'integer'\n", {}, "fields.x.type: ip takes ip, not"),
        (PATTERN + "[fields.x]\nunit = 'weeks'\n", {}, "fields.x.unit: no unit 'weeks'; use one of s"),
        (PATTERN + "[fields.x]\ntype = 'text'\nunit = 's'\n", {}, "fields.x.unit: only a duration"),
        (PATTERN + "[fields.x]\ntype = 'text'\nformat = '%Y'\n", {}, "fields.x.format: only a time"),
        (PATTERN + "[fields.x]\ncolor = 'red'\n", {}, "fields.x.color: use texts for column"),
        (PATTERN + "fields = 1\n", {}, "fields: a table"),
        (PATTERN + "[[test]]\nline = 'a'\n", {}, "test: either record or rejected"),
        (PATTERN + "[[test]]\nline = 'a'\nrejected = 'b'\nat = 'now'\n", {}, "test.at: a time with its zone"),
        (PATTERN + "[test]\nline = 'a'\n", {}, r"test: write each as \[\[test\]\]"),
        ("json = true\n[map]\ncode = 'colour'\n", {}, "map.code.column: no column 'colour'"),
        ("json = true\n[map]\ncode = 1\n", {}, "map.code: write a table"),
        ("json = true\nmap = 1\n", {}, "map: a table"),
        ("pattern = \n", {}, "no TOML: "),
    ],
)
def test_what_does_not_fit_is_told(
    folder: Path, body: str, changed: dict[str, str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that does not fit stops every command, naming the file, the key and what to change."""
    path = written(folder, body, **changed)

    assert main(["formats", "list"]) == USAGE
    assert re.search(f"{re.escape(str(path))}: {complaint}", capsys.readouterr().err)


def test_a_folder_that_is_not_there_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be read is named with its setting."""
    with pytest.raises(ConfigurationError, match=r"SLUICE_FORMATS_DIR: .*none: No such file"):
        register(folder / "none")


def test_two_files_of_one_name_are_told(folder: Path) -> None:
    """The second file is named with the first; what was registered before stays."""
    written(folder).rename(folder / "first.toml")
    written(folder)

    with pytest.raises(ConfigurationError, match=r"mine.toml: name: .*first.toml has 'mine' too"):
        register(folder)
    assert "mine" not in FORMATS


def test_fields_have_columns_types_and_units(folder: Path) -> None:
    """A field goes to its column with its type, by its usual name without a word, or typed to extra."""
    body = """pattern = '{word:when} {word:ip} {integer:status} {word:took} {word:ok} {word:n} "{quoted:req}"'
[fields.when]
column = "timestamp"
format = "%d.%m.%Y-%H:%M:%S%z"
[fields.took]
column = "duration_seconds"
unit = "us"
[fields.ok]
type = "boolean"
[fields.n]
type = "double"
[fields.req]
column = "path"
type = "request"
"""
    line = '24.11.2026-13:00:00+0100 203.0.113.9 200 1500 yes 1.5 "GET /a?b=1 HTTP/1.1"'
    format_ = load(written(folder, body, example=f"'{line}'")).format

    found = {key: value for key, value in record(format_, line.encode()).items() if value is not None}
    assert {
        "start": 0,
        "timestamp": datetime(2026, 11, 24, 12, tzinfo=UTC),
        "utc_offset_minutes": 60,
        "ip": "203.0.113.9",
        "status": 200,
        "duration_seconds": 0.0015,
        "rest_method": "GET",
        "path": "/a",
        "query": "b=1",
        "rest_version": "HTTP/1.1",
        "extra": {"ok": True, "n": 1.5},
    } == found


def test_a_field_that_does_not_convert_is_named(folder: Path) -> None:
    """The record is kept, the value as it is in extra, the field's name in failed_fields."""
    body = PATTERN.replace("integer:x", "word:x") + "[fields.x]\ntype='integer'\n"
    format_ = load(written(folder, body)).format

    found = record(format_, LINE.replace(b"x=1", b"x=many"))

    assert (found["failed_fields"], found["extra"]) == ("x", {"x": "many"})


@pytest.mark.parametrize(
    ("kind", "line", "extra"),
    [
        ("json", b'{"time": 1, "rt": 35, "http.code": "200", "n": "7"}', {"n": 7}),
        ("logfmt", b"time=1 rt=35 http.code=200 n=7", {"n": 7}),
    ],
)
def test_names_are_mapped(folder: Path, kind: str, line: bytes, extra: dict[str, Any]) -> None:
    """JSON lines and logfmt take further names for columns, with types and units."""
    body = f"""{kind} = true
[map]
"http.code" = "status"
rt = {{ column = "duration_seconds", unit = "ms" }}
n = {{ type = "integer" }}
"""
    found = record(load(written(folder, body, example=f"'{line.decode()}'")).format, line)

    assert (found["status"], found["duration_seconds"], found["extra"]) == (200, 0.035, extra)


@pytest.mark.parametrize(
    ("server", "string"),
    [
        ("nginx", '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent'),
        ("apache", r"%h %l %u %t \"%r\" %>s %b"),
    ],
)
def test_a_string_of_a_server_makes_a_format(folder: Path, server: str, string: str) -> None:
    """The server's own string does for a pattern, and what is wrong with it is told under its key."""
    example = f"'{COMMON_LINE.decode()}'"
    format_ = load(written(folder, f"{server} = '{string}'\n", example=example)).format

    assert (format_.name, format_.version, format_.example) == ("mine", 1, COMMON_LINE)
    assert record(format_, COMMON_LINE)["status"] == 200
    with pytest.raises(ConfigurationError, match=rf"mine.toml: {server}: "):
        load(written(folder, f"{server} = 'no time'\n", example=example))


def test_a_continuation_joins_lines_to_their_record(folder: Path) -> None:
    """A test of a file may hold several lines; what continues a record has its time and place."""
    tests = f"""continuation = '[ ]'
[[test]]
line = '''{LINE.decode()}
  at a.b'''
[test.record]
timestamp = 2026-11-24T12:00:00Z
utc_offset_minutes = 0
inferred = "zone"
message = "  at a.b"
continues = 0
[[test]]
line = '  at a.b'
rejected = 'continues a line before this batch'
"""
    user = load(written(folder, PATTERN + tests))

    assert list(failures(user.format, user.tests)) == []


def test_a_rejected_line_says_where(folder: Path) -> None:
    """The reason names the group that does not fit, and the byte where the fitting part ends."""
    format_ = load(written(folder)).format

    assert rejection(format_, LINE + b" ") == ("expected the end of the line at byte 32", 32)
    assert rejection(format_, LINE.replace(b"x=1", b"x=")) == ('expected "x" at byte 31', 31)
    assert rejection(format_, b"2026") == ('expected "time" at byte 0', 0)
