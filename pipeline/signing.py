"""Signatures of batches: HMAC-SHA-256 over the whole envelope, checked before any of it is used.

Optional: with a key every batch is signed, and what carries no signature of the key or of the one before is
refused. It tells a batch of ours from one that somebody with access to the broker made or changed. It hides
nothing, and does not tell a batch from its copy: the ledger stores a range once.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped]

from pipeline.errors import EnvelopeError

#: Field of the envelope that holds the signature.
FIELD = "signature"
#: Stands before what is signed, so that a signature of ours fits nothing else that the key may sign.
CONTEXT = b"sluice batch 1\n"


def signed(envelope: dict[str, Any], keys: Sequence[bytes]) -> dict[str, Any]:
    """Return the envelope with the signature of the first key; as it is where there is none."""
    return {**envelope, FIELD: _digest(envelope, keys[0])} if keys else envelope


def verified(envelope: Any, keys: Sequence[bytes]) -> Any:
    """Return the envelope if one of the keys has signed it, or if there is no key.

    Raises:
        EnvelopeError: there is no signature, or none of these keys has made it for this envelope.
    """
    if not keys:
        return envelope
    signature = envelope.get(FIELD) if isinstance(envelope, dict) else None
    if not isinstance(signature, bytes):
        raise EnvelopeError("the batch is not signed, and SLUICE_SIGNING_KEY is set")
    try:
        digests = [_digest(envelope, key) for key in keys]
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EnvelopeError(f"the batch holds what no batch of ours does: {type(error).__name__}") from error
    # Each key is compared, so that the time tells nothing of which one fits.
    if not sum(hmac.compare_digest(signature, digest) for digest in digests):
        raise EnvelopeError("the signature of the batch is not of this key, or the batch was altered")
    return envelope


def _digest(envelope: dict[str, Any], key: bytes) -> bytes:
    unsigned = {name: value for name, value in envelope.items() if name != FIELD}
    return hmac.digest(key, CONTEXT + msgpack.packb(_ordered(unsigned), use_bin_type=True), hashlib.sha256)


def _ordered(value: Any) -> Any:
    # msgpack keeps the order of a map: in that of its names the same map has the same bytes everywhere.
    return {name: _ordered(value[name]) for name in sorted(value)} if isinstance(value, dict) else value
