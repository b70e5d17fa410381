"""`backup` and `restore` in embedded mode: one file there and back, checkpoint included."""

import json
from pathlib import Path
from typing import Any

import pytest

from db.engine import make_engine
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from pipeline.checkpoint import FILE_NAME, CheckpointStore, read_offsets
from pipeline.cli.main import FAILED, OK, USAGE, main
from pipeline.generation import Generation
from pipeline.settings import Settings
from tests.databases import migrate

KEY = "k" * 32
BLOCK = b"one line\nand another\n"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A backup of one source, whose checkpoint confirms it all; the state folder is a new one then."""
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "old"))
    settings = Settings.from_environment()
    migrate(settings.sqlalchemy_url)
    engine = make_engine(settings.sqlalchemy_url)
    for stage in (LakeStore, CleanStore):
        stage(engine).store(Batch(Source(KEY, "web-1", "/log"), 0, BLOCK))
    engine.dispose()
    with CheckpointStore(settings.state_dir / FILE_NAME) as checkpoint:
        checkpoint.save(Generation(KEY, "/log", 1, 2, 0, "h", offset=len(BLOCK)))
    written = answer(capsys, "backup", str(tmp_path))
    assert (written["behind_bytes"], written["checkpoint_sources"]) == (0, 1)
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "new"))
    return Path(written["archive"])


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = OK) -> dict[str, Any]:
    """Return the JSON object of a command that ends with this code."""
    assert main([*arguments, "--json"]) == code
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def test_a_new_installation_is_filled(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables are made, rows and checkpoint come back, and the audit passes."""
    restored = answer(capsys, "restore", str(archive))

    assert (restored["rows"]["raw_logs"], restored["checkpoint"], restored["complete"]) == (2, True, True)
    assert read_offsets(Settings.from_environment().state_dir) == {KEY: len(BLOCK)}
    assert answer(capsys, "audit")["missing_bytes"] == 0
    assert "not empty" in answer(capsys, "restore", str(archive), code=USAGE)["error"]
    assert answer(capsys, "restore", str(archive), "--source", "/log")["known_bytes"] == 2 * len(BLOCK)


def test_a_checkpoint_that_stands_there_stays(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A state folder with a checkpoint keeps its own; what it confirms and no stage has is a gap."""
    path = Settings.from_environment().state_dir / FILE_NAME
    path.parent.mkdir()
    with CheckpointStore(path) as checkpoint:
        checkpoint.save(Generation(KEY, "/log", 1, 2, 0, "h", offset=len(BLOCK) + 5))

    restored = answer(capsys, "restore", str(archive), code=FAILED)

    assert (restored["checkpoint"], restored["missing_bytes"]) == (False, 10)


def test_a_damaged_archive_writes_nothing(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` and a restore name what is damaged; no database is made."""
    assert answer(capsys, "restore", str(archive), "--check")["whole"]
    content = bytearray(archive.read_bytes())
    # Behind the member's name come 20 bytes of its sizes, then its content.
    content[content.index(b"raw_logs.zst") + 12 + 20 + 4] ^= 1
    archive.write_bytes(content)

    for arguments in ([], ["--check"]):
        error = answer(capsys, "restore", str(archive), *arguments, code=FAILED)["error"]
        assert "damaged: raw_logs" in error
    assert not Settings.from_environment().state_dir.exists()


def test_an_archive_that_is_not_there_is_named(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is in the message."""
    archive.unlink()
    assert str(archive) in answer(capsys, "restore", str(archive), code=USAGE)["error"]
