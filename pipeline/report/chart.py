"""Plots as SVG that fits any width: places are per cent of the width, heights pixels, text keeps its size.

Colours are classes of the style sheet, so that they follow dark and light and nothing carries a style.
Texts are escaped by MarkupSafe; every plot goes with a table of the same values (sections.py).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from markupsafe import Markup

from pipeline.report import words
from pipeline.report.axis import Axis

#: Pixels: of a plot, of the labels under it, and of those above.
HEIGHT, FOOT, HEAD = 110, 18, 18
#: Heights of the lines of the grid, as shares.
GRID = (0.0, 0.5, 1.0)
#: Per cent of the width that the number of a mark takes on a phone.
LABEL_SHARE = 6.0
#: Share of a bin that its bar fills.
FILLED = 0.86

#: Says a value in words.
Unit = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """One value a bin, None for none; `style` is its class in the style sheet."""

    name: str
    style: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: its number and when."""

    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Frame:
    """What plots over one axis share: the marks on it, and how values are said."""

    title: str
    axis: Axis
    marks: Sequence[Mark] = ()
    unit: Unit = words.short


def stacked(frame: Frame, series: Sequence[Series], line: Series | None = None) -> Markup:
    """Return bars of which each stands on the one before, and a line over them to compare with."""
    sums = [sum(filter(None, values)) for values in zip(*(each.values for each in series), strict=True)]
    top = _top([*sums, *(filter(None, line.values) if line else ())])
    drawn = [bar for number in range(len(sums)) for bar in _stack(frame, series, number, top)]
    if line is not None:
        drawn += _segments(line, top)
    return _plot(frame, top, drawn)


def lines(frame: Frame, series: Sequence[Series]) -> Markup:
    """Return a line for each series, broken where there is no value."""
    top = _top(value for each in series for value in each.values if value is not None)
    return _plot(frame, top, [segment for each in series for segment in _segments(each, top)])


def bar(share: float) -> Markup:
    """Return a bar for the cell of a table: `share`, from 0 to 1, of the cell's width."""
    return Markup('<svg class="bar" aria-hidden="true"><rect width="{}%" height="100%"/></svg>').format(
        round(100 * share, 2)
    )


def _top(values: Iterable[float]) -> float:
    return max(values, default=0) or 1.0


def _y(value: float, top: float) -> float:
    return round(HEAD + HEIGHT * (1 - value / top), 1)


def _stack(frame: Frame, series: Sequence[Series], number: int, top: float) -> Iterable[Markup]:
    width, base = 100 / len(series[0].values), 0.0
    moment = words.moment(frame.axis.bins()[number])
    drawn = Markup('<rect class="{}" x="{}%" y="{}" width="{}%" height="{}"><title>{}</title></rect>')
    for each in series:
        value = each.values[number] or 0
        if value:
            y = _y(base + value, top)
            # A single error among thousands of hits must be seen.
            height = round(max(_y(base, top) - y, 1.0), 1)
            said = f"{moment}: {each.name} {words.count(value)}"
            place = (round(number * width, 3), y, round(width * FILLED, 3), height)
            yield drawn.format(each.style, *place, said)
        base += value


def _segments(series: Series, top: float) -> Iterable[Markup]:
    width = 100 / max(1, len(series.values))
    drawn = Markup('<line class="{}" x1="{}%" y1="{}" x2="{}%" y2="{}"/>')
    dot = Markup('<circle class="{}" cx="{}%" cy="{}" r="1.6"/>')
    places = [
        (round((number + 0.5) * width, 3), _y(value, top))
        for number, value in enumerate(series.values)
        if value is not None
    ]
    for x, y in places:
        yield dot.format(series.style, x, y)
    for before, after in pairwise(places):
        if after[0] - before[0] < 1.5 * width:
            yield drawn.format(series.style, *before, *after)


def _plot(frame: Frame, top: float, drawn: Iterable[Markup]) -> Markup:
    whole = Markup('<svg class="plot" role="img" width="100%" height="{}" aria-label="{}">{}{}{}</svg>')
    parts = (Markup().join(_grid(frame, top)), Markup().join(drawn), Markup().join(_labels(frame)))
    return whole.format(HEAD + HEIGHT + FOOT, frame.title, *parts)


def _grid(frame: Frame, top: float) -> Iterable[Markup]:
    for share in GRID:
        y = _y(share * top, top)
        yield Markup('<line class="grid" x1="0" y1="{0}" x2="100%" y2="{0}"/>').format(y)
        if share:
            yield Markup('<text class="scale" x="2" y="{}">{}</text>').format(y - 4, frame.unit(share * top))


def _labels(frame: Frame) -> Iterable[Markup]:
    foot = HEAD + HEIGHT + FOOT - 4
    for place, label in frame.axis.ticks():
        yield Markup('<text class="tick" x="{}%" y="{}">{}</text>').format(round(place, 2), foot, label)
    for group in _beside(frame):
        for x, _ in group:
            yield Markup('<line class="mark" x1="{0}%" y1="{1}" x2="{0}%" y2="{2}"/>').format(
                x, HEAD, HEAD + HEIGHT
            )
        first, last = group[0][1], group[-1][1]
        shown = str(first) if first == last else f"{first}-{last}"
        yield Markup('<text class="mark" x="{}%" y="{}">{}</text>').format(group[0][0], HEAD - 4, shown)


def _beside(frame: Frame) -> list[list[tuple[float, int]]]:
    """Return place and number of the marks, those together whose numbers would stand on each other."""
    groups: list[list[tuple[float, int]]] = []
    for mark in frame.marks:
        place = (round(min(max(frame.axis.position(mark.at), 0), 100), 2), mark.number)
        if groups and place[0] - groups[-1][0][0] < LABEL_SHARE:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups
