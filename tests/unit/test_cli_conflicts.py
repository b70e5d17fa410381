"""The command `conflicts`, on a conflict of the embedded database."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli.main import FAILED, OK, USAGE, main
from tests.unit.conftest import Answer

FIRST, SECOND = b"line one\nline two\n", b"line one\nline \x1b[m\n"


@pytest.fixture(autouse=True)
def _contradicted(database: Engine) -> None:
    for block in (FIRST, SECOND):
        for stage in (LakeStore, CleanStore):
            stage(database).store(Batch(Source("ab" * 16, "web-1", "/log"), 0, block))


def test_open_conflicts_are_listed_and_fail_the_audit(answer: Answer) -> None:
    """A conflict of each stage is listed until it is resolved; then the audit passes."""
    listed = answer("conflicts", "list")["conflicts"]
    assert [(each["id"], each["stage"], each["start"], each["end"]) for each in listed] == [
        (1, "lake", 0, len(FIRST)),
        (2, "clean", 0, len(FIRST)),
    ]
    assert answer("audit", code=FAILED)["conflicts"] == 2

    done = answer("conflicts", "resolve", "1", "--keep", "second")["resolved"]

    assert [each["conflict_id"] for each in done] == [1, 2]
    assert answer("conflicts", "list")["conflicts"] == []
    assert len(answer("conflicts", "list", "--all")["conflicts"]) == 2
    assert answer("audit", "--deep")["conflicts"] == 0


def test_show_says_where_the_contents_part(answer: Answer, tmp_path: Path) -> None:
    """The first byte that differs, the two lines there, and the second bytes as a file."""
    target = tmp_path / "second"

    found = answer("conflicts", "show", "1", "--output", str(target))

    assert (found["differs_at"], found["first_line"]) == (FIRST.index(b"two"), "line two")
    assert target.read_bytes() == SECOND


def test_a_terminal_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """A control character of a line is written out."""
    assert main(["conflicts", "show", "1"]) == OK

    shown = capsys.readouterr().out
    assert "second_line  line \\x1b[m" in shown
    assert "\x1b" not in shown


def test_a_choice_must_be_named(answer: Answer) -> None:
    """Without `--keep`, or without such a conflict, nothing happens."""
    assert "--keep" in answer("conflicts", "resolve", "1", code=USAGE)["error"]
    assert "no conflict" in answer("conflicts", "show", "9", code=USAGE)["error"]
