"""Format files of users: what they may say, and how what does not fit is told."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS, detect
from pipeline.formats.naming import USUAL
from pipeline.formats.userfile import register
from pipeline.formats.userpattern import PLACEHOLDERS
from tests.unit.formats.userfiles import LINE, PATTERN, written

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "user-formats.md").read_text()
#: The worked example of the document.
SHOP = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)[0]


def test_the_worked_example_works(formats_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file of the document passes its tests, and the command prints what the document shows."""
    path = formats_folder / "shop.toml"
    path.write_text(SHOP)

    assert main(["formats", "test", str(path)]) == OK
    shown = re.findall(r"formats test shop.toml\n(.*?)```", DOCUMENT, re.DOTALL)[0]
    assert shown.split() == capsys.readouterr().out.split()


def test_the_document_names_what_there_is() -> None:
    """Each placeholder and each usual name stands in the document."""
    assert not [name for name in PLACEHOLDERS if f"`{{{name}}}`" not in DOCUMENT]
    assert not [name for names in USUAL.values() for name in names.split() if name not in DOCUMENT]


def test_a_format_of_a_user_is_one_of_the_formats(
    formats_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is recognised, listed, shown and tried like a built-in one, and gone with its file."""
    path = formats_folder / "shop.toml"
    path.write_text(SHOP)
    register(formats_folder)

    shop = FORMATS["shop"]
    assert list(FORMATS)[-1] == "shop"
    assert detect(shop.example) is shop
    log = formats_folder / "shop.log"
    log.write_bytes(shop.example + b"\n")
    for arguments in (["list"], ["show", "shop"], ["try", str(log), "--format", "shop"], ["test", "shop"]):
        assert main(["formats", *arguments]) == OK
        assert "shop" in capsys.readouterr().out
    path.unlink()
    assert main(["formats", "list"]) == OK
    assert "shop" not in FORMATS


def test_the_pools_know_the_formats_of_users(formats_folder: Path) -> None:
    """A process of Celery reads the folder with its settings, and does not start with a wrong file."""
    command = [
        sys.executable,
        "-c",
        "import celeryconfig; from pipeline.formats import FORMATS; print(*FORMATS)",
    ]
    (formats_folder / "shop.toml").write_text(SHOP)

    started = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    written(formats_folder, PATTERN, version="0")
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert started.stdout.split()[-1] == "shop"
    assert refused.returncode
    assert refused.stderr.startswith(f"error: {formats_folder / 'mine.toml'}: version: ")


def test_a_test_that_fails_says_how(formats_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    path = written(formats_folder, PATTERN + tests)

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
    formats_folder: Path,
    body: str,
    changed: dict[str, str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that does not fit stops every command, naming the file, the key and what to change."""
    path = written(formats_folder, body, **changed)

    assert main(["formats", "list"]) == USAGE
    assert re.search(f"{re.escape(str(path))}: {complaint}", capsys.readouterr().err)


def test_a_folder_that_is_not_there_is_told(formats_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be read is named with its setting."""
    with pytest.raises(ConfigurationError, match=r"SLUICE_FORMATS_DIR: .*none: No such file"):
        register(formats_folder / "none")


def test_two_files_of_one_name_are_told(formats_folder: Path) -> None:
    """The second file is named with the first; what was registered before stays."""
    written(formats_folder).rename(formats_folder / "first.toml")
    written(formats_folder)

    with pytest.raises(ConfigurationError, match=r"mine.toml: name: .*first.toml has 'mine' too"):
        register(formats_folder)
    assert "mine" not in FORMATS
