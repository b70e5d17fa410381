"""A dictionary: the distinct fields of one group, each with a code, and the encoded value of each.

The scanner (pipeline/scan.c) finds the code of a field and gives a new field the next one; what it becomes is
decided here, once. A full dictionary is replaced, never emptied: blocks keep those that their codes are of.
"""

import secrets
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.errors import RejectedLine
from pipeline.formats.base import LONGEST_LINE_BYTES, Group
from pipeline.formats.memo import Encode, Field
from pipeline.scanner import DictionaryStruct

#: Lines that are scanned together, so that what is made of them stays in the processor's cache.
LINES_AT_ONCE = 1024
#: Entries, bytes of fields, and bytes of values that make a dictionary full; an entry for each line of a scan
#: goes beyond, see `codes_of`, and what these lines take.
MOST_ENTRIES, MOST_BYTES, MOST_VALUE_BYTES = 40 << 10, 3 << 20, 4 << 20
#: Values without a field that make it full too: each stands in a dict of Python beside.
MOST_WITHOUT_FIELD = 8 << 10
#: A power of two, so that more than half of the slots stay free.
_SLOTS = 128 << 10
#: Bytes that the fields of one line may need, with the sizes of captures.
_LINE_ROOM = 2 * LONGEST_LINE_BYTES
#: Bytes of values there is room for at first.
_VALUE_BYTES = 64 << 10
#: Places in `struct entry` of scan.c, and its width.
_KEY, _KEY_SIZE, _VALUE, _VALUE_SIZE, _WIDTH = 1, 2, 3, 4, 5
#: Bytes of the size before each of several captures.
_SIZE_BYTES = 4


class Dictionary:
    """Codes and encoded values of one group's fields; use it in one thread."""

    def __init__(self, group: Group, encode: Encode[bytes]) -> None:
        self._group = group
        self._encode = encode
        self._slots = np.full(_SLOTS, -1, np.int32)
        self._entries = np.zeros((MOST_ENTRIES + LINES_AT_ONCE, _WIDTH), np.uint32)
        self._keys = np.empty(MOST_BYTES, np.uint8)
        self._values = np.empty(_VALUE_BYTES, np.uint8)
        self._used = 0
        self._filled = 0
        #: Codes of values that no field stands for.
        self._of_value: dict[bytes, int] = {}
        #: True for each code whose field does not convert; None while there is none.
        self.refused: Any = None
        self._struct = DictionaryStruct(
            slots=self._slots.ctypes.data,
            entries=self._entries.ctypes.data,
            keys=self._keys.ctypes.data,
            values=self._values.ctypes.data,
            seed=secrets.randbits(64),
            mask=_SLOTS - 1,
            most=MOST_ENTRIES,
            room=MOST_BYTES,
        )

    def __len__(self) -> int:
        return int(self._struct.count)

    @property
    def most(self) -> int:
        """How many codes it may ever have."""
        return len(self._entries)

    @property
    def struct(self) -> DictionaryStruct:
        """What the scanner knows of it."""
        return self._struct

    @property
    def is_full(self) -> bool:
        """Whether a line's field may have no room."""
        return (
            len(self) >= MOST_ENTRIES
            or self._struct.used > MOST_BYTES - _LINE_ROOM
            or self._used > MOST_VALUE_BYTES
            or len(self._of_value) > MOST_WITHOUT_FIELD
        )

    def fill(self, count: int, used: int) -> None:
        """Take over the fields that the scanner added: how many entries and bytes of keys there are now."""
        self._struct.count, self._struct.used = count, used
        if self._filled == count:
            return
        values = []
        columns, convert, encode = self._group.columns, self._group.convert, self._encode
        for code, field in enumerate(self._fields_from(self._filled), start=self._filled):
            try:
                values.append(encode(columns, convert(field)))
            except RejectedLine:
                if self.refused is None:
                    self.refused = np.zeros(len(self._entries), np.bool_)
                self.refused[code] = True
                values.append(b"")
        self._keep(values)

    def codes_of(self, values: Sequence[bytes]) -> list[int]:
        """Return the codes of values of lines that the scanner did not take: no field stands for them."""
        new = list(dict.fromkeys(value for value in values if value not in self._of_value))
        assert self._filled == len(self) <= self.most - len(new), "there is room for each line of a scan"
        self._struct.count += len(new)
        self._of_value.update(zip(new, range(self._filled, len(self)), strict=True))
        self._keep(new)
        return [self._of_value[value] for value in values]

    def values(self, codes: Any) -> list[bytes]:
        """Return the encoded values of some codes."""
        kept = self._values.data
        places = self._entries[codes, _VALUE : _VALUE_SIZE + 1].tolist()
        return [bytes(kept[start : start + size]) for start, size in places]

    def _fields_from(self, code: int) -> Iterator[Field]:
        """Yield the fields of all codes from one on; the scanner put their keys one behind the other."""
        places = self._entries[code : len(self), _KEY : _KEY_SIZE + 1].tolist()
        first = places[0][0]
        keys = self._keys[first : self._struct.used].tobytes()
        count = len(self._group.sources)
        for start, size in places:
            key = keys[start - first : start - first + size]
            yield key if count == 1 else tuple(_parts(key, count))

    def _keep(self, values: list[bytes]) -> None:
        """Keep the values of the codes that have none yet."""
        ends = np.cumsum([self._used, *map(len, values)])
        end = int(ends[-1])
        if end > len(self._values):
            grown = np.empty(max(2 * len(self._values), end), np.uint8)
            grown[: self._used] = self._values[: self._used]
            self._values = grown
            self._struct.values = grown.ctypes.data
        self._values[self._used : end] = np.frombuffer(b"".join(values), np.uint8)
        new = self._entries[self._filled : self._filled + len(values)]
        new[:, _VALUE], new[:, _VALUE_SIZE] = ends[:-1], np.diff(ends)
        self._used = end
        self._filled += len(values)


class Structs:
    """What the scanner knows of some dictionaries, side by side in memory, for one call."""

    def __init__(self, dictionaries: Sequence[Dictionary]) -> None:
        self._dictionaries = dictionaries
        # Copies: a dictionary that grows moves its values, and another one may stand in its place next time.
        self.array = (DictionaryStruct * len(dictionaries))(*(each.struct for each in dictionaries))

    def fill(self) -> None:
        """Let the dictionaries take over what a scan added."""
        for own, dictionary in zip(self.array, self._dictionaries, strict=True):
            dictionary.fill(own.count, own.used)


def _parts(key: bytes, count: int) -> Iterator[bytes]:
    """Yield the captures of a key that holds several, each behind its size."""
    start = 0
    for _ in range(count):
        begin = start + _SIZE_BYTES
        start = begin + int.from_bytes(key[start:begin], sys.byteorder)
        yield key[begin:start]
