"""The memo: what it keeps, for how long, and that it never changes a value."""

import pytest

from pipeline.errors import RejectedLine
from pipeline.formats.base import Group
from pipeline.formats.fields import size
from pipeline.formats.memo import MAX_FIELD_BYTES, MEMO_BYTES, Memo

SIZE = Group("size", ("size_bytes",), size)
#: More short fields than a memo holds.
MANY = MEMO_BYTES // 100


def make_memo() -> Memo[tuple[int | None, ...]]:
    """Return an empty memo of sizes."""
    return Memo(SIZE, lambda _columns, values: values)


def numbers(start: int, stop: int) -> list[bytes]:
    """Return a field for each number of a range."""
    return [b"%d" % number for number in range(start, stop)]


def test_field_is_converted_once() -> None:
    """The same field gives the very same value, not an equal one."""
    memo = make_memo()

    first, again = memo.look_up([b"123456", b"123456"], 2)

    assert first == (123456,)
    assert first is again


def test_field_that_does_not_convert_is_noted_each_time() -> None:
    """It reads as None, is never kept, and says why when asked alone, without being noted again."""
    memo = make_memo()

    assert memo.look_up([b"9" * 20, b"1", b"9" * 20], 3) == [None, (1,), None]
    assert memo.refused == [b"9" * 20] * 2
    with pytest.raises(RejectedLine, match="is over"):
        memo.convert(b"9" * 20)
    assert len(memo.refused) == 2


def test_long_field_is_not_kept() -> None:
    """One field over the limit costs no room."""
    memo = Memo(Group("agent", ("user_agent",), lambda field: (field.decode(),)), lambda _c, v: v)

    assert memo.look_up([b"a" * (MAX_FIELD_BYTES + 1)], 1) == [("a" * (MAX_FIELD_BYTES + 1),)]
    assert not memo


def test_memo_of_repeating_fields_starts_anew_when_full() -> None:
    """Fields that repeat and then go out of use make room for the next ones."""
    memo = make_memo()

    for start in range(0, MANY, 1000):
        fields = numbers(start, start + 1000)
        assert memo.look_up(fields * 3, 3000) == [(int(field),) for field in fields * 3]

    assert b"%d" % (MANY - MANY % 1000) in memo
    assert b"0" not in memo


def test_memo_of_new_fields_keeps_what_it_has() -> None:
    """Where most fields are new a full memo stops keeping them, and is right all the same."""
    memo = make_memo()

    values = memo.look_up(numbers(0, MANY), MANY)

    assert values == [(number,) for number in range(MANY)]
    assert b"0" in memo
    assert b"%d" % (MANY - 1) not in memo
    assert len(memo) * 100 < MEMO_BYTES
