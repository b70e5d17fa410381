"""Errors of a kind that a source did not have before: a status of a path, a message of a program."""

import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipeline.detect.interval import beginning
from pipeline.detect.observed import Lines
from pipeline.detect.rules import Change, Rules
from pipeline.detect.sighting import Sighting
from pipeline.drift.novelty import NEW_WINDOWS, Templates

#: Kinds of errors that are remembered; those seen longest ago are forgotten.
MOST_KNOWN = 1000
#: Most that are told of one stretch of lines: the rest is learnt.
MOST_TOLD = 20
#: Errors of the server in one minute that make a path of it: single ones come by chance, anywhere.
REPEATED = 3
#: Characters of a message that are told.
SHOWN_CHARACTERS = 200
SERVER_ERROR = 500


class Firsts:
    """The errors that are known; as JSON it goes on after a restart."""

    def __init__(self, rules: Rules, stored: Any = None) -> None:
        stored = stored or {}
        self._rule = rules.changes.get("new-error")
        self._lines: int = stored.get("lines", 0)
        self._known: dict[str, None] = dict.fromkeys(stored.get("known", []))
        self._stretches: int = stored.get("stretches", 0)
        self._templates = Templates(stored.get("templates", ()))

    def as_json(self) -> Any:
        """Return what is known as JSON takes it."""
        return {
            "lines": self._lines,
            "known": list(self._known),
            "stretches": self._stretches,
            "templates": self._templates.as_json(),
        }

    def sightings(self, lines: Lines) -> Iterator[Sighting]:
        """Learn further lines; yield what is new in them, once there were lines enough to know."""
        if self._rule is None:
            return
        found = [*self._statuses(self._rule, lines), *self._messages(self._rule, lines)]
        if self._lines >= self._rule.least:
            yield from found[:MOST_TOLD]
        self._lines += lines.count

    def _statuses(self, rule: Change, lines: Lines) -> Iterator[Sighting]:
        for failed in lines.failed():
            least = 1
            # Anybody can ask for any path: of what the client did wrong only the status counts.
            subject = f"status {failed.status}"
            if failed.status >= SERVER_ERROR:
                subject, least = f"{subject} on {beginning(failed.path)}", REPEATED
            if failed.count >= least and self._is_new(subject):
                yield _sighting(rule, subject, failed.minute, f"{failed.count} with {subject}", failed.offset)

    def _messages(self, rule: Change, lines: Lines) -> Iterator[Sighting]:
        said = {each.offset: each for each in lines.said()}
        if not said:
            return
        self._stretches += 1
        values = [(f"{each.level} {each.message}", offset) for offset, each in said.items()]
        # Numbered so far apart that a template is new in the stretch that has it first, and not in the next.
        for value, offset, age in self._templates.aged(values, self._stretches * NEW_WINDOWS):
            if age:
                continue
            template = self._templates.template(value)
            if self._is_new(template):
                each = said[offset]
                shown = f"{each.level}: {each.message[:SHOWN_CHARACTERS]}"
                yield _sighting(rule, template, each.moment, shown, offset)

    def _is_new(self, subject: str) -> bool:
        key = f"{zlib.crc32(subject.encode(errors='replace')):x}"
        is_new = key not in self._known
        self._known.pop(key, None)
        self._known[key] = None
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return is_new


def _sighting(rule: Change, subject: str, moment: datetime, shown: str, offset: int) -> Sighting:
    summary = f"{rule.meaning}: {shown}"
    return Sighting("error", rule.name, rule.severity, subject, moment, moment, 1, summary, (offset,))
