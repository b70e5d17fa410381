"""A journal of records that survives a kill, a power cut and a full disk at every step.

Each record is a line: eight hexadecimal digits of CRC-32, a space, a JSON object. The first names the
version. The journal grows at its end; when much of it is outdated it is written anew beside itself and
takes its own place by a rename, and the file it replaces stays as the previous copy.
"""

import errno
import json
import logging
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline import failpoint
from pipeline.errors import CheckpointError

logger = logging.getLogger(__name__)

#: Version of the records; an older Sluice refuses a newer journal instead of guessing a position.
JOURNAL_VERSION = 1

Record = dict[str, Any]


def encode(record: Record) -> bytes:
    """Return the line of a record."""
    # ASCII only: a file name that is not UTF-8 holds surrogates, which JSON's escapes keep.
    text = json.dumps(record, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(line: bytes) -> Record | None:
    """Return the record of a line without its newline; None if it is damaged."""
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    record: Record = json.loads(text)
    return record


def previous_path(path: Path) -> Path:
    """Return the path of the previous copy of a journal."""
    return path.with_name(path.name + ".previous")


def read(path: Path) -> list[Record]:
    """Return the records of a journal, oldest first; the previous copy steps in for what is damaged.

    Raises:
        CheckpointError: the journal is of a newer version, or cannot be read.
    """
    records, damaged_count = _read_one(path)
    if records and not damaged_count:
        return records
    earlier, _ = _read_one(previous_path(path))
    if damaged_count:
        logger.warning(
            "checkpoint %s: %d damaged records; the records before them are used", path, damaged_count
        )
    return earlier + records


def _read_one(path: Path) -> tuple[list[Record], int]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise CheckpointError(f"checkpoint {path}: {error.strerror}") from error
    *lines, _torn = content.split(b"\n")  # a last line without its newline was never finished
    decoded = [decode(line) for line in lines if line]
    records = [record for record in decoded if record is not None]
    _check_version(path, records)
    kept = [record for record in records if "version" not in record]
    headless = bool(content) and len(kept) == len(records)
    return kept, len(decoded) - len(records) + headless


def _check_version(path: Path, records: list[Record]) -> None:
    for record in records:
        if record.get("version", JOURNAL_VERSION) > JOURNAL_VERSION:
            raise CheckpointError(
                f"checkpoint {path}: version {record['version']} was written by a newer Sluice; "
                f"this one reads up to {JOURNAL_VERSION}"
            )


class Journal:
    """The writing end of a journal; one at a time may write (the owner holds a lock)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._file = -1
        self._unsynced = False
        self._torn = False

    def append(self, records: Iterable[Record]) -> None:
        """Write records at the end; a kill of this program no longer loses them, a power cut may.

        Raises:
            OSError: nothing, or a part that the next reader ignores, was written.
        """
        # A newline sets a record that was torn apart from the next one.
        lines = b"\n" * self._torn + b"".join(map(encode, records))
        self._unsynced = True
        written = os.write(self._file, lines)
        self.size += written
        self._torn = written != len(lines)
        if self._torn:
            raise OSError(errno.ENOSPC, f"only {written} of {len(lines)} bytes were written")
        failpoint.reach("checkpoint.written")

    def sync(self) -> None:
        """Make what was appended survive a power cut.

        Raises:
            OSError: it may not survive one.
        """
        if self._unsynced:
            os.fdatasync(self._file)
            failpoint.reach("checkpoint.synced")
            self._unsynced = False

    def rewrite(self, records: Iterable[Record]) -> None:
        """Put a journal of just these records in the place of this one, all or nothing.

        Raises:
            OSError: the journal is as it was.
        """
        aside = self.path.with_name(self.path.name + ".new")
        file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = _write_all(file, _with_header(records))
            os.fsync(file)
            if self.path.exists():
                self.path.replace(previous_path(self.path))
                failpoint.reach("checkpoint.moved")
            aside.replace(self.path)
            failpoint.reach("checkpoint.renamed")
            _sync_folder(self.path.parent)
        except OSError:
            os.close(file)
            raise
        self.close()
        self._file, self.size, self._torn = file, size, False

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _with_header(records: Iterable[Record]) -> Iterator[bytes]:
    yield encode({"version": JOURNAL_VERSION})
    yield from map(encode, records)


def _write_all(file: int, lines: Iterable[bytes]) -> int:
    rest = memoryview(b"".join(lines))
    size = len(rest)
    while rest:
        rest = rest[os.write(file, rest) :]
    return size


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
