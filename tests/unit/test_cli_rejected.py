"""The command `rejected`, on the embedded database."""

import pytest
from sqlalchemy import Engine

from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.cli.main import OK, USAGE, main
from pipeline.formats.ncsa import COMBINED
from tests.unit.conftest import Answer

#: The second is no log line and would move the cursor of a terminal.
LINES = (
    b'203.0.113.9 - - [32/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "agent"\n',
    b"no log line \x1b[2J\n",
    b'203.0.113.9 - - [33/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "agent"\n',
)


@pytest.fixture(autouse=True)
def _stored(database: Engine) -> None:
    CleanStore(database).store(
        Batch(Source("ab" * 16, "web-1", "/a\x1b.log", format="combined"), 0, b"".join(LINES))
    )


def test_groups_have_counts_and_a_first_line(answer: Answer) -> None:
    """The largest group first, with the version that rejected it and the place of its first line."""
    groups = answer("rejected")["groups"]

    assert [(each["count"], each["format"], each["version"]) for each in groups] == [
        (2, "combined", COMBINED.version),
        (1, "combined", COMBINED.version),
    ]
    first = groups[0]["first"]
    assert (first["source_id"], first["line_start"]) == (1, 0)
    assert first["after"].startswith("32/May")
    assert first["position"] == LINES[0].index(b"32/May")


def test_a_terminal_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of lines and paths are written out, the caret stands under the place."""
    assert main(["rejected"]) == OK

    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b[2J" in shown
    line, pointer = (row for row in shown.splitlines() if "32/May" in row or ("^" in row and "day" in row))
    assert line[pointer.index("^") :].startswith("32/May")


def test_lines_of_a_kind_are_listed(answer: Answer) -> None:
    """A signature, or words of one, list its lines; no more than asked for."""
    signature = answer("rejected")["groups"][0]["signature"]

    assert [each["line_start"] for each in answer("rejected", "--lines", signature)["lines"]] == [
        0,
        len(LINES[0] + LINES[1]),
    ]
    assert len(answer("rejected", "--lines", signature, "--limit", "1")["lines"]) == 1


def test_what_is_left_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Groups beyond the limit are counted on stderr, and none is a word, not an empty screen."""
    assert main(["rejected", "--limit", "1"]) == OK
    assert "1 smaller groups" in capsys.readouterr().err

    assert main(["rejected", "--since", "2999-01-01"]) == OK
    assert capsys.readouterr().out == "no line is rejected\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--since", "yesterday"], "yesterday"),
        (["--source", "/nowhere"], "/nowhere"),
        (["--limit", "0"], "limit"),
    ],
)
def test_a_wrong_option_is_named(arguments: list[str], named: str, answer: Answer) -> None:
    """What cannot be meant ends with code 2 and names the option to change."""
    assert named in answer("rejected", *arguments, code=USAGE)["error"]
