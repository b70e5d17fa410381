"""The log formats: line → typed fields, pure; FORMATS holds those that are built in."""

from pipeline.errors import ConfigurationError
from pipeline.formats.base import Format
from pipeline.formats.ncsa import COMBINED, COMMON, PROXY

#: The built-in formats by name, in the order in which `detect` prefers them.
FORMATS: dict[str, Format] = {format_.name: format_ for format_ in (COMBINED, COMMON, PROXY)}
#: Lines of a block that `detect` looks at.
SAMPLE_LINES = 200


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


def detect(block: bytes) -> Format | None:
    """Return the format that most of a sample of the block's lines have, None where none has half of them."""
    lines = [line for line in block.split(b"\n") if line]
    sample = lines[:: -(-len(lines) // SAMPLE_LINES) or 1]
    counts = {format_: sum(map(bool, map(format_.match, sample))) for format_ in FORMATS.values()}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] * 2 >= len(sample) > 0 else None
