"""What was noticed in the period: drifts and findings on one axis of time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.report import words
from pipeline.report.blocks import Block, Entries, Entry, Note, Section, State
from pipeline.report.cells import visible
from pipeline.report.chart import Mark
from pipeline.report.figures import Figures, Trouble, rows

#: What is shown, the newest; a plot with more marks could not be read.
MOST_SHOWN = 30
#: How a severity looks; others look as a warning does.
SEVERE = {"critical": State.BAD, "high": State.BAD}


@dataclass(frozen=True, slots=True)
class Noticed:
    """One drift or finding, since when, and how it is shown."""

    at: datetime
    entry: Entry


def noticed(figures: Figures) -> list[Noticed]:
    """Return what was noticed in the order of time; the first has the number 1 on the plots."""
    found = [_drift(row) for row in rows(figures, "drifts")]
    found += [_finding(row) for row in rows(figures, "findings")]
    return sorted(found, key=lambda each: (each.at, each.entry.title))[-MOST_SHOWN:]


def marks(figures: Figures) -> list[Mark]:
    """Return the marks of the plots."""
    return [Mark(number, each.at) for number, each in enumerate(noticed(figures), 1)]


def section(figures: Figures) -> Section:
    """Return what was noticed, numbered as on the plots."""
    blocks: list[Block] = [
        Note(f"{part}: {found.message}", State.WARN)
        for part in ("drifts", "findings")
        if isinstance(found := figures.get(part), Trouble)
    ]
    entries = [(number, each.entry) for number, each in enumerate(noticed(figures), 1)]
    # The newest first, as people look for it.
    blocks.append(Entries(entries[::-1], empty="Nothing was noticed in this period."))
    return Section("noticed", "Drifts and findings", blocks, is_wide=True)


def _drift(row: dict[str, Any]) -> Noticed:
    facts = (visible(row["path"]), *map(visible, row["changes"]))
    lines = tuple(map(visible, (*row["before"], *row["after"])))
    return Noticed(
        row["at"], Entry(f"{row['kind']} drift since {words.moment(row['at'])}", facts, lines, State.WARN)
    )


def _finding(row: dict[str, Any]) -> Noticed:
    title = f"{row['severity']}: {row['rule']}, {visible(row['subject'])}"
    facts = [
        visible(row["summary"]),
        f"{words.moment(row['since'])} to {words.moment(row['until'])}, {row['state']}",
        f"records: {words.count(row['count'])}",
    ]
    if row["path"] is not None:
        places = ", ".join(str(place["offset"]) for place in row["evidence"])
        facts.append(f"{visible(row['path'])}, bytes {places}" if places else visible(row["path"]))
    return Noticed(row["since"], Entry(title, facts, (), SEVERE.get(row["severity"], State.WARN)))
