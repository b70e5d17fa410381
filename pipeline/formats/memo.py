"""The memo: field bytes → encoded values, each distinct field converted once."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pipeline.errors import RejectedLine
from pipeline.formats.base import Group

T = TypeVar("T")
#: Turns the names and the typed values of a group's columns into what a loader wants; never None.
Encode = Callable[[tuple[str, ...], tuple[Any, ...]], T]

#: Most bytes of fields that one memo keeps, each entry's own cost included, before it starts anew.
#: Seven groups that all stay full hold about 60 MiB, which leaves room under a worker's 200 MiB.
MEMO_BYTES = 4 << 20
#: What an entry costs beside its field: two objects and a slot of the table.
ENTRY_BYTES = 160
#: A longer field is converted each time: keeping it would throw out thousands of short ones.
MAX_FIELD_BYTES = 4096


class Memo(dict[bytes, T | None], Generic[T]):
    """Encoded values by field; a field that does not convert reads as None and is noted in `refused`.

    A dict with `__missing__`, so that `map(memo.__getitem__, fields)` runs without bytecode on a hit.
    """

    __slots__ = ("_columns", "_convert", "_encode", "_free_bytes", "refused")

    def __init__(self, group: Group, encode: Encode[T]) -> None:
        super().__init__()
        self._columns = group.columns
        self._convert = group.convert
        self._encode = encode
        self._free_bytes = MEMO_BYTES
        #: Fields that did not convert since the list was last cleared.
        self.refused: list[bytes] = []

    def __missing__(self, field: bytes) -> T | None:
        try:
            value = self._encode(self._columns, self._convert(field))
        except RejectedLine:
            self.refused.append(field)
            return None
        if len(field) <= MAX_FIELD_BYTES:
            self._keep(field, value)
        return value

    def convert(self, field: bytes) -> T:
        """Return the encoded values of one field.

        Raises:
            RejectedLine: the field does not convert.
        """
        value = self.get(field)
        return self._encode(self._columns, self._convert(field)) if value is None else value

    def _keep(self, field: bytes, value: T) -> None:
        self._free_bytes -= len(field) + ENTRY_BYTES
        if self._free_bytes < 0:
            self.clear()
            self._free_bytes = MEMO_BYTES
        self[field] = value
