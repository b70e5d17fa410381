"""The batch and its envelope."""

import copy
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch import Batch, Source
from pipeline.errors import EnvelopeError

SOURCE = Source(
    key="0123456789abcdef" * 2, host="web-1", path="/var/log/access.log", inode=7, format="combined"
)


def make_batch(block: bytes = b"first\nsecond\n", start: int = 100) -> Batch:
    """Return a batch of the source of these tests."""
    return Batch(SOURCE, start, block)


@given(st.binary(min_size=1, max_size=5000), st.integers(0, 2**62))
def test_envelope_gives_back_the_same_batch(block: bytes, start: int) -> None:
    """Any bytes survive the envelope and msgpack."""
    batch = make_batch(block, start)

    wire = msgpack.unpackb(msgpack.packb(batch.encode(), use_bin_type=True), raw=False)

    assert batch == Batch.decode(wire)


def test_path_may_be_any_bytes() -> None:
    """A file name that is no text survives the envelope."""
    batch = Batch(Source(key="k", host="h", path="/logs/\udcff\n.log"), 0, b"x\n")

    assert batch.source == Batch.decode(batch.encode()).source


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("version", None),
        ("codec", "gzip"),
        ("checksum", bytes(32)),
        ("block", b"no frame"),
        ("block", zstandard.compress(b"short")),
        ("block", zstandard.compress(bytes(1 << 24))),
        ("end", 100),
        ("end", "many"),
        ("start", -1),
        ("end", 1 << 40),
        ("source", {"key": "k"}),
        ("source", None),
    ],
)
def test_envelope_with_a_wrong_field_is_an_envelope_error(field: str, value: Any) -> None:
    """Whatever is wrong with a message, it is one named error."""
    envelope = copy.deepcopy(make_batch().encode())
    envelope[field] = value

    with pytest.raises(EnvelopeError):
        Batch.decode(envelope)


@pytest.mark.parametrize("foreign", [None, 7, "text", [], {}, {"version": 1}])
def test_foreign_content_is_an_envelope_error(foreign: Any) -> None:
    """Content that was never an envelope is refused, not met with a crash."""
    with pytest.raises(EnvelopeError):
        Batch.decode(foreign)


def test_same_range_and_bytes_have_the_same_id() -> None:
    """The id follows from source, range and bytes, and differs where one of them does."""
    assert make_batch().id == make_batch().id
    assert len({make_batch().id, make_batch(start=101).id, make_batch(b"first\nsecons\n").id}) == 3


@pytest.mark.parametrize(
    ("block", "count"), [(b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2), (b"a", 1), (b"a\r\nb\n", 2)]
)
def test_last_line_without_newline_counts(block: bytes, count: int) -> None:
    """Every newline ends a line, and so does the end of the block."""
    assert count == make_batch(block).line_count


def test_slice_is_the_part_at_that_place_of_the_source() -> None:
    """A slice keeps source and position."""
    part = make_batch(b"0123456789", start=50).slice(53, 56)

    assert (part.start, part.end, part.block) == (53, 56, b"345")


def test_slice_of_everything_is_the_batch_itself() -> None:
    """What was computed of a batch, as its checksum, is not computed again for the whole of it."""
    whole = make_batch(b"0123456789", start=50)

    assert whole.slice(50, 60) is whole


def test_repr_shows_no_line() -> None:
    """The text that reaches Flower, events and logs names the batch only."""
    assert repr(make_batch()) == "<batch 01234567 [100, 113) 2 lines>"
