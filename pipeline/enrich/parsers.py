"""The parsers of a process by format, each with its memos and with today's enrichment."""

from typing import Generic, TypeVar

from pipeline.enrich.enrichment import Enrichment
from pipeline.formats.base import Format
from pipeline.formats.memo import Encode
from pipeline.formats.parse import BlockParser

T = TypeVar("T")


class Parsers(Generic[T]):
    """Parsers that are kept, because of their memos, until a file of the enrichment changes."""

    def __init__(self, enrichment: Enrichment, encode: Encode[T]) -> None:
        self._enrichment = enrichment
        self._encode = encode
        self._generation = 0
        self._parsers: dict[str, BlockParser[T]] = {}

    def of(self, format_: Format) -> BlockParser[T]:
        """Return the parser of a format; its own format has the columns of the enrichment too.

        Raises:
            ConfigurationError: a file of the enrichment cannot be read.
        """
        generation = self._enrichment.generation()
        if generation != self._generation:
            self._parsers.clear()
            self._generation = generation
        if format_.name not in self._parsers:
            self._parsers[format_.name] = BlockParser(self._enrichment.format(format_), self._encode)
        return self._parsers[format_.name]
