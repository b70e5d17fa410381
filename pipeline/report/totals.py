"""The totals of the period, beside those of another one where they are compared."""

from pipeline.report import cells, words
from pipeline.report.blocks import Note, Section, State, Tile, Tiles
from pipeline.report.chart import Unit
from pipeline.report.figures import Compared, Figures, Trouble, rows
from pipeline.report.noticed import noticed
from pipeline.report.traffic import CLIENT, SERVER

#: Stands for a figure that has no answer yet.
LATE = "?"


def overview(figures: Figures, before: Compared | None) -> Section:
    """Return the totals of the period, beside those of another one where they are compared."""
    hits, earlier = _by_class(figures), _by_class(before.figures if before else {})
    total = sum(hits.values())
    trouble = figures.get("traffic")
    if isinstance(trouble, Trouble):
        return Section("overview", "Overview", [Note(trouble.message, State.WARN)], is_wide=True)
    tiles = [
        Tile("Records", words.count(total), _change(total, sum(earlier.values()), before)),
        _sum("Sent", ("volume", "bytes"), words.size, figures, before),
        _sum("Visitors", ("visitors", "visitors"), words.count, figures, before),
        _errors("Server errors", SERVER, hits, earlier, before),
        _errors("Client errors", CLIENT, hits, earlier, before),
        Tile("Rejected lines", _rejected(figures), "stored since the first day of the period"),
        Tile("Noticed", _noticed(figures), "drifts and findings in the period"),
    ]
    return Section("overview", "Overview", [Tiles(tiles)], is_wide=True)


def _sum(label: str, place: tuple[str, str], unit: Unit, figures: Figures, before: Compared | None) -> Tile:
    """Return the sum of a column of a part; `place` names both."""
    part, name = place
    if isinstance(figures.get(part), Trouble):
        return Tile(label, LATE)
    now, earlier = (
        sum(row[name] or 0 for row in rows(found, part))
        for found in (figures, before.figures if before else {})
    )
    return Tile(label, unit(now) if rows(figures, part) else cells.UNKNOWN, _change(now, earlier, before))


def _rejected(figures: Figures) -> str:
    if isinstance(figures.get("rejected"), Trouble):
        return LATE
    return words.count(sum(row["count"] for row in rows(figures, "rejected")))


def _noticed(figures: Figures) -> str:
    if any(isinstance(figures.get(part), Trouble) for part in ("drifts", "findings")):
        return LATE
    return words.count(len(noticed(figures)))


def _change(now: int, earlier: int, before: Compared | None) -> str:
    return "" if before is None else words.change(now, earlier)


def _errors(
    label: str,
    kind: int,
    hits: dict[int | None, int],
    earlier: dict[int | None, int],
    before: Compared | None,
) -> Tile:
    count, total = hits.get(kind, 0), sum(hits.values())
    detail = f"{words.count(count)} records"
    if before is not None:
        detail += f"; before {words.share(earlier.get(kind, 0), sum(earlier.values()))}"
    state = State.WARN if kind == SERVER and count else State.PLAIN
    return Tile(label, words.share(count, total), detail, state)


def _by_class(figures: Figures) -> dict[int | None, int]:
    sums: dict[int | None, int] = {}
    for row in rows(figures, "traffic"):
        sums[row["status_class"]] = sums.get(row["status_class"], 0) + row["hits"]
    return sums
