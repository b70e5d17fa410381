"""The screen of `status --watch`, drawn from what is known; every text on it is inert."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.cli.output import UNKNOWN, escape
from pipeline.cli.watching import RATE_SECONDS, SELDOM, Scene
from pipeline.report.figures import Trouble, rows

#: Lines of the panel above the sources, and the part of the screen that the one below may take.
FLOW_HEIGHT, NOTES_SHARE = 7, 3
#: Columns beside the lines of rates, and the seconds that those span, one a column.
BESIDE_SPARKS, LEAST_SECONDS, MOST_SECONDS = 70, 10, 60
#: A narrower screen leaves out columns of the sources.
WIDE = 110
#: Seconds after which what is shown is called old.
OLD_SECONDS = 10.0
#: Lowest to highest rate.
BARS = " ▁▂▃▄▅▆▇█"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow"}
_STATES = dict.fromkeys(("unreadable", "damaged"), "bold red") | {"reading": "green", "blocked": "yellow"}


def draw(scene: Scene, now: datetime, width: int, height: int) -> RenderableType:
    """Return the whole screen of a terminal of some columns and lines; `now` is aware."""
    layout = Layout()
    notes = list(_notes(scene)) or [_quiet(scene)]
    notes_height = min(len(notes) + 2, max(4, height // NOTES_SHARE))
    body = max(3, height - 1 - FLOW_HEIGHT - notes_height)
    layout.split_column(
        Layout(_head(scene, now), size=1),
        Layout(_panel("flow", _flow(scene, now, width)), size=FLOW_HEIGHT),
        Layout(_panel("sources", _sources(scene, body - 3, width))),
        Layout(_panel("what asks for attention", _cut(notes, notes_height - 2)), size=notes_height),
    )
    return layout


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(
        content, title=title, title_align="left", border_style="dim", box=box.ROUNDED, padding=(0, 1)
    )


def _head(scene: Scene, now: datetime) -> Text:
    head = Text("Sluice", style="bold", no_wrap=True, overflow="ellipsis")
    head.append(f"  {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", style="default")
    if scene.at is None:
        head.append("  asking …", style="yellow")
    elif (age := (now - scene.at).total_seconds()) > OLD_SECONDS:
        head.append(f"  as of {age:.0f} s ago", style="bold yellow")
    head.append("  q quits", style="dim")
    return head


def _flow(scene: Scene, now: datetime, width: int) -> Table:
    seconds = min(max(width - BESIDE_SPARKS, LEAST_SECONDS), MOST_SECONDS)
    table = _table(
        ("stage", "left"), ("rate", "right"), (f"last {seconds} s", "left"), ("queue", "right"),
        ("dead", "right"), ("missing", "right"), ("for", "right"),
    )  # fmt: skip
    queues = {row["queue"]: row for row in rows(scene.figures, "queues")}
    missing = {row["stage"]: row for row in rows(scene.figures, "missing")}
    lines = {(row["second"], row["stage"]): row["lines"] for row in rows(scene.figures, "rates")}
    read = sum(scene.rates.values())
    unread = sum(row["lag_bytes"] for row in rows(scene.figures, "watched"))
    table.add_row("watcher", Text(f"{size(read)}/s"), "", UNKNOWN, UNKNOWN, _alert(size(unread), unread), "")
    for stage in ("lake", "clean"):
        queue = next((row for name, row in queues.items() if name.endswith(stage)), {})
        lacks = missing.get(stage, {})
        history = _history(lines, stage, now, seconds)
        table.add_row(
            stage,
            f"{sum(history[-RATE_SECONDS:]) / RATE_SECONDS:,.0f} lines/s" if missing else UNKNOWN,
            Text(sparkline(history), style="cyan"),
            _number(queue.get("messages")),
            _alert(_number(queue.get("dead")), queue.get("dead")),
            _alert(size(lacks.get("missing_bytes")), lacks.get("missing_bytes")),
            _alert(age(lacks.get("oldest_seconds") or None), lacks.get("oldest_seconds")),
        )
    for name, row in queues.items():
        if not name.endswith(("lake", "clean")):
            dead = _alert(_number(row["dead"]), row["dead"])
            table.add_row(escape(name), "", "", _number(row["messages"]), dead)
    return table


def _history(lines: dict[tuple[datetime, str], int], stage: str, now: datetime, seconds: int) -> list[int]:
    """Return the lines of each of the last seconds, the newest last."""
    counts = [0] * seconds
    for (second, own), count in lines.items():
        place = int((now - second).total_seconds())
        if own == stage and 0 <= place < seconds:
            counts[-1 - place] += count
    return counts


def _sources(scene: Scene, most: int, width: int) -> RenderableType:
    stored = {row["key"]: row for row in rows(scene.figures, "sources")}
    local = {row["key"]: row for row in rows(scene.figures, "watched")}
    keys = {**local, **stored}
    found = [_source(stored.get(key, {}), local.get(key, {}), scene.rates.get(key)) for key in keys]
    if not found:
        return Text("none yet" if scene.at else "asking …", style="dim")
    found.sort(key=lambda row: (-(row["lag"] or 0), -(row["rate"] or 0), row["path"]))
    columns = [
        ("id", "right"), ("path", "left"), ("state", "left"), ("rate", "right"), ("lag", "right"),
        ("not in lake", "right"), ("not in clean", "right"), ("size", "right"), ("for", "right"),
    ]  # fmt: skip
    columns = columns if width >= WIDE else columns[:-2]
    table = _table(*columns)
    table.columns[1].ratio = 1
    shown = found if len(found) <= most else found[: max(1, most - 1)]
    for row in shown:
        cells: tuple[str | Text, ...] = (
            str(row["id"] or UNKNOWN),
            Text(escape(row["path"]), no_wrap=True, overflow="ellipsis"),
            Text(escape(row["state"]), style=_STATES.get(row["state"], "default")),
            UNKNOWN if row["rate"] is None else f"{size(row['rate'])}/s",
            *(_alert(size(row[name]), row[name]) for name in ("lag", "lake", "clean")),
            size(row["size"]),
            age(row["lag_seconds"]),
        )
        table.add_row(*cells[: len(columns)])
    if len(shown) < len(found):
        table.add_row("", Text(f"… and {len(found) - len(shown)} more", style="dim"))
    return table


def _source(stored: dict[str, Any], local: dict[str, Any], rate: float | None) -> dict[str, Any]:
    offset = local.get("offset")
    behind = {
        stage: max(0, offset - int(stored.get(f"{stage}_bytes") or 0)) if offset is not None else None
        for stage in ("lake", "clean")
    }
    return {
        "id": stored.get("id"),
        "path": local.get("path") or stored.get("path") or UNKNOWN,
        "state": local.get("state") or "elsewhere",
        "size": local.get("size"),
        "rate": rate,
        "lag": local.get("lag_bytes"),
        "lag_seconds": local.get("lag_seconds") or None,
        **behind,
    }


def _notes(scene: Scene) -> Iterable[Text]:
    """Yield what asks for attention, the worst first."""
    figures = scene.figures
    for part, answer in sorted(figures.items()):
        if isinstance(answer, Trouble):
            yield _note("no answer", f"{part}: {answer.message}", "bold red")
    for row in rows(figures, "watches"):
        if row["problem"]:
            yield _note("broker", f"{row['name']} {row['problem']}", "bold red")
    for row in rows(figures, "findings"):
        if row["state"] == "open":
            words = f"{row['rule']} of {row['subject']}, {row['count']} times: {row['summary']}"
            yield _note(row["severity"], words, _COLOURS.get(row["severity"], "cyan"))
    for row in rows(figures, "dead"):
        yield _note("dead letters", f"{row['count']} in {row['queue']}: {row['signature']}", "red")
    for row in rows(figures, "drifts"):
        yield _note("drift", f"{row['at']:%H:%M} {row['kind']}, {row['path']}: {row['summary']}", "magenta")
    for row in rows(figures, "rejected"):
        yield _note(
            "rejected", f"{row['count']} lines, {row['format'] or 'no format'}: {row['signature']}", "yellow"
        )


def _quiet(scene: Scene) -> Text:
    is_known = set(SELDOM) <= scene.figures.keys()
    return Text("nothing", style="green") if is_known else Text("asking …", style="dim")


def _note(kind: str, words: str, style: str) -> Text:
    note = Text(no_wrap=True, overflow="ellipsis")
    note.append(f"{kind:<13}", style=style)
    note.append(escape(words))
    return note


def _cut(notes: Sequence[Text], most: int) -> RenderableType:
    if len(notes) <= most:
        return Group(*notes)
    return Group(*notes[: most - 1], Text(f"… and {len(notes) - most + 1} more", style="dim"))


def _table(*columns: tuple[str, Any]) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1), header_style="bold", pad_edge=False)
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=True)
    return table


def _alert(text: str, count: float | None) -> Text:
    return Text(text, style="bold yellow" if count else "default")


def _number(count: int | None) -> str:
    return UNKNOWN if count is None else f"{count:,}"


def size(count: float | None) -> str:
    """Return bytes in the unit that gives few digits, such as `1.5 MiB`."""
    if count is None:
        return UNKNOWN
    power = min(max(int(count).bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{count / (1 << 10 * power):.{min(power, 1)}f} {_UNITS[power]}"


def age(seconds: float | None) -> str:
    """Return how long something lasts, such as `1 h 5 min`."""
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def sparkline(counts: Sequence[int]) -> str:
    """Return a bar for each count, the highest for the largest."""
    most = max(counts, default=0) or 1
    return "".join(BARS[-(-(count * (len(BARS) - 1)) // most)] for count in counts)
