"""Minutes of a site whose traffic rises and falls over the day, for the detections of changes."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipeline.detect.observed import Counted, Failed, Minute, Record, Said, Text, Timed

START = datetime(2026, 1, 1, tzinfo=UTC)
#: How far a day moves the rate and the share of errors, and how much more than chance they vary.
SWING, CLUMPED = 0.5, 2.0
#: Paths of the site, and requests of a minute whose time is known.
PATHS, TIMED = ("/", "/cart/add", "/api/orders", "/search"), 20


@dataclass
class MinuteLines:
    """The lines of one minute; what attacks look like they have not."""

    count: int
    reached: datetime
    by_host: list[Minute] = field(default_factory=list)
    by_path: list[Failed] = field(default_factory=list)
    sample: list[Timed] = field(default_factory=list)

    def texts(self) -> Sequence[Text]:
        """Return none."""
        return ()

    def records(self, _texts: Sequence[Text]) -> Sequence[tuple[Text, Record]]:
        """Return none."""
        return ()

    def logins(self, _paths: Sequence[str]) -> Sequence[Counted]:
        """Return none."""
        return ()

    def missing(self) -> Sequence[Counted]:
        """Return none."""
        return ()

    def agentless(self) -> Sequence[Counted]:
        """Return none."""
        return ()

    def addresses(self) -> dict[str, int]:
        """Return none."""
        return {}

    def minutes(self) -> Sequence[Minute]:
        """Return the counts by host."""
        return self.by_host

    def failed(self) -> Sequence[Failed]:
        """Return the errors by path."""
        return self.by_path

    def timed(self) -> Sequence[Timed]:
        """Return some times."""
        return self.sample

    def said(self) -> Sequence[Said]:
        """Return none."""
        return ()


class Site:
    """Draws one minute after another; what its attributes say may be changed in between."""

    def __init__(self, seed: int, rate: float = 120.0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._moment = START
        #: Lines a minute at the middle of the day; shares of 4xx and 5xx; seconds of a request.
        self.rate, self.client_errors, self.server_errors, self.seconds = rate, 0.04, 0.005, 0.08

    def minute(self) -> MinuteLines:
        """Return the next minute."""
        self._moment += timedelta(minutes=1)
        course = 1 + SWING * math.sin(2 * math.pi * (self._moment.hour * 60 + self._moment.minute) / 1440)
        lines = self._drawn(self.rate * course)
        found = MinuteLines(lines, self._moment)
        for host, part in (("shop", 0.7), ("blog", 0.3)):
            own = round(lines * part)
            client, server = (
                min(self._drawn(own * share * course), own)
                for share in (self.client_errors, self.server_errors)
            )
            found.by_host.append(Minute(self._moment, host, own, client, server))
            for status, count in ((404, client), (500, server)):
                path = self._random.choice(PATHS)
                found.by_path.append(Failed(self._moment, path, status, count, 0))
        found.sample = [
            Timed(
                self._moment,
                self._random.choice(PATHS),
                self._random.lognormvariate(0, 0.8) * self.seconds,
                0,
            )
            for _ in range(min(lines, TIMED))
        ]
        return found

    def _drawn(self, mean: float) -> int:
        return max(0, round(self._random.gauss(mean, math.sqrt(CLUMPED * mean)))) if mean > 0 else 0
