"""What a page is made of: sections of blocks, which html.py and markdown.py write down."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from markupsafe import Markup


class State(StrEnum):
    """How a thing is; always said in words beside its colour."""

    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: its text, and how long a bar behind it is (0 to 1), None for none."""

    text: str
    is_number: bool = False
    share: float | None = None
    state: State = State.PLAIN


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; the first cell of a row is its heading."""

    kind: ClassVar[str] = "grid"
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str = "nothing"


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot, its legend as (style, name), and the table of its values."""

    kind: ClassVar[str] = "figure"
    title: str
    svg: Markup
    legend: Sequence[tuple[str, str]]
    table: Grid


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure in large: what it is, its value, what goes with it."""

    label: str
    value: str
    detail: str = ""
    state: State = State.PLAIN


@dataclass(frozen=True, slots=True)
class Tiles:
    """Some of them beside each other."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class Stop:
    """A station of the flow: its name, what it is, its figures as (name, value)."""

    name: str
    role: str
    facts: Sequence[tuple[str, str]]
    state: State = State.PLAIN


@dataclass(frozen=True, slots=True)
class Journey:
    """The stations that a line passes; those of one step stand beside each other."""

    kind: ClassVar[str] = "journey"
    steps: Sequence[Sequence[Stop]]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened or was set apart: a heading, facts, and lines of logs as they were."""

    title: str
    facts: Sequence[str] = ()
    lines: Sequence[str] = ()
    state: State = State.PLAIN


@dataclass(frozen=True, slots=True)
class Entries:
    """A list of them, each with its number where it has one."""

    kind: ClassVar[str] = "entries"
    entries: Sequence[tuple[int | None, Entry]]
    empty: str = "none"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence."""

    kind: ClassVar[str] = "note"
    text: str
    state: State = State.PLAIN


Block = Grid | Figure | Tiles | Journey | Entries | Note


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page under a heading; `name` is its anchor."""

    name: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    is_wide: bool = False
