"""Lines as a test says that they are, for the detections."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipeline.detect.observed import Counted, Failed, Minute, Record, Said, Text, Timed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass
class GivenLines:
    """Answers each question of the detections with what it was given."""

    count: int = 0
    reached: datetime | None = None
    given_texts: Sequence[Text] = ()
    given_records: Sequence[tuple[Text, Record]] = ()
    given_logins: Sequence[Counted] = ()
    given_missing: Sequence[Counted] = ()
    given_agentless: Sequence[Counted] = ()
    given_addresses: Mapping[str, int] = field(default_factory=dict)
    given_minutes: Sequence[Minute] = ()
    given_failed: Sequence[Failed] = ()
    given_timed: Sequence[Timed] = ()
    given_said: Sequence[Said] = ()

    def texts(self) -> Sequence[Text]:
        """Return the given texts."""
        return self.given_texts

    def records(self, texts: Sequence[Text]) -> Iterable[tuple[Text, Record]]:
        """Return the given records of these texts."""
        return [each for each in self.given_records if each[0] in texts]

    def logins(self, paths: Sequence[str]) -> Sequence[Counted]:
        """Return the given failed logins, those of a path where it is among these."""
        return [each for each in self.given_logins if not each.path or each.path in paths]

    def missing(self) -> Sequence[Counted]:
        """Return the given requests for what is not there."""
        return self.given_missing

    def agentless(self) -> Sequence[Counted]:
        """Return the given requests without an agent."""
        return self.given_agentless

    def addresses(self) -> Mapping[str, int]:
        """Return the given counts by address."""
        return self.given_addresses

    def minutes(self) -> Sequence[Minute]:
        """Return the given minutes."""
        return self.given_minutes

    def failed(self) -> Sequence[Failed]:
        """Return the given errors."""
        return self.given_failed

    def timed(self) -> Sequence[Timed]:
        """Return the given times."""
        return self.given_timed

    def said(self) -> Sequence[Said]:
        """Return the given messages."""
        return self.given_said
