"""The live screen: what it shows of what is known, at any size, and that no text on it is obeyed."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from pipeline.cli import screen
from pipeline.cli.watching import OFTEN, SELDOM, Gatherer, Rates, Scene
from pipeline.errors import BrokerUnavailable
from pipeline.report.figures import Rows, Trouble
from tests.services import wait_until

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOSTILE = "\x1b[2J\x1b]0;title\x07\r\n\x9b31m[bold red]\u202e\u2028"
SOURCES = ("id", "key", "host", "path", "format", "first_seen_at", "lake_bytes", "clean_bytes")
WATCHED = ("key", "path", "size", "offset", "lag_bytes", "lag_seconds", "lost_bytes", "state")


def scene(count: int = 1, text: str = "/var/log/a.log", **more: Rows | Trouble) -> Scene:
    """Return what is known of some sources; every text on it is `text`."""
    figures: dict[str, Rows | Trouble] = {
        "sources": Rows(SOURCES, [(n, f"k{n}", "h", text, None, NOW, 4096, 1024) for n in range(count)]),
        "watched": Rows(
            WATCHED, [(f"k{n}", text, 9000, 5120, 3880 + n, 65.0, 0, "reading") for n in range(count)]
        ),
        "queues": Rows(
            ("queue", "messages", "dead"), [("queue-data-lake", 12, 0), ("queue-data-clean", 3456, 7)]
        ),
        "missing": Rows(
            ("stage", "stored_bytes", "missing_bytes", "oldest_seconds", "conflicts"),
            [("lake", 4096, 1024, 3700.0, 0), ("clean", 1024, 4096, 9.0, 0)],
        ),
        "rates": Rows(("second", "stage", "lines"), [(NOW - timedelta(seconds=3), "lake", 5000)]),
        "findings": Rows(
            ("severity", "rule", "subject", "count", "summary", "state"),
            [("high", "brute-force", text, 40, text, "open"), ("low", "x", "hidden", 1, "", "closed")],
        ),
        "drifts": Rows(("at", "kind", "path", "summary"), [(NOW, "status", text, text)]),
        "rejected": Rows(("count", "format", "signature"), [(3, None, text)]),
        "dead": Rows(("queue", "count", "signature"), [("queue-data-clean", 7, text)]),
        "watches": Rows(
            ("name", "checked_at", "problem"), [("logs", NOW, text), ("queue-data-lake", NOW, None)]
        ),
    }
    return Scene(NOW, {**figures, **more}, {"k0": 2048.0})


def drawn(shown: Scene, width: int = 140, height: int = 40, now: datetime = NOW) -> str:
    """Return the screen as text, without its styles."""
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None, legacy_windows=False)
    console.print(screen.draw(shown, now, width, height))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_what_is_known_is_shown() -> None:
    """Rates, lag, depths, dead letters, what is missing and since when, and what was noticed."""
    text = drawn(scene())

    for words in (
        "500 lines/s", "2.0 KiB/s", "3.8 KiB", "3,456", "1 h 1 min", "4.0 KiB", "1 min 5 s",
        "brute-force of /var/log/a.log, 40 times", "12:00 status", "3 lines, no format",
        "7 in queue-data-clean", "logs /var/log/a.log", "reading",
    ):  # fmt: skip
        assert words in text
    assert "hidden" not in text
    assert text.index("logs /var") < text.index("brute-force") < text.index("12:00 status")


@pytest.mark.parametrize(("width", "height"), [(140, 40), (80, 24), (60, 12), (20, 5), (300, 100)])
@pytest.mark.parametrize("text", ["/var/log/a.log", HOSTILE * 30])
def test_any_size_is_filled_and_no_text_is_obeyed(width: int, height: int, text: str) -> None:
    """The screen has as many lines and columns as the terminal, and no control character but newlines."""
    lines = drawn(scene(50, text), width, height).split("\n")

    assert len(lines) in (height, height + 1)
    assert all(len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)


def test_more_sources_than_lines() -> None:
    """The sources that lag most stand first; how many are left out is said."""
    text = drawn(scene(200), height=30)

    assert "… and 1" in text
    assert " 199 " in text
    assert " 100 " not in text


def test_nothing_is_known_yet_and_nothing_is_wrong() -> None:
    """Before the first answer the screen says that it asks; what was answered long ago is called old."""
    assert "asking" in drawn(Scene())
    quiet = Scene(NOW, {name: Rows((), []) for name in (*OFTEN, *SELDOM)})
    assert "nothing" in drawn(quiet)
    assert "none yet" in drawn(quiet)
    assert "as of 60 s ago" in drawn(quiet, now=NOW + timedelta(seconds=60))


def test_what_does_not_answer_is_named() -> None:
    """A part without an answer is told first, and the others are shown."""
    text = drawn(scene(queues=Trouble("the broker does not answer")))

    assert "queues: the broker does not answer" in text
    assert "reading" in text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536.5, "1.5 KiB"),
        (1 << 50, "1024.0 TiB"),
    ],
)
def test_sizes(count: float | None, text: str) -> None:
    """Bytes are told in the unit that gives few digits."""
    assert screen.size(count) == text


def test_sparkline() -> None:
    """The largest count has the highest bar, no count has none, and the smallest is seen."""
    assert screen.sparkline([0, 1, 1000, 500]) == " ▁█▄"
    assert screen.sparkline([]) == ""


def test_rates_are_taken_over_some_seconds() -> None:
    """The rate is that of the last ten seconds, of sources that were seen before, and never negative."""
    rates = Rates()
    rates.note({"a": 0, "b": 500}, 100.0)
    assert rates.all() == {}
    rates.note({"a": 1000, "b": 0, "c": 9}, 105.0)
    assert rates.all() == {"a": 200.0, "b": 0.0}
    rates.note({"a": 1000, "c": 9}, 115.0)
    assert rates.all() == {"a": 0.0, "c": 0.0}


def parts(answer: Callable[[Any], Rows]) -> dict[str, Any]:
    """Return parts that all answer the same."""
    return dict.fromkeys((*OFTEN, *SELDOM), answer)


def test_an_error_that_is_no_answer_ends_the_screen() -> None:
    """What does not answer is kept as trouble; a mistake of ours is raised where the screen is drawn."""

    def away(_: Any) -> Rows:
        raise BrokerUnavailable("away")

    def wrong(_: Any) -> Rows:
        raise ZeroDivisionError

    with Gatherer(parts(away)) as gatherer:
        wait_until(lambda: gatherer.scene.at is not None, "a first round")
        gatherer.check()
        assert gatherer.scene.figures == dict.fromkeys((*OFTEN, *SELDOM), Trouble("away"))
    with Gatherer(parts(wrong)) as gatherer:
        wait_until(lambda: gatherer._failure is not None, "the mistake")
        with pytest.raises(ZeroDivisionError):
            gatherer.check()
