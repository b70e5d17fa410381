"""The log formats: line → typed fields, pure; FORMATS holds those that are built in."""

from collections.abc import Mapping

from pipeline.errors import ConfigurationError
from pipeline.formats import detection, w3c
from pipeline.formats.access import COMBINED_DURATION, NGINX_MAIN, NGINX_TIMED, VHOST_COMBINED
from pipeline.formats.application import APPLICATION
from pipeline.formats.balancers import ALB, HAPROXY
from pipeline.formats.errorlog import APACHE22_ERROR, APACHE_ERROR, NGINX_ERROR
from pipeline.formats.jsonlines import JSON
from pipeline.formats.line import LogFormat
from pipeline.formats.logfmt import LOGFMT
from pipeline.formats.ncsa import COMBINED, COMMON, PROXY
from pipeline.formats.openssh import OPENSSH
from pipeline.formats.syslog import SYSLOG, SYSLOG_5424

#: Formats that are no single pattern; what openssh reads is syslog as well.
LINE_FORMATS: tuple[LogFormat, ...] = (JSON, LOGFMT, SYSLOG_5424, OPENSSH, APPLICATION, SYSLOG)
#: The formats by name, built in, then those of users. A line that two of them read is the first one's, so
#: special ones stand before general ones.
FORMATS: dict[str, LogFormat] = {
    format_.name: format_
    for format_ in (
        VHOST_COMBINED,
        COMBINED,
        COMMON,
        PROXY,
        NGINX_MAIN,
        NGINX_TIMED,
        COMBINED_DURATION,
        NGINX_ERROR,
        APACHE_ERROR,
        APACHE22_ERROR,
        HAPROXY,
        ALB,
        w3c.W3C,
        *LINE_FORMATS,
    )
}


def get_format(name: str) -> LogFormat:
    """Return the format of that name.

    Raises:
        ConfigurationError: no format has this name; lists those there are.
    """
    if w3c.makes(name):
        return w3c.from_name(name)
    try:
        return FORMATS[name]
    except KeyError:
        known = ", ".join(FORMATS)
        raise ConfigurationError(
            f"SLUICE_LOG_FORMAT: no format {name!r}; use auto or one of {known}, or put its file into the "
            f"folder of SLUICE_FORMATS_DIR"
        ) from None


def scores(block: bytes) -> dict[LogFormat, float]:
    """Return for each built-in format the share, 0 to 1, of a sample of the lines that are its own."""
    return detection.shares_of(block, FORMATS.values())


def recognise(shares: Mapping[LogFormat, float]) -> LogFormat | None:
    """Return the format with the largest of these shares, None where none has half of the lines."""
    found = detection.recognised(shares)
    return found.format if found else None


def detect(block: bytes) -> LogFormat | None:
    """Return the format that most of a sample of the block's lines have, None where none has half of them."""
    return recognise(scores(block))
