"""`audit` and `rebuild` on what the stages hold: proof, repair, and what they refuse."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.engine import make_engine, transaction
from db.ledger import LAKE
from db.removals import Kind, Place
from db.removing import Reason, remove
from db.store import CleanStore, LakeStore
from pipeline import topology
from pipeline.batch import Batch, Source
from pipeline.checkpoint import FILE_NAME, CheckpointStore
from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.depths import queue_depths
from pipeline.fingerprint import Fingerprint
from pipeline.generation import Generation
from pipeline.publish import Publisher, connect
from pipeline.settings import Settings
from pipeline.topology import Stage
from tests.databases import migrate

CONTENT = b"".join(b"line %02d of a source\n" % number for number in range(20))
MIDDLE, END = len(CONTENT) // 2, len(CONTENT)
KEY = "k" * 32


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Return the settings that the commands read too, with a schema in the database."""
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    settings = Settings.from_environment()
    migrate(settings.sqlalchemy_url)
    return settings


@pytest.fixture
def log(settings: Settings, tmp_path: Path) -> Path:
    """Return a file that was read and confirmed to its end."""
    path = tmp_path / "access.log"
    path.write_bytes(CONTENT)
    fingerprint = Fingerprint()
    fingerprint.grow(CONTENT[:MIDDLE], MIDDLE)
    fingerprint.grow(CONTENT[MIDDLE:], END)
    status = path.stat()
    generation = Generation(
        KEY, str(path), status.st_dev, status.st_ino, 0, "h", offset=END, fingerprint=fingerprint
    )
    with CheckpointStore(settings.state_dir / FILE_NAME) as store:
        store.save(generation)
    return path


def store(settings: Settings, log: Path, lake: tuple[int, int], clean: tuple[int, int]) -> None:
    """Store a range of the file in each stage."""
    engine = make_engine(settings.sqlalchemy_url)
    source = Source(KEY, settings.host, str(log), format="combined")
    LakeStore(engine).store(Batch(source, lake[0], CONTENT[slice(*lake)]))
    CleanStore(engine).store(Batch(source, clean[0], CONTENT[slice(*clean)]))
    engine.dispose()


