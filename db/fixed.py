"""Columns of fixed width as COPY takes them, read all at once by numpy."""

from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.formats.base import COLUMNS, ColumnType

#: The binary form of a value, by the type of its column.
_FORMS = {
    ColumnType.SMALLINT: ">i2",
    ColumnType.INTEGER: ">i4",
    ColumnType.BIGINT: ">i8",
    ColumnType.TIMESTAMP: ">i8",
    ColumnType.DOUBLE: ">f8",
}


@cache
def _layout(columns: tuple[str, ...]) -> np.dtype[np.void] | None:
    forms = [_FORMS.get(COLUMNS[name]) for name in columns]
    if None in forms:
        return None
    pairs = zip(columns, forms, strict=True)
    return np.dtype([part for name, form in pairs for part in ((f"{name} length", ">i4"), (name, form))])


def read(columns: tuple[str, ...], fields: Iterable[bytes], count: int) -> NDArray[np.void] | None:
    """Return `count` encoded fields of a group as an array with a field for each column.

    None where a column is of no fixed width, or a value is NULL.
    """
    layout = _layout(columns)
    if layout is None:
        return None
    joined = b"".join(fields)
    # A NULL is shorter, and nothing is longer: all are there if the length is right.
    return np.frombuffer(joined, layout) if len(joined) == count * layout.itemsize else None
