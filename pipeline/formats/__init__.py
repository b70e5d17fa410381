"""The log formats: line → typed fields, pure; FORMATS holds those that are built in."""

from collections.abc import Mapping

from pipeline.errors import ConfigurationError
from pipeline.formats.application import APPLICATION
from pipeline.formats.jsonlines import JSON
from pipeline.formats.line import LogFormat
from pipeline.formats.logfmt import LOGFMT
from pipeline.formats.ncsa import COMBINED, COMMON, PROXY
from pipeline.formats.openssh import OPENSSH
from pipeline.formats.syslog import SYSLOG, SYSLOG_5424

#: Formats that are no single pattern; what openssh reads is syslog as well.
LINE_FORMATS: tuple[LogFormat, ...] = (JSON, LOGFMT, SYSLOG_5424, OPENSSH, APPLICATION, SYSLOG)

#: The formats by name, in the order in which `detect` prefers them: built in, then those of users.
FORMATS: dict[str, LogFormat] = {
    format_.name: format_ for format_ in (COMBINED, COMMON, PROXY, *LINE_FORMATS)
}
#: Lines of a block that `detect` looks at.
SAMPLE_LINES = 200
#: Share of the sample that a format must have to be the source's.
ENOUGH = 0.5


def get_format(name: str) -> LogFormat:
    """Return the format of that name.

    Raises:
        ConfigurationError: no format has this name; lists those there are.
    """
    try:
        return FORMATS[name]
    except KeyError:
        known = ", ".join(FORMATS)
        raise ConfigurationError(
            f"SLUICE_LOG_FORMAT: no format {name!r}; use auto or one of {known}, or put its file into the "
            f"folder of SLUICE_FORMATS_DIR"
        ) from None


def scores(block: bytes) -> dict[LogFormat, float]:
    """Return for each built-in format the share, 0 to 1, of a sample of the block's lines that have it."""
    # Indented lines are those of stack traces: they say nothing of the format.
    lines = [line for line in block.split(b"\n") if line[:1].strip()]
    sample = lines[:: -(-len(lines) // SAMPLE_LINES) or 1]
    whole = len(sample) or 1
    return {format_: sum(map(bool, map(format_.match, sample))) / whole for format_ in FORMATS.values()}


def recognise(shares: Mapping[LogFormat, float]) -> LogFormat | None:
    """Return the format with the largest of these shares, None where none has ENOUGH."""
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= ENOUGH else None


def detect(block: bytes) -> LogFormat | None:
    """Return the format that most of a sample of the block's lines have, None where none has half of them."""
    return recognise(scores(block))
