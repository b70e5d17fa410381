"""The reference: the databases' own loaders, fed with rows that are parsed already, into plain tables."""

import resource
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Run
from bench.meter import Meter, Usage
from bench.postgres import PrivatePostgres
from bench.rows import CLEAN_COLUMNS, RAW_COLUMNS, Rows
from bench.servers import database, execute
from pipeline.errors import ConfigurationError, PipelineError

_KEY = 'PRIMARY KEY (source, "offset")'


def load_postgresql(postgres: PrivatePostgres, rows: Rows, lines: int) -> Run:
    r"""Load both tables with one `psql \copy` each, at the same time; only the load is timed."""
    with database(postgres, "reference") as url:
        execute(url, *_tables(_KEY), "CHECKPOINT")
        commands = [
            ["psql", url, "-X", "-q", "-c", rf"\copy {table} FROM '{path}'"] for table, path in rows.tables
        ]
        pid = postgres.child.pid if postgres.child else None
        return _timed(commands, lines, {"postgresql": pid}, "psql")


def load_sqlite(rows: Rows, folder: Path, lines: int) -> Run:
    """Load both tables with `sqlite3 .import`, one after the other, since SQLite has one writer.

    Raises:
        ConfigurationError: the program `sqlite3` is not installed.
    """
    if shutil.which("sqlite3") is None:
        raise ConfigurationError(
            "sqlite3 is not on PATH, and its .import is the reference: apt install sqlite3"
        )
    folder.mkdir(parents=True)
    path = str(folder / "reference.db")
    subprocess.run(["sqlite3", path, *_tables()], check=True, capture_output=True)
    imports = [f".import {rows_path} {table}" for table, rows_path in rows.tables]
    command = ["sqlite3", path, ".mode csv", *imports]
    run = _timed([command], lines, {}, "sqlite3")
    shutil.rmtree(folder)
    return run


def _tables(*constraints: str) -> list[str]:
    columns = {"reference_raw": RAW_COLUMNS, "reference_clean": CLEAN_COLUMNS}
    return [f"CREATE TABLE {name} ({', '.join((*c, *constraints))})" for name, c in columns.items()]


def _timed(commands: Sequence[Sequence[str]], lines: int, roots: dict[str, int | None], name: str) -> Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Meter(lambda: roots) as meter:
        started_at = time.monotonic()
        children = [subprocess.Popen(command, stderr=subprocess.PIPE) for command in commands]
        errors = [child.communicate()[1].decode() for child in children]
        seconds = time.monotonic() - started_at
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if any(child.returncode for child in children) or any(errors):
        raise PipelineError(f"the reference could not be loaded: {' '.join(errors).strip()[:500]}")
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    used = meter.usage
    usage = Usage({**used.cpu_seconds, name: own}, used.peak_bytes, used.machine_cpu_seconds)
    return Run(lines, seconds, usage)
