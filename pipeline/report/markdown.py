"""Sections as Markdown: tables and lists; a plot is the table of its values. No text of a log can mark up."""

import re
from collections.abc import Callable, Iterator, Sequence

from pipeline.report.blocks import Block, Entries, Figure, Grid, Journey, Note, Section, Tiles

#: What Markdown, or the HTML in it, takes for more than text: anywhere, in addresses, where a text begins.
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$@]|:(?=//)|(?<=www)\.|^[#+=-]|(?<=\d)[.)](?=\s)", re.IGNORECASE)


def written(title: str, about: str, sections: Sequence[Section]) -> str:
    """Return a document."""
    parts = [f"# {text(title)}", text(about)]
    for section in sections:
        parts.append(f"## {text(section.title)}")
        parts += ["\n".join(_block(block)) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def text(value: str) -> str:
    """Return a text that is nothing but text: each sign that could be more goes with a backslash."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(value.split()))


def _block(block: Block) -> Iterator[str]:
    return _WRITERS[block.kind](block)


def _grid(block: Grid) -> Iterator[str]:
    yield f"**{text(block.caption)}**"
    yield ""
    yield _row(block.heads)
    yield "|" + " --- |" * len(block.heads)
    for row in block.rows:
        yield _row([cell.text for cell in row])
    if not block.rows:
        yield _row([block.empty, *[""] * (len(block.heads) - 1)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(text, cells)) + " |"


def _figure(block: Figure) -> Iterator[str]:
    return _grid(block.table)


def _tiles(block: Tiles) -> Iterator[str]:
    for tile in block.tiles:
        detail = f" ({text(tile.detail)})" if tile.detail else ""
        yield f"- {text(tile.label)}: **{text(tile.value)}**{detail}"


def _journey(block: Journey) -> Iterator[str]:
    for stop in (stop for step in block.steps for stop in step):
        facts = ", ".join(f"{text(name)} {text(value)}" for name, value in stop.facts)
        yield f"- **{text(stop.name)}** ({text(stop.role)}): {facts}"


def _entries(block: Entries) -> Iterator[str]:
    for number, entry in block.entries:
        mark = f"{number}: " if number else ""
        yield f"- **{mark}{text(entry.title)}**"
        yield from (f"  - {text(line)}" for line in (*entry.facts, *entry.lines))
    if not block.entries:
        yield text(block.empty)


def _note(block: Note) -> Iterator[str]:
    yield text(block.text)


_WRITERS: dict[str, Callable[..., Iterator[str]]] = {
    "grid": _grid,
    "figure": _figure,
    "tiles": _tiles,
    "journey": _journey,
    "entries": _entries,
    "note": _note,
}
