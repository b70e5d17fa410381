"""The log formats: line → typed fields, pure; FORMATS holds those that are built in."""

from collections.abc import Mapping

from pipeline.errors import ConfigurationError
from pipeline.formats.base import Format
from pipeline.formats.ncsa import COMBINED, COMMON, PROXY

#: The built-in formats by name, in the order in which `detect` prefers them.
FORMATS: dict[str, Format] = {format_.name: format_ for format_ in (COMBINED, COMMON, PROXY)}
#: Lines of a block that `detect` looks at.
SAMPLE_LINES = 200
#: Share of the sample that a format must have to be the source's.
ENOUGH = 0.5


def get_format(name: str) -> Format:
    """Return the format of that name.

    Raises:
        ConfigurationError: no format has this name; lists those there are.
    """
    try:
        return FORMATS[name]
    except KeyError:
        known = ", ".join(FORMATS)
        raise ConfigurationError(
            f"SLUICE_LOG_FORMAT: no format {name!r}; use auto or one of {known}"
        ) from None


def scores(block: bytes) -> dict[Format, float]:
    """Return for each built-in format the share, 0 to 1, of a sample of the block's lines that have it."""
    lines = [line for line in block.split(b"\n") if line]
    sample = lines[:: -(-len(lines) // SAMPLE_LINES) or 1]
    whole = len(sample) or 1
    return {format_: sum(map(bool, map(format_.match, sample))) / whole for format_ in FORMATS.values()}


def recognise(shares: Mapping[Format, float]) -> Format | None:
    """Return the format with the largest of these shares, None where none has ENOUGH."""
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= ENOUGH else None


def detect(block: bytes) -> Format | None:
    """Return the format that most of a sample of the block's lines have, None where none has half of them."""
    return recognise(scores(block))
