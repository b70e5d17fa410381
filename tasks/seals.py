"""The lake's hash chain closed on beat's schedule."""

from db import seals
from tasks import stores
from tasks.scheduled import scheduled


@scheduled("seals.close")
def close() -> str:
    """Seal what the lake stored on the days that have ended; return how many seals, for Flower.

    A second one at the same time adds nothing; what cannot be done now is left to the next one.
    """
    count = seals.close(stores.engine(), stores.settings().seal_keys)
    return f"sealed: {count} seals"
