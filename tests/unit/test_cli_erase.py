"""The commands `erase` and `compliance`, on the embedded database and broker."""

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db.engine import make_engine
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.subject import Kind, subject
from tests.unit.conftest import Answer

CANARY = "canary-user-4711"
SOURCE = Source("ab" * 16, "web-1", "/log", format="combined")


def line(user: str, number: int) -> bytes:
    """Return a line of a user."""
    head = f'192.0.2.1 - {user} [01/Mar/2023:00:00:09 +0000] "GET /{number} HTTP/1.1"'
    return f'{head} 200 12 "-" "x"\n'.encode()


LINES = [line(CANARY if number % 4 == 0 else "ann", number) for number in range(200)]
WHOLE = b"".join(LINES)


@pytest.fixture(autouse=True)
def state(database: Engine, tmp_path: Path) -> Path:
    """State folder with a database of two hundred lines, fifty of them the subject's."""
    for store in (LakeStore(database), CleanStore(database)):
        store.store(Batch(SOURCE, 0, WHOLE))
    return tmp_path / "var"


def bytes_of(folder: Path) -> bytes:
    """Return every byte of every file below a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_no_byte_is_left_in_the_state_folder(answer: Answer, state: Path, tmp_path: Path) -> None:
    """After an erasure neither the database's file nor its log holds the value; the audit is content."""
    assert CANARY.encode() in bytes_of(state)

    found = answer("erase", "--user", CANARY, "--receipt", str(tmp_path / "receipt"))

    assert CANARY.encode() not in bytes_of(state)
    assert CANARY not in json.dumps(found)
    assert found["rows"] == {"raw_logs": 50, "clean_records": 50}
    assert (found["by_field"], found["left"], found["done"], found["file_rewritten"]) == (50, {}, True, True)
    audited = answer("audit", "--deep")
    assert (audited["missing_bytes"], audited["duplicate_lines"]) == (0, 0)
    assert answer("erase", "--user", CANARY)["rows"] == {}


def test_the_receipt_is_for_its_owner_and_names_no_one(answer: Answer, state: Path, tmp_path: Path) -> None:
    """The file has mode 0600 and what the command prints; with its key a person can tell whom it is about."""
    path = tmp_path / "receipt"

    found = answer("erase", "--user", CANARY, "--receipt", str(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    receipt = json.loads(path.read_text())
    assert receipt == found
    key = bytes.fromhex(receipt["hash_key"])
    assert receipt["subject_hash"] == subject(Kind.USER, CANARY).digest(key)
    assert receipt["ranges"][0]["path"] == "/log"
    starts = [sum(map(len, LINES[:number])) for number in range(0, 200, 4)]
    assert [low for low, _ in receipt["ranges"][0]["ranges"]] == starts
    assert key.hex().encode() not in bytes_of(state)
    assert answer("erase", "--user", CANARY, "--receipt", str(path), code=USAGE)["error"].startswith(
        "--receipt"
    )


def test_a_dry_run_changes_nothing(answer: Answer, state: Path) -> None:
    """It counts what an erasure then erases, and leaves no receipt."""
    seen = answer("erase", "--user", CANARY, "--dry-run")

    assert CANARY.encode() in bytes_of(state)
    assert answer("compliance")["erasures"] == []
    done = answer("erase", "--user", CANARY)
    assert {name: seen[name] for name in ("rows", "ranges", "by_field")} == {
        name: done[name] for name in ("rows", "ranges", "by_field")
    }


@pytest.mark.parametrize("way", ["stdin", "file"])
def test_the_value_need_not_be_an_argument(
    answer: Answer, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input and a file give it too, without the newline."""
    path = tmp_path / "value"
    path.write_text(CANARY + "\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(CANARY + "\n"))

    arguments = ("--user", "-") if way == "stdin" else ("--user-file", str(path))

    assert answer("erase", *arguments)["rows"]["raw_logs"] == 50


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--user", CANARY, "--ip", "192.0.2.1"],
        ["--user", "an"],
        ["--user-file", "/nowhere/at/all"],
        ["--user", CANARY, "--source", "/other"],
        ["--user", CANARY, "--dry-run", "--receipt", "x"],
        ["--user", CANARY, "--receipt", "/nowhere/at/all"],
    ],
)
def test_what_does_not_fit_erases_nothing(arguments: list[str], state: Path) -> None:
    """A call that is not understood is refused before anything is erased."""
    assert main(["erase", *arguments]) == USAGE
    assert bytes_of(state).count(CANARY.encode()) >= 50


def test_backups_that_hold_it_are_named(answer: Answer, tmp_path: Path) -> None:
    """A backup from before is named, one from after is not, and what is no backup is told."""
    folder = tmp_path / "backups"
    folder.mkdir()
    before, after = folder / "before.zip", folder / "after.zip"
    answer("backup", str(before))
    (folder / "broken.zip").write_bytes(b"PK")

    found = answer("erase", "--user", CANARY, "--backups", str(folder))

    assert [backup["path"] for backup in found["backups"]] == [str(before), str(folder / "broken.zip")]
    assert any(str(before) in advice for advice in found["advice"])
    answer("backup", str(after))
    ranges = {SOURCE.key: [tuple(part) for part in found["ranges"][0]["ranges"]]}
    from pipeline.cli.holding import backups_with  # noqa: PLC0415

    named = [backup["path"] for backup in backups_with(folder, ranges)]
    assert str(before) in named
    assert str(after) not in named


def test_compliance_lists_removals_and_receipts(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines and bytes by source and stage, and each receipt, of a period."""
    done = answer("erase", "--user", CANARY)
    size = sum(len(each) for each in LINES if CANARY.encode() in each)

    found = answer("compliance")

    assert [(each["stage"], each["kind"], each["lines"], each["bytes"]) for each in found["removals"]] == [
        ("clean", "erasure", 50, size),
        ("lake", "erasure", 50, size),
    ]
    (receipt,) = found["erasures"]
    assert (receipt["id"], receipt["rows"], receipt["done"]) == (done["id"], 100, True)
    assert receipt["subject_hash"] == done["subject_hash"]
    assert answer("compliance", "--until", "2020-01-01") == {"removals": [], "erasures": []}
    assert main(["compliance"]) == OK
    out = capsys.readouterr().out
    assert done["id"] in out
    assert CANARY not in out


def test_an_erasure_that_was_stopped_is_told(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its receipt is unfinished, the list ends with code 1, and a second call goes on."""

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.cli.erasing.clear_space", stopped)
        main(["erase", "--user", CANARY])

    (receipt,) = answer("compliance", code=FAILED)["erasures"]
    assert (receipt["finished_at"], receipt["done"]) == (None, False)
    assert answer("erase", "--user", CANARY)["done"]


def test_a_file_in_use_is_told(answer: Answer, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While someone reads the database its file cannot be written anew: that is said, with code 1."""
    monkeypatch.setattr("db.sqlite.BUSY_SECONDS", 1)  # it waits that long for the file, in vain
    engine = make_engine(f"sqlite:///{state / 'sluice.db'}")
    from sqlalchemy import text  # noqa: PLC0415

    from db.engine import reading  # noqa: PLC0415

    with reading(engine) as connection:
        connection.execute(text("SELECT count(*) FROM raw_logs")).all()
        found = answer("erase", "--user", CANARY, code=FAILED)
    engine.dispose()

    assert (found["file_rewritten"], found["done"], found["left"]) == (False, False, {})
    assert any("in use" in advice for advice in found["advice"])
    assert answer("erase", "--user", CANARY)["done"]
    assert CANARY.encode() not in bytes_of(state)
