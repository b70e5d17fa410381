"""Figures for pages and reports, without a database: one record of each status class, and foreign texts."""

from datetime import UTC, datetime, timedelta

from pipeline.report.figures import Ask, Period, Rows, Selection

SINCE = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SELECTION = Selection(Period(SINCE, SINCE + timedelta(hours=1)))
NOW = SINCE + timedelta(hours=2)


def figures(word: str = "/a") -> dict[str, Rows]:
    """Return an answer for each part; `word` stands wherever a text of a log or a file's name may."""
    minute = SINCE + timedelta(minutes=5)
    return {
        "clock": Rows(("newest",), [(minute,)]),
        "traffic": Rows(
            ("moment", "status_class", "hits"),
            [(minute, 2, 7), (minute, 4, 2), (minute + timedelta(minutes=1), 5, 1), (minute, None, 3)],
        ),
        "volume": Rows(("moment", "hits", "bytes"), [(minute, 13, 4096)]),
        "latency": Rows(("moment", "hits", "p50", "p90", "p99"), [(minute, 13, 0.012, 0.08, 1.5)]),
        "visitors": Rows(("visitors",), [(5,)]),
        "slow": Rows(("path", "hits", "mean_seconds", "seconds"), [(word, 2, 1.25, 2.5)]),
        "browsers": Rows(("browser", "hits", "bytes"), [(word, 9, 1)]),
        "countries": Rows(("country", "hits", "bytes"), [(word, 9, 1)]),
        "paths": Rows(("path", "hits", "bytes"), [(word, 6, 2048), ("/b", 3, None)]),
        "errors": Rows(("path", "status", "hits"), [(word, 404, 2)]),
        "agents": Rows(("user_agent", "hits", "bytes"), [(word, 9, 1)]),
        "addresses": Rows(("ip", "hits", "bytes"), [("203.0.113.9", 9, 1)]),
        **_noticed(word, minute),
        **_stored(word),
        **_waiting(word),
    }


def _noticed(word: str, at: datetime) -> dict[str, Rows]:
    return {
        "drifts": Rows(
            ("id", "source_id", "path", "kind", "at", "summary", "changes", "before", "after"),
            [(1, 1, word, "status", at, word, [f"status 5xx {word}"], [word], [f"{word}{word}"])],
        ),
        "findings": Rows(
            (
                "id",
                "source_id",
                "path",
                "kind",
                "rule",
                "severity",
                "subject",
                "since",
                "until",
                "count",
                "summary",
                "evidence",
                "state",
            ),
            [
                (
                    1,
                    1,
                    word,
                    "security",
                    "scan",
                    "high",
                    word,
                    at,
                    at,
                    12,
                    word,
                    [{"source_id": 1, "offset": 77}],
                    "open",
                )
            ],
        ),
    }


def _stored(word: str) -> dict[str, Rows]:
    return {
        "sources": Rows(
            ("id", "key", "host", "path", "format", "first_seen_at", "lake_bytes", "clean_bytes"),
            [(1, "k", word, word, "combined", SINCE, 100, 90)],
        ),
        "missing": Rows(
            ("stage", "stored_bytes", "missing_bytes", "oldest_seconds", "conflicts"),
            [("lake", 100, 0, 0.0, 0), ("clean", 90, 10, 90.0, 0)],
        ),
        "rates": Rows(("second", "stage", "lines"), [(NOW - timedelta(seconds=9), "lake", 120)]),
    }


def _waiting(word: str) -> dict[str, Rows]:
    return {
        "rejected": Rows(
            ("signature", "format", "count", "path", "line_start", "reason", "position", "line"),
            [(word, "combined 1", 4, word, 0, word, 3, word.encode() + b"\x1b[2J\xff")],
        ),
        "watches": Rows(("name", "checked_at", "problem"), [("queue-data-lake", SINCE, None)]),
        "queues": Rows(
            ("queue", "messages", "dead"), [("queue-data-lake", 5, 0), ("queue-data-clean", 0, 1)]
        ),
        "watched": Rows(
            ("key", "path", "size", "offset", "lag_bytes", "lag_seconds", "lost_bytes", "state"),
            [("k", word, 120, 100, 20, 1.5, 0, "reading")],
        ),
        "dead": Rows(
            ("queue", "signature", "count", "reason", "path", "start", "end"),
            [("queue-data-clean", word, 1, word, word, 0, 10)],
        ),
    }


def parts(word: str = "/a") -> dict[str, Ask]:
    """Return what answers with these figures, whatever is selected."""

    def answer(part: str) -> Ask:
        return lambda _: figures(word)[part]

    return {part: answer(part) for part in figures()}