def answer(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> dict[str, Any]:
    """Return the JSON object of a command that ends with this code."""
    assert main([*arguments, "--json"]) == code
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def test_a_complete_source_passes(settings: Settings, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every byte in both stages, and the file unchanged: code 0."""
    store(settings, log, (0, END), (0, END))

    report = answer(capsys, OK, "audit", "--deep")

    assert (report["missing_bytes"], report["duplicate_lines"], report["conflicts"]) == (0, 0, 0)
    assert [source["file"] for source in report["sources"]] == ["identical"]


def test_a_gap_is_named_by_stage(settings: Settings, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A range that one stage misses makes the code 1, and stands in the report of that stage."""
    store(settings, log, (0, END), (MIDDLE, END))

    report = answer(capsys, FAILED, "audit")

    assert report["missing_bytes"] == MIDDLE
    (source,) = report["sources"]
    assert source["stages"]["clean"]["gaps"] == [[0, MIDDLE]]
    assert source["stages"]["lake"]["gaps"] == []
    assert report["repair"] is None


def test_repair_publishes_what_is_missing(
    settings: Settings, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--repair` sends a gap to the queue of its stage alone and says so; the audit still failed."""
    store(settings, log, (0, END), (MIDDLE, END))

    report = answer(capsys, FAILED, "audit", "--repair")

    assert report["repair"] == f"clean: {MIDDLE} B published again"
    depths = queue_depths(settings)
    assert (depths["queue-data-clean"].messages, depths["queue-data-lake"].messages) == (1, 0)


def test_dead_letters_explain_missing_bytes(
    settings: Settings, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what a stage misses, the bytes of its dead letters are told apart; what is stored is not counted."""
    store(settings, log, (0, END), (MIDDLE, END - 20))
    source = Source(KEY, settings.host, str(log), format="combined")
    with Publisher(settings) as publisher:
        publisher.publish(Batch(source, 20, CONTENT[20 : MIDDLE + 20]), Stage.CLEAN)
        publisher.publish(Batch(Source("o" * 32, "web-2", "/other"), 0, b"elsewhere\n"), Stage.LAKE)
    for stage in Stage:
        with connect(settings) as connection, connection.channel() as channel:
            topology.DATA_QUEUES[stage](channel).get(accept=["msgpack"]).reject()

    report = answer(capsys, FAILED, "audit")

    assert report["missing_bytes"] == MIDDLE + 20 + 2 * 10
    assert report["dead_bytes"] == (MIDDLE - 20) + 10
    known, other = report["sources"]
    assert (known["stages"]["clean"]["dead_bytes"], known["stages"]["lake"]["dead_bytes"]) == (MIDDLE - 20, 0)
    assert (other["key"], other["stages"]["lake"]["dead_bytes"]) == ("o" * 32, 10)


def test_other_bytes_in_the_file_are_noticed(
    settings: Settings, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A byte that was changed in the file, between the marks that identify it, fails the deep audit."""
    store(settings, log, (0, END), (0, END))
    generation = Generation(KEY, str(log), 0, 0, 0, "h", offset=END)
    with CheckpointStore(settings.state_dir / FILE_NAME) as checkpoint:
        checkpoint.save(generation)  # without marks: only the comparison can tell
    log.write_bytes(CONTENT[:5] + b"X" + CONTENT[6:])

    report = answer(capsys, FAILED, "audit", "--deep")

    assert report["missing_bytes"] == 0
    assert [source["file"] for source in report["sources"]] == [f"differs within bytes [0, {END})"]


def test_the_text_says_the_verdict(settings: Settings, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--json` a person reads a table and one sentence."""
    store(settings, log, (0, END), (0, END))
    assert main(["audit"]) == OK
    assert "complete: 1 sources, every confirmed byte is in both stages, once" in capsys.readouterr().out


def test_a_gap_in_the_lake_leaves_no_rebuilt_file(
    settings: Settings, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`rebuild` writes all or nothing: what stood at the target stays, and nothing is left beside it."""
    store(settings, log, (MIDDLE, END), (0, END))
    target = tmp_path / "out" / "rebuilt.log"
    target.parent.mkdir()
    target.write_bytes(b"before")

    assert main(["rebuild", "1", "--output", str(target)]) == FAILED

    assert target.read_bytes() == b"before"
    assert list(target.parent.iterdir()) == [target]
    assert f"[0, {MIDDLE})" in capsys.readouterr().err


def test_rebuild_says_why_it_cannot_write(
    settings: Settings, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that does not exist is named."""
    store(settings, log, (0, END), (0, END))

    assert main(["rebuild", "1", "--output", str(tmp_path / "none" / "x.log")]) == FAILED
    assert "No such file or directory" in capsys.readouterr().err


def test_what_was_removed_is_told_and_completes(
    settings: Settings, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line removed on purpose leaves the code 0; a rebuild names it, or writes blanks in its place."""
    store(settings, log, (0, END), (0, END))
    line, target = (20, 40), tmp_path / "rebuilt.log"
    engine = make_engine(settings.sqlalchemy_url)
    with transaction(engine) as connection:
        remove(connection, Place(1, LAKE), [line], Reason(Kind.RETENTION, datetime.now(UTC)))
    engine.dispose()

    report = answer(capsys, OK, "audit", "--deep")
    assert main(["audit"]) == OK
    told = capsys.readouterr().out
    assert main(["rebuild", "1", "--output", str(target)]) == FAILED
    assert "bytes [20, 40) were removed from lake" in capsys.readouterr().err
    assert main(["rebuild", "1", "--output", str(target), "--blank-removed"]) == OK

    assert report["removed"] == {"lake": {"retention": {"bytes": 20, "lines": 1}}, "clean": {}}
    assert [source["file"] for source in report["sources"]] == ["identical where not removed"]
    assert "in both stages, once, but for what was removed\n" in told
    assert "removed by retention from lake: 1 lines, 20 bytes\n" in told
    assert target.read_bytes() == CONTENT[:20] + b" " * 19 + b"\n" + CONTENT[40:]


def test_the_chain_is_audited(
    settings: Settings,
    log: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """--seal closes the chain, --heads finds what was kept in it; what was altered is named with code 1."""
    monkeypatch.setenv("SLUICE_SEAL_KEY", "s" * 32)
    store(settings, log, (0, END), (0, END))
    kept = tmp_path / "heads.json"

    assert main(["audit", "--chain", "--seal", "--json"]) == OK
    kept.write_text(capsys.readouterr().out)
    report = answer(capsys, OK, "audit", "--chain", "--heads", str(kept))["chain"]
    assert main(["audit", "--chain", "--heads", str(kept)]) == OK
    assert "chain unbroken: 400 bytes of 1 sources are as sealed\nand 1 heads" in capsys.readouterr().out
    assert (report["sealed_bytes"], report["breaks"]) == (END, [])
    assert [(head["end"], head["is_signed"]) for head in report["heads"]] == [(END, True)]

    engine = make_engine(settings.sqlalchemy_url)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE segments SET line_count = 21 WHERE stage = 'lake'"))
    engine.dispose()

    assert main(["audit", "--chain"]) == FAILED
    assert f"chain broken: bytes [0, {END}) of {log}: the segment is not" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seal"], "add --chain"),
        (["--chain", "--heads", "/nonexistent"], "--heads /nonexistent: No such file"),
        (["--chain", "--heads", __file__], "is not what `audit --chain --json` prints"),
    ],
)
def test_wrong_heads_are_refused(
    settings: Settings, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be compared is an error that says why, not an unbroken chain."""
    assert main(["audit", *arguments]) == USAGE
    assert said in capsys.readouterr().err
