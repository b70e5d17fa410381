"""The fast path where the inner loops are compiled: from a block to codes of fields, and from codes to rows.

Where the pattern of a format has a program (program.py), the scanner cuts lines into fields and looks each up
in the dictionary of its group (dictionary.py). Lines that do not fit, and those with a field that does not
convert, go through the format's exact reading, line by line, as they do on the way of Python (parse.py).
"""

import ctypes
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RejectedLine
from pipeline.formats.base import LONGEST_LINE_BYTES, Format
from pipeline.formats.dictionary import LINES_AT_ONCE, Dictionary, Structs
from pipeline.formats.line import LogFormat
from pipeline.formats.memo import Encode
from pipeline.formats.parse import BlockParser, Rejected
from pipeline.formats.privacy import adopted
from pipeline.formats.program import Program, program_of
from pipeline.scanner import ScannerStruct, library

#: The codes of each line, one for each dictionary; where each line starts.
Codes = NDArray[np.int32]
Starts = NDArray[np.int64]


class CodedBlock:
    """Lines of a block in the order of the file, as codes.

    Attributes:
        dictionaries: one for each group of the format.
        codes: for each accepted line a code of each dictionary.
        rejected: the other lines.
    """

    def __init__(
        self, dictionaries: Sequence[Dictionary], codes: Codes, starts: Starts, rejected: list[Rejected]
    ) -> None:
        self.dictionaries = dictionaries
        self.codes = codes
        self.rejected = rejected
        self._starts = starts

    @property
    def starts(self) -> list[int]:
        """Byte offset in the block of each accepted line."""
        offsets: list[int] = self._starts.tolist()
        return offsets

    @property
    def groups(self) -> list[list[bytes]]:
        """For each group of the format its encoded values, one for each accepted line."""
        return [each.values(self.codes[:, place]) for place, each in enumerate(self.dictionaries)]

    @property
    def record_count(self) -> int:
        """How many lines are accepted."""
        return len(self._starts)

    @property
    def first(self) -> list[bytes]:
        """The encoded values of the first accepted line, group by group; there must be one."""
        return [each.values(self.codes[:1, place])[0] for place, each in enumerate(self.dictionaries)]

    def rows(self, head: bytes, origin: int) -> bytes:
        """Return a row for each accepted line: `head`, its offset in the source as eight bytes, its values.

        `origin` is the block's offset in the source.
        """
        functions, structs = library(), Structs(self.dictionaries)
        codes = np.ascontiguousarray(self.codes)
        width, count = len(self.dictionaries), len(codes)
        values_size = functions.sluice_values_size(structs.array, width, codes.ctypes.data, count)
        rows = np.empty(values_size + count * (len(head) + 8), np.uint8)
        functions.sluice_rows(
            structs.array, width, codes.ctypes.data, self._starts.ctypes.data, count, origin, head, len(head),
            rows.ctypes.data,
        )  # fmt: skip
        return rows.tobytes()


class CodedParser:
    """Parses blocks of one format; it keeps dictionaries, so use one for many blocks, in one thread."""

    def __init__(self, format_: Format, program: Program, encode: Encode[bytes]) -> None:
        self.format = format_
        self._encode = encode
        self._exact = BlockParser(format_, encode)
        self._groups = adopted(format_).groups
        self._dictionaries: list[Dictionary] = []
        # The scanner reads these as long as the parser lives.
        self._arrays = (
            np.array(program.steps, np.int32),
            np.frombuffer(program.sets, np.uint8),
            np.array([number for own in program.captures for number in (len(own), *own)], np.int32),
        )
        steps, sets, captures = (array.ctypes.data for array in self._arrays)
        self._scanner = ScannerStruct(steps, sets, captures, len(self._groups), LONGEST_LINE_BYTES)

    def pieces(
        self,
        block: bytes,
        start: int = 0,  # noqa: ARG002 - for formats of lines
        at: datetime | None = None,  # noqa: ARG002 - for formats of lines
    ) -> Iterator[CodedBlock]:
        """Yield the lines of a block piece by piece, with their places in it, whatever bytes it holds."""
        place = 0
        while place < len(block):
            self._make_room()
            try:
                starts, codes, place = self._scan(block, place)
                piece = self._accepted(block, starts, codes, place)
            except BaseException:
                # What was broken off, be it by a time limit, left fields with codes and without values.
                # The next block makes new dictionaries: now there may be no memory for them.
                self._dictionaries = []
                raise
            yield piece

    def _make_room(self) -> None:
        """Have a dictionary for each group that has room for a field of any line."""
        if not self._dictionaries:
            self._dictionaries = [Dictionary(group, self._encode) for group in self._groups]
        for number, dictionary in enumerate(self._dictionaries):
            if dictionary.is_full:
                self._dictionaries[number] = Dictionary(self._groups[number], self._encode)

    def _scan(self, block: bytes, place: int) -> tuple[Starts, Codes, int]:
        """Return starts and codes of the next lines of a block, and where they end."""
        starts = np.empty(LINES_AT_ONCE, np.int64)
        codes = np.empty((LINES_AT_ONCE, len(self._groups)), np.int32)
        end, structs = ctypes.c_int64(place), Structs(self._dictionaries)
        count = library().sluice_scan(
            ctypes.byref(self._scanner), structs.array, block, len(block), LINES_AT_ONCE,
            ctypes.byref(end), starts.ctypes.data, codes.ctypes.data,
        )  # fmt: skip
        assert count > 0, "a dictionary that is not full has room for a line"
        structs.fill()
        return starts[:count], codes[:count], end.value

    def _accepted(self, block: bytes, starts: Starts, codes: Codes, end: int) -> CodedBlock:
        dictionaries = tuple(self._dictionaries)
        fits = codes[:, 0] >= 0
        for number, dictionary in enumerate(dictionaries):
            if dictionary.refused is not None:
                fits &= ~dictionary.refused[codes[:, number]]
        if fits.all():
            return CodedBlock(dictionaries, codes, starts, [])
        rejected: list[Rejected] = []
        taken: list[int] = []
        rows: list[list[bytes]] = []
        ends = np.append(starts[1:], end)
        for index in np.flatnonzero(~fits).tolist():
            line = block[starts[index] : ends[index]].removesuffix(b"\n")
            try:
                rows.append(self._exact.parse_line(line))
            except RejectedLine as error:
                rejected.append(Rejected(int(starts[index]), line, error.reason, error.position))
            else:
                taken.append(index)
        for number, values in enumerate(zip(*rows, strict=True)):
            codes[taken, number] = dictionaries[number].codes_of(values)
        fits[taken] = True
        return CodedBlock(dictionaries, codes[fits], starts[fits], rejected)


def coded_parser(format_: LogFormat, encode: Encode[Any]) -> CodedParser | None:
    """Return a parser that uses the compiled loops; `encode` gives bytes.

    None where they were not built, or the format's pattern is none for them.
    """
    if not isinstance(format_, Format) or library() is None:
        return None
    program = program_of(format_)
    return None if program is None else CodedParser(format_, program, encode)
