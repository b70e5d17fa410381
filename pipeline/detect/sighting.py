"""What a detection saw, for whoever keeps it."""

from dataclasses import dataclass
from datetime import datetime

#: What a sighting is about.
KINDS = ("error", "performance", "security", "loss")
#: From the least to the worst.
SEVERITIES = ("low", "medium", "high", "critical")
#: What is told of it: that it began, that it is over.
BEGAN, OVER = "began", "over"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a detection saw of one rule and subject.

    Attributes:
        kind, rule, severity: of KINDS, any name, of SEVERITIES.
        subject: whom or what it is about.
        since, until: times of its first and last record.
        count: records that belong to it.
        summary: what it is, in words, with figures.
        offsets: where some of its lines start in the source.
    """

    kind: str
    rule: str
    severity: str
    subject: str
    since: datetime
    until: datetime
    count: int
    summary: str
    offsets: tuple[int, ...] = ()
