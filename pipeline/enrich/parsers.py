"""The parsers of a process by format, each with its memos and with today's enrichment."""

from typing import Any, Generic, TypeVar

from pipeline.enrich.enrichment import Enrichment
from pipeline.formats import FORMATS
from pipeline.formats.line import LogFormat, Parser, PieceParser, parser_of
from pipeline.formats.memo import Encode
from pipeline.formats.rest import RestReader

T = TypeVar("T")


class Parsers(Generic[T]):
    """Parsers that are kept, because of their memos, until a file of the enrichment changes."""

    def __init__(self, enrichment: Enrichment, encode: Encode[T], *, as_bytes: bool = False) -> None:
        """Keep none yet; `as_bytes` tells that encoded values are bytes."""
        self._enrichment = enrichment
        self._encode = encode
        self._as_bytes = as_bytes
        self._generation = 0
        self._parsers: dict[str, Parser[T]] = {}
        self._coded: dict[str, Any] = {}
        self._rest = self._rest_reader()

    def of(self, format_: LogFormat) -> Parser[T]:
        """Return the parser of a format; its own format has the columns of the enrichment too.

        Raises:
            ConfigurationError: a file of the enrichment cannot be read.
        """
        self._look()
        if format_.name not in self._parsers:
            self._parsers[format_.name] = parser_of(self._enrichment.format(format_), self._encode)
        return self._parsers[format_.name]

    def in_pieces(self, format_: LogFormat) -> PieceParser[T]:
        """Return a parser for storing: one that uses the compiled loops, where they take format and values.

        Raises:
            ConfigurationError: a file of the enrichment cannot be read.
        """
        self._look()
        if self._as_bytes and format_.name not in self._coded:
            # Imported by who stores records: numpy takes 0.2 s and 16 MiB, and every process comes by here.
            from pipeline.formats.coded import coded_parser  # noqa: PLC0415

            enriched = self._enrichment.format(format_)
            self._coded[format_.name] = coded_parser(enriched, self._encode)
        return self._coded.get(format_.name) or self.of(format_)

    def rest(self) -> RestReader[T]:
        """Return the reader of the lines that their format rejects.

        Raises:
            ConfigurationError: a file of the enrichment cannot be read.
        """
        self._look()
        return self._rest

    def _look(self) -> None:
        generation = self._enrichment.generation()
        if generation != self._generation:
            self._parsers.clear()
            self._coded.clear()
            self._rest = self._rest_reader()
            self._generation = generation

    def _rest_reader(self) -> RestReader[T]:
        return RestReader(self._encode, FORMATS.values, self._enrichment.format)
