"""kombu's decompression of messages, turned off: whoever may publish could fill a reader's memory with it.

A message may name a compression in its headers, and kombu unpacks the body before anything is known of it,
to whatever size it has: 10 MB become 10 GB. Nothing of Sluice is sent like that; a batch packs its own block,
and is unpacked to its announced size at most (batch.py).
"""

from typing import NoReturn

from kombu import compression
from kombu.exceptions import ContentDisallowed


def refuse_compression() -> None:
    """Make every compression of kombu in this process an error of the message that names it."""
    for content_type in compression.encoders():
        compression.register(_refuse, _refuse, content_type)


def _refuse(_: bytes) -> NoReturn:
    raise ContentDisallowed("a compressed message is none of ours")
