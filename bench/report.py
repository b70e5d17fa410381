"""What a benchmark says: a table for people, values for programs, bars for a page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import machine, plot
from pipeline.cli import output


@dataclass(frozen=True)
class Report:
    """The result of one benchmark.

    Attributes:
        name: of the benchmark, and of its plot.
        values: figures by name, for JSON.
        heads, rows: the table.
        bars: label and length of each bar of the plot.
        unit: of the bars.
        notes: sentences below the table.
    """

    name: str
    values: dict[str, Any]
    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    bars: Sequence[tuple[str, float]]
    unit: str
    notes: Sequence[str] = field(default_factory=tuple)

    def show(self, *, as_json: bool) -> None:
        """Print the table and its notes, or one line of JSON."""
        if as_json:
            output.emit_json({"benchmark": self.name, **self.values, "machine": machine.describe()})
            return
        print(f"{self.name} ({machine.line()})\n")
        print(output.table(self.heads, self.rows))
        print("".join(f"\n{note}" for note in self.notes))

    def draw(self, folder: Path) -> Path:
        """Write the plot into a folder and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name.replace(' ', '-')}.svg"
        title = f"{self.name}, {self.unit}"
        path.write_text(plot.bars(title, self.bars, machine.line()), encoding="utf-8")
        return path
