"""The archive: a zip file of zstd streams, and a manifest that proves each of them.

    manifest.json            version, schema, rows and columns of each table, SHA-256 of each member
    <name>.zst               a table as lines of PostgreSQL's COPY text format, or the checkpoint

`unzip` and `zstd -d` open it without Sluice. A zip file's directory stands at its end, so an archive that was
cut short is not one; the manifest itself is covered by the CRC-32 of the zip format.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol, Self

import zstandard

from pipeline.errors import ConfigurationError, PermanentError

#: Version of the archive; a reader refuses what it does not know.
ARCHIVE_VERSION = 1
MANIFEST = "manifest.json"
#: Bytes that one read takes.
READ_BYTES = 1 << 20
#: zstd's level: twice as small as the fastest for log lines, at the speed of the disk.
COMPRESSION_LEVEL = 3
#: Most bytes of a manifest: some KiB are honest.
MANIFEST_BYTES = 1 << 20


class ArchiveDamaged(PermanentError):  # noqa: N818 - named as the other outcomes are
    """The archive is not whole."""


class Sink(Protocol):
    """Takes bytes."""

    def write(self, content: bytes, /) -> int:
        """Take all of the bytes."""


class _Digesting:
    """Passes bytes on and digests them."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self._sink.write(content)


class ArchiveWriter:
    """Writes an archive; it is one once `finish` was called."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._checksums: dict[str, str] = {}

    @contextmanager
    def stream(self, name: str) -> Iterator[Sink]:
        """Yield what takes the bytes of a member."""
        with self._zip.open(f"{name}.zst", "w", force_zip64=True) as member:
            digesting = _Digesting(member)
            compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
            with compressor.stream_writer(digesting, closefd=False) as writer:  # type: ignore[arg-type]
                yield writer
        self._checksums[name] = digesting.digest.hexdigest()

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write the manifest with these facts, and the end of the file."""
        manifest = {"archive": ARCHIVE_VERSION, **facts, "checksums": self._checksums}
        self._zip.writestr(MANIFEST, json.dumps(manifest, indent=1))
        self._zip.close()


class Archive:
    """An archive to read; a context manager.

    Attributes:
        manifest: what `ArchiveWriter.finish` was given, with the checksums.

    Raises:
        ConfigurationError: there is no such file, or its version is unknown.
        ArchiveDamaged: it is cut short, or its manifest is not readable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}") from error
        except zipfile.BadZipFile as error:
            raise ArchiveDamaged(f"{path} is not an archive, or it is cut short: {error}") from error
        self.manifest = self._read_manifest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _read_manifest(self) -> dict[str, Any]:
        try:
            with self._zip.open(MANIFEST) as member:
                manifest: dict[str, Any] = json.loads(member.read(MANIFEST_BYTES))
            version, _ = manifest["archive"], manifest["checksums"].keys()
        except (KeyError, TypeError, AttributeError, ValueError, zipfile.BadZipFile, OSError) as error:
            raise ArchiveDamaged(f"{self.path}: {MANIFEST} is damaged") from error
        if version != ARCHIVE_VERSION:
            raise ConfigurationError(
                f"{self.path} has version {version!r}, this Sluice reads {ARCHIVE_VERSION}: use a newer one"
            )
        return manifest

    def verify(self) -> None:
        """Read everything and compare it with the manifest.

        Raises:
            ArchiveDamaged: names the members that are gone or hold other bytes.
        """
        checksums = self.manifest["checksums"]
        damaged = [name for name, checksum in checksums.items() if self._checksum(name) != checksum]
        if damaged:
            raise ArchiveDamaged(f"{self.path}: damaged: {', '.join(damaged)}; nothing was written")

    def _checksum(self, name: str) -> str | None:
        digest = hashlib.sha256()
        try:
            with self._zip.open(f"{name}.zst") as member:
                while content := member.read(READ_BYTES):
                    digest.update(content)
        except (KeyError, zipfile.BadZipFile, OSError, EOFError):
            return None
        return digest.hexdigest()

    @contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """Yield the bytes of a member, decompressed."""
        with (
            self._zip.open(f"{name}.zst") as member,
            zstandard.ZstdDecompressor().stream_reader(member) as reader,
        ):
            yield reader

    def rows(self, name: str) -> Iterator[list[str]]:
        """Yield the rows of a table as their fields, still escaped."""
        with self.stream(name) as stream:
            rest = b""
            while content := stream.read(READ_BYTES):
                *lines, rest = (rest + content).split(b"\n")
                for line in lines:
                    yield line.decode().split("\t")
