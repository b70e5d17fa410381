"""`backup`: lake, clean, ledger and checkpoint in one file, while everything runs."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import Engine

from db.archive.backup import backup, behind_bytes
from db.archive.container import ArchiveWriter
from pipeline import journal
from pipeline.checkpoint import FILE_NAME
from pipeline.cli import options, output
from pipeline.cli.main import OK
from pipeline.cli.sources import open_database
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from pipeline.target import opened

#: Seconds between two looks at how far the stages are.
LOOK_SECONDS = 0.2


@click.command("backup")
@click.argument("target", metavar="TARGET")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait for both stages to store what the checkpoint confirms.",
)
@options.common
def command(target: str, wait_seconds: float, as_json: bool) -> int:
    """Write lake, clean, ledger, conflicts and this machine's checkpoint to one compressed file.

    TARGET is the file, or a folder in which it gets a name with its time. Nothing stops meanwhile: the
    tables are read as they were at one moment. Every part has its SHA-256 in the archive; `restore --check`
    compares them. The file appears only when it is whole, and holds the lines: keep it as safe as the logs.
    """
    settings = options.settings()
    path = _path(target)
    records = journal.read(settings.state_dir / FILE_NAME)
    offsets = {record["key"]: record["offset"] for record in records if "key" in record}
    with open_database(settings) as engine, opened(str(path)) as file:
        _wait(engine, offsets, wait_seconds)
        done = backup(engine, ArchiveWriter(file), b"".join(map(journal.encode, records)), offsets)
    if done.behind_bytes:
        output.say(
            f"{done.behind_bytes} confirmed bytes were not stored yet: after a restore `audit --repair` "
            "reads them from the files"
        )
    size = path.stat().st_size
    if as_json:
        answer = {"archive": str(path), "bytes": size, "rows": done.rows, "behind_bytes": done.behind_bytes}
        output.emit_json(answer | {"checkpoint_sources": len(offsets)})
    else:
        print(output.table(("table", "rows"), done.rows.items()))
        print()
        print(output.escape(f"{path}: {output.size(size)}, checkpoint of {len(offsets)} sources"))
    return OK


def _path(target: str) -> Path:
    path = Path(target)
    if not path.is_dir():
        return path
    return path / f"sluice-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.zip"


def _wait(engine: Engine, offsets: dict[str, int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while behind_bytes(engine, offsets) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


def restore_checkpoint(settings: Settings, content: bytes) -> bool:
    """Put a checkpoint into a state folder that has none; return False where one stands already.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    path = settings.state_dir / FILE_NAME
    if not content or path.exists() or journal.previous_path(path).exists():
        return False
    records = [record for line in content.splitlines() if (record := journal.decode(line)) is not None]
    new = journal.Journal(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.rewrite(records)
    except OSError as error:
        raise ConfigurationError(f"SLUICE_STATE_DIR: {path}: {error.strerror}") from error
    finally:
        new.close()
    return True
