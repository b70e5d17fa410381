"""The memo: field bytes → encoded values, each distinct field converted once."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from pipeline.errors import RejectedLine
from pipeline.formats.base import Group

T = TypeVar("T")
#: What a memo looks up: the bytes of a capture, or those of several.
Field = bytes | tuple[bytes, ...]
#: Turns the names and the typed values of a group's columns into what a loader wants; never None.
Encode = Callable[[tuple[str, ...], tuple[Any, ...]], T]

#: Most bytes that one memo keeps, fields and each entry's own cost together: some 40,000 short fields.
MEMO_BYTES = 8 << 20
#: What an entry costs beside its field: two objects and a slot of the table.
ENTRY_BYTES = 160
#: A longer field is converted each time: keeping it would throw out hundreds of short ones.
MAX_FIELD_BYTES = 4096
#: How many bytes of further fields a full memo lets pass before it starts anew, where most are new.
PAUSE_BYTES = 8 * MEMO_BYTES


class Memo(dict[Field, T | None], Generic[T]):
    """Encoded values by field; a field that does not convert reads as None and is noted in `refused`.

    A dict with `__missing__`, so that a hit runs without bytecode. A full memo starts anew when its fields
    repeat and then go out of use, as times do. When most fields are new, as sizes can be, keeping them costs
    more than it saves: then it serves what it has, and keeps nothing for a while.
    """

    __slots__ = ("_columns", "_convert", "_encode", "_floor", "_free_bytes", "_lookups", "refused")

    def __init__(self, group: Group, encode: Encode[T]) -> None:
        super().__init__()
        self._columns = group.columns
        self._convert = group.convert
        self._encode = encode
        self._free_bytes = MEMO_BYTES
        #: Where _free_bytes has to be before a full memo starts anew: below zero in a pause.
        self._floor = 0
        self._lookups = 0
        #: Fields that did not convert since the list was last cleared.
        self.refused: list[Field] = []

    def look_up(self, fields: Iterable[Field], count: int) -> list[T | None]:
        """Return the encoded values of `count` fields, None for one that does not convert."""
        self._lookups += count
        return list(map(self.__getitem__, fields))

    def convert(self, field: Field) -> T:
        """Return the encoded values of one field.

        Raises:
            RejectedLine: the field does not convert.
        """
        (value,) = self.look_up((field,), 1)
        if value is None:
            self.refused.pop()
            value = self._encode(self._columns, self._convert(field))
        return value

    def __missing__(self, field: Field) -> T | None:
        try:
            value = self._encode(self._columns, self._convert(field))
        except RejectedLine:
            self.refused.append(field)
            return None
        length = len(field) if isinstance(field, bytes) else sum(map(len, field)) + ENTRY_BYTES
        if length <= MAX_FIELD_BYTES:
            self._free_bytes -= length + ENTRY_BYTES
            if self._free_bytes < self._floor:
                self._overflow()
            if self._free_bytes >= 0:
                self[field] = value
        return value

    def _overflow(self) -> None:
        mostly_new = 2 * len(self) > self._lookups
        if mostly_new and self._floor == 0:
            self._floor = -PAUSE_BYTES
        else:
            self._start_anew()

    def _start_anew(self) -> None:
        self.clear()
        self._lookups = 0
        self._floor = 0
        self._free_bytes = MEMO_BYTES
