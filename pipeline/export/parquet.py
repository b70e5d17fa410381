"""Parquet by pyarrow, which is not among the requirements: 150 MiB for those who want it."""

import io
from collections.abc import Sequence
from typing import IO, Any

from pipeline.errors import ConfigurationError
from pipeline.export.table import Chunk, Column
from pipeline.formats.base import ColumnType

#: Rows of one row group: readers like large ones, and a million is packed in some 20 of them.
GROUP_ROWS = 50_000
#: pyarrow's names of the types.
_TYPES = {
    ColumnType.TEXT: "string",
    ColumnType.SMALLINT: "int16",
    ColumnType.INTEGER: "int32",
    ColumnType.BIGINT: "int64",
    ColumnType.BOOLEAN: "bool",
    ColumnType.DOUBLE: "float64",
    ColumnType.INET: "string",
    ColumnType.JSON: "string",
}


class ParquetWriter:
    """Parquet, packed with zstd; chunks are gathered to row groups."""

    def __init__(self, columns: Sequence[Column], stream: IO[bytes]) -> None:
        """Prepare to write.

        Raises:
            ConfigurationError: pyarrow is not installed.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415 - large, and only for this
            import pyarrow.parquet as pq  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(
                "--format parquet needs the library pyarrow: pip install pyarrow"
            ) from error
        self._pa = pa
        self._pq = pq
        self._sink = _Sink(stream)
        self._schema = pa.schema([(column.name, self._type(column.type)) for column in columns])
        self._writer: Any = None
        self._batches: list[Any] = []
        self._rows = 0

    def _type(self, kind: ColumnType) -> Any:
        if kind is ColumnType.TIMESTAMP:
            return self._pa.timestamp("us", tz="UTC")
        return self._pa.type_for_alias(_TYPES[kind])

    def begin(self) -> None:
        """Write the file's mark."""
        self._writer = self._pq.ParquetWriter(self._sink, self._schema, compression="zstd")

    def write(self, chunk: Chunk) -> None:
        """Take rows, and write those that make a row group."""
        arrays = [
            self._pa.array(values, field.type) for values, field in zip(chunk, self._schema, strict=True)
        ]
        self._batches.append(self._pa.record_batch(arrays, schema=self._schema))
        self._rows += len(chunk[0])
        if self._rows >= GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        self._writer.write_table(self._pa.Table.from_batches(self._batches, self._schema))
        self._batches, self._rows = [], 0

    def end(self) -> None:
        """Write the rest and the footer; without it there is no file."""
        if self._rows:
            self._write_group()
        self._writer.close()


class _Sink(io.RawIOBase):
    """A stream that knows where it is, as a pipe does not, and that stays open."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        written = self._stream.write(content)
        self._position += written
        return written

    def tell(self) -> int:
        return self._position
