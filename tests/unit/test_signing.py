"""Signatures of batches: ours are accepted, everything else is refused before it is used."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch import Batch, Source
from pipeline.errors import EnvelopeError
from pipeline.signing import FIELD, signed, verified

KEY, OTHER = b"k" * 32, b"o" * 32
BATCH = Batch(Source("ab" * 16, "web-1", "/var/log/\udcffa.log", format="auto"), 7, b"line\n" * 3)


def over_the_wire(envelope: dict[str, Any]) -> Any:
    """Return the envelope as a worker unpacks it."""
    return msgpack.unpackb(msgpack.packb(envelope, use_bin_type=True), raw=False)


def test_a_signed_batch_arrives() -> None:
    """The signature survives the wire, and the batch decodes to what it was."""
    envelope = over_the_wire(signed(BATCH.encode(), [KEY]))

    assert Batch.decode(verified(envelope, [KEY])) == BATCH


def test_the_previous_key_is_accepted_while_keys_change() -> None:
    """What the old key signed is read by who has the new key in front; a third key is refused."""
    envelope = signed(BATCH.encode(), [OTHER])

    assert verified(envelope, [KEY, OTHER]) is envelope
    with pytest.raises(EnvelopeError, match="not of this key"):
        verified(envelope, [KEY])


def test_without_a_key_nothing_is_signed_or_asked_for() -> None:
    """Signing is optional; a reader without a key takes signed batches too."""
    plain = BATCH.encode()

    assert FIELD not in signed(plain, [])
    assert Batch.decode(verified(signed(plain, [KEY]), [])) == BATCH


@pytest.mark.parametrize("envelope", [BATCH.encode(), None, [], "text", {FIELD: "text"}, {FIELD: None}])
def test_an_unsigned_message_is_refused(envelope: Any) -> None:
    """Whatever carries no signature is named as such."""
    with pytest.raises(EnvelopeError, match="not signed"):
        verified(envelope, [KEY])


@pytest.mark.parametrize("field", [*BATCH.encode(), "added"])
def test_a_changed_field_is_refused(field: str) -> None:
    """No field of the envelope can be changed, removed or added."""
    envelope = signed(BATCH.encode(), [KEY])
    removed = {name: value for name, value in envelope.items() if name != field}
    changed = {**envelope, field: b"other"}

    for altered in (changed, *([removed] if field in envelope else [])):
        with pytest.raises(EnvelopeError, match="signature"):
            verified(altered, [KEY])


@pytest.mark.parametrize("field", BATCH.source.to_map())
def test_a_changed_source_is_refused(field: str) -> None:
    """The signature covers what stands inside the source too."""
    envelope = signed(BATCH.encode(), [KEY])

    with pytest.raises(EnvelopeError, match="signature"):
        verified({**envelope, "source": {**envelope["source"], field: "x"}}, [KEY])


@given(st.integers(0, 31), st.integers(1, 255))
def test_no_changed_byte_of_a_signature_fits(position: int, flip: int) -> None:
    """One bit is enough to be refused."""
    envelope = signed(BATCH.encode(), [KEY])
    forged = bytearray(envelope[FIELD])
    forged[position] ^= flip

    with pytest.raises(EnvelopeError, match="signature"):
        verified({**envelope, FIELD: bytes(forged)}, [KEY])


@pytest.mark.parametrize("strange", [object(), {1: 2, "a": 3}, 1 << 70])
def test_what_cannot_be_signed_is_refused(strange: Any) -> None:
    """A foreign value ends in the same error and not in one that is tried again."""
    with pytest.raises(EnvelopeError, match="no batch of ours"):
        verified({FIELD: b"x", "a": strange}, [KEY])
