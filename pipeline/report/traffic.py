"""What the records say over time, what was noticed marked on the same axis; and what is most frequent."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pipeline.report import cells, words
from pipeline.report.axis import Axis, axis_of
from pipeline.report.blocks import Block, Cell, Figure, Grid, Note, Section, State
from pipeline.report.chart import Frame, Mark, Series, Unit, lines, stacked
from pipeline.report.figures import (
    Compared,
    Figures,
    Period,
    Selection,
    Trouble,
    floor,
    latency_unit,
    ranked_period,
    rows,
)
from pipeline.report.noticed import marks

#: Status class → its name and style; None is a record without a status.
CLASSES: dict[int | None, tuple[str, str]] = {
    2: ("2xx success", "c2"),
    3: ("3xx redirect", "c3"),
    1: ("1xx information", "c1"),
    None: ("no status", "c0"),
    4: ("4xx client error", "c4"),
    5: ("5xx server error", "c5"),
}
#: Parts that rank: what it is, heads, names of the values.
RANKED = {
    "paths": ("Most requested paths", ("path", "hits", "bytes"), ("path", "hits", "bytes")),
    "errors": ("Errors by path", ("path", "status", "hits"), ("path", "status", "hits")),
    "slow": ("Slowest paths", ("path", "mean", "hits"), ("path", "mean_seconds", "hits")),
    "addresses": ("Addresses", ("address", "hits", "bytes"), ("ip", "hits", "bytes")),
    "agents": ("Agents", ("agent", "hits", "bytes"), ("user_agent", "hits", "bytes")),
    "browsers": ("Browsers", ("browser", "hits", "bytes"), ("browser", "hits", "bytes")),
    "countries": ("Countries", ("country", "hits", "bytes"), ("country", "hits", "bytes")),
}
#: Status classes of errors: of the client, of the server.
CLIENT, SERVER = 4, 5


def timeline(figures: Figures, before: Compared | None, selection: Selection) -> Section:
    """Return the plots of the period, one under the other on the same axis."""
    trouble = figures.get("traffic")
    if isinstance(trouble, Trouble):
        return Section("timeline", "Over time", [Note(trouble.message, State.WARN)], is_wide=True)
    axis = axis_of(selection.period)
    marked = marks(figures)
    by_class = _binned(figures, axis)
    compared = None if before is None else _compared(before, axis)
    blocks: list[Block] = [_records(axis, marked, by_class, compared), _shares(axis, marked, by_class)]
    blocks += [_volume(figures, axis, marked), *_latency(figures, axis, marked)]
    return Section("timeline", "Over time", blocks, is_wide=True)


def _binned(figures: Figures, axis: Axis, shift: timedelta = timedelta()) -> dict[int | None, list[int]]:
    """Return hits by bin for each status class that there is; `shift` lays another period over the axis."""
    bins: dict[int | None, list[int]] = {}
    size = len(axis.bins())
    for row in rows(figures, "traffic"):
        number = axis.bin(row["moment"] + shift)
        if 0 <= number < size:
            bins.setdefault(row["status_class"], [0] * size)[number] += row["hits"]
    return bins


def _compared(before: Compared, axis: Axis) -> Series:
    bins = _binned(before.figures, axis, axis.period.since - before.period.since)
    values = [sum(column) for column in zip(*bins.values(), strict=True)] or [0] * len(axis.bins())
    return Series("compared", "before", values)


def _records(
    axis: Axis, marked: Sequence[Mark], by_class: dict[int | None, list[int]], compared: Series | None
) -> Figure:
    nothing = [0] * len(axis.bins())
    series = [
        Series(name, style, by_class[kind]) for kind, (name, style) in CLASSES.items() if kind in by_class
    ] or [Series("records", "c2", nothing)]
    title = f"Records by status, a bar for {words.seconds(axis.step.total_seconds())}"
    svg = stacked(Frame(title, axis, marked), series, compared)
    shown = [*series, *([compared] if compared else [])]
    return Figure(title, svg, legend(shown), table_of(title, axis.bins(), shown))


def _shares(axis: Axis, marked: Sequence[Mark], by_class: dict[int | None, list[int]]) -> Figure:
    nothing = [0] * len(axis.bins())
    totals = [sum(column) for column in zip(*by_class.values(), strict=True)] or nothing
    series = [
        Series(CLASSES[kind][0], CLASSES[kind][1], _percent(by_class.get(kind, nothing), totals))
        for kind in (CLIENT, SERVER)
    ]
    title = "Share of errors"
    svg = lines(Frame(title, axis, marked, percent), series)
    return Figure(title, svg, legend(series), table_of(title, axis.bins(), series, percent))


def _volume(figures: Figures, axis: Axis, marked: Sequence[Mark]) -> Figure:
    values = [0] * len(axis.bins())
    for row in rows(figures, "volume"):
        number = axis.bin(row["moment"])
        if 0 <= number < len(values):
            values[number] += row["bytes"] or 0
    title = f"Bytes sent, a bar for {words.seconds(axis.step.total_seconds())}"
    series = [Series("bytes", "c3", values)]
    svg = stacked(Frame(title, axis, marked, words.size), series)
    return Figure(title, svg, legend(series), table_of(title, axis.bins(), series, words.size))


def _latency(figures: Figures, axis: Axis, marked: Sequence[Mark]) -> list[Figure]:
    """Return the plot of latencies, none where no record has a duration."""
    unit = latency_unit(axis.period)
    found = {row["moment"]: row for row in rows(figures, "latency")}
    if not found:
        return []
    # A bin shorter than the unit shows what its unit has.
    units = [found.get(floor(moment, unit), {}) for moment in axis.bins()]
    series = [
        Series(name, style, [row.get(name) for row in units])
        for name, style in (("p50", "c2"), ("p90", "c4"), ("p99", "c5"))
    ]
    title = f"Latency, quantiles of each {words.seconds(unit.total_seconds())}"
    svg = lines(Frame(title, axis, marked, words.seconds), series)
    return [Figure(title, svg, legend(series), table_of(title, axis.bins(), series, words.seconds))]


def _percent(hits: Sequence[int], totals: Sequence[int]) -> list[float | None]:
    return [100 * part / whole if whole else None for part, whole in zip(hits, totals, strict=True)]


def percent(value: float) -> str:
    """Return a value in per cent."""
    return f"{value:.3g} %"


def legend(series: Sequence[Series]) -> list[tuple[str, str]]:
    """Return style and name of each series."""
    return [(each.style, each.name) for each in series]


def table_of(
    title: str, bins: Sequence[datetime], series: Sequence[Series], unit: Unit = words.count
) -> Grid:
    """Return the values of a plot as a table; bins without any value are left out."""
    rows_ = [
        [
            Cell(words.moment(moment)),
            *(cells.said(cells.UNKNOWN if value is None else unit(value)) for value in values),
        ]
        for moment, *values in zip(bins, *(each.values for each in series), strict=True)
        if any(values)
    ]
    return Grid(title, ("from (UTC)", *(each.name for each in series)), rows_, empty="No records.")


def rankings(figures: Figures, selection: Selection) -> Section:
    """Return what is ranked, and of which days where they are more than the period."""
    period = ranked_period(selection.period)
    days = "" if period == selection.period else f", whole days {_days(period)} (UTC)"
    blocks: list[Block] = []
    for part, (title, heads, names) in RANKED.items():
        found = figures.get(part)
        if isinstance(found, Trouble):
            blocks.append(Note(f"{title}: {found.message}", State.WARN))
        else:
            blocks.append(cells.ranking(title + days, heads, rows(figures, part), names))
    return Section("rankings", "Most frequent", blocks, is_wide=True)


def _days(period: Period) -> str:
    last = (period.until - period.length / period.length.days).date() if period.length.days else period.since
    return f"{period.since:%Y-%m-%d}" if last == period.since.date() else f"{period.since:%Y-%m-%d} to {last}"
