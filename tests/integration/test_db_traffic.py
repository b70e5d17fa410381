"""The counts for reports equal a recount of the records, whatever was counted, deleted and replaced."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, text

from db import counting, roles, schema
from db.cleaned import Choice
from db.counted import Scope
from db.engine import reading, transaction
from db.queries import QUERIES, answer
from db.replay import replay
from db.resolve import Keep, resolve
from db.sources import list_sources
from db.store import CleanStore, LakeStore
from db.traffic import EPOCH
from pipeline.batch import Batch, Source

SOURCE = Source("ab" * 16, "web-1", "/a.log", format="combined")
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
#: Offsets from SINCE in hours: three days, of which the first and the last are not whole in `SCOPES`.
HOURS = (0, 0.5, 1, 23.99, 24, 30, 47.5, 48, 50, 71)
SCOPES = {
    "whole days": Scope(SINCE, SINCE + timedelta(days=3)),
    "parts of days": Scope(SINCE + timedelta(hours=22.75), SINCE + timedelta(hours=49.25)),
    "most of days": Scope(SINCE + timedelta(hours=0.25), SINCE + timedelta(hours=70)),
    "most of a day": Scope(SINCE + timedelta(hours=24.5), SINCE + timedelta(hours=47)),
    "within a minute": Scope(SINCE + timedelta(seconds=1), SINCE + timedelta(seconds=40)),
    "one source": Scope(SINCE, SINCE + timedelta(days=3), source_id=1),
}


def block(first: int, size: int = 5, hours: Sequence[float] = HOURS) -> bytes:
    """Return lines with a path, a status and a size that differ."""
    made = []
    for number in range(4 * len(hours)):
        stamp = (SINCE + timedelta(hours=hours[number // 4], seconds=7 * number)).strftime(
            "%d/%b/%Y:%H:%M:%S"
        )
        status, path = (200, 404, 500, 302)[(number + first) % 4], f"/{(number + first) % 3}"
        made.append(
            f'203.0.113.{number % 5} - - [{stamp} +0000] "GET {path} HTTP/1.1" {status} {size} "-" "a"\n'
        )
    return "".join(made).encode()


def store(engine: Engine, content: bytes, start: int = 0) -> int:
    """Store a block as one segment of both stages; return where it ends."""
    for stage in (LakeStore, CleanStore):
        stage(engine).store(Batch(SOURCE, start, content))
    return start + len(content)


def answers(engine: Engine) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return the answer to every question that counts records, for every scope.

    Durations and visitors have tests of their own (test_db_rollups.py).
    """
    others = ("rejected", "lines", "latency", "upstream", "slowest", "visitors")
    names = [name for name in QUERIES if not name.startswith(others)]
    return {
        (name, what): answer(engine, name, scope).rows for name in names for what, scope in SCOPES.items()
    }


def recounted(engine: Engine) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Return the answers from the records alone."""
    with transaction(engine) as connection:
        for table in roles.COUNTS:
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("UPDATE segments SET is_counted = FALSE"))
    return answers(engine)


def test_answers_do_not_change_by_counting(engine: Engine) -> None:
    """Nothing counted, one segment counted, both counted: every question has the same answer."""
    end = store(engine, block(0))
    before = answers(engine)

    assert counting.count(engine) == 1
    assert answers(engine) == before
    store(engine, block(1), end)
    half = answers(engine)
    assert counting.count(engine) == 1
    assert answers(engine) == half != before
    assert recounted(engine) == half


def test_counted_once(engine: Engine) -> None:
    """A second count finds nothing to do and changes no answer."""
    store(engine, block(0))
    counting.count(engine)
    first = answers(engine)

    assert counting.count(engine) == 0
    assert answers(engine) == first


def test_a_replay_takes_the_old_records_away(engine: Engine) -> None:
    """Records that a replay replaces leave the counts, and its own enter them with the next count."""
    store(engine, block(0))
    counting.count(engine)
    before = answers(engine)

    replay(engine, list_sources(engine)[0], Choice(redo=True))

    assert answers(engine) == before
    assert counting.count(engine) == 1
    assert answers(engine) == before == recounted(engine)


def test_counts_taken_away_ahead_are_made_up_for(engine: Engine) -> None:
    """Some segments out of the counts before they are replaced: no answer changes, nor by a second time."""
    end = store(engine, block(0))
    end = store(engine, block(1), end)
    store(engine, block(2), end)
    counting.count(engine)
    before = answers(engine)
    with reading(engine) as connection:
        ids = list(connection.scalars(text("SELECT id FROM segments WHERE stage = 'clean' ORDER BY id")))

    for _ in range(2):
        counting.take_away_ahead(engine, [ids[0], ids[2]])
        assert answers(engine) == before
    assert counting.count(engine) == 2
    assert answers(engine) == before == recounted(engine)


@pytest.mark.parametrize("keep", [Keep.FIRST, Keep.SECOND])
def test_a_resolved_conflict(engine: Engine, keep: Keep) -> None:
    """What the resolving of a conflict deletes leaves the counts."""
    store(engine, block(0))
    counting.count(engine)
    store(engine, block(2, size=7))

    resolve(engine, 1, keep)
    now = answers(engine)
    counting.count(engine)

    assert answers(engine) == now == recounted(engine)
    sizes = 7 if keep is Keep.SECOND else 5
    assert sum(row[2] for row in now["bytes_by_hour", "whole days"]) == sizes * 4 * len(HOURS)


def test_rows_with_one_key_are_added_up(engine: Engine) -> None:
    """Of the days before the newest one each key has one row, however many segments counted into it."""
    end = 0
    for number in range(3):
        end = store(engine, block(number), end)
        counting.count(engine)
    counting.compact(engine)

    keys = days(engine)
    with reading(engine) as connection:
        minutes = connection.execute(
            text("SELECT minute, source_id, status, rest_method, host FROM traffic_minutes")
        ).all()
    newest = max(key.day for key in keys)
    assert max(Counter(key for key in keys if key.day != newest).values()) == 1
    assert max(Counter(minutes).values()) == 1


def days(engine: Engine) -> list[Any]:
    """Return the key of each row of the counts by day."""
    with reading(engine) as connection:
        query = "SELECT kind, day, source_id, value, status FROM traffic_days ORDER BY day"
        return list(connection.execute(text(query)).all())


def store_twice(engine: Engine, content: bytes, start: int) -> int:
    """Store two segments that are counted apart: the first one has no tally."""
    start = store(engine, content, start)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE segments SET tally = NULL"))
    return store(engine, content, start)


def test_the_first_count_adds_up_every_day(engine: Engine) -> None:
    """Of days long before the newest one each key has one row too."""
    store_twice(engine, block(0, hours=range(0, 24 * 9, 12)), 0)
    counting.count(engine)

    keys = days(engine)
    assert len({key.day for key in keys}) == 9
    assert max(Counter(keys).values()) == 1


def test_what_older_days_got_late_is_added_up_in_turn(engine: Engine) -> None:
    """Rows that came late to a day that is over become one by beat's run, when it is that day's turn."""
    end = store(engine, block(0, hours=(0, 24 * 3)))
    counting.count(engine)
    store(engine, block(0, hours=(0, 24 * 3)), end)
    counting.count(engine)
    late = days(engine)
    before = answers(engine)

    counting.compact(engine)

    assert max(Counter(late).values()) == 2
    assert max(Counter(days(engine)).values()) == 1
    assert answers(engine) == before


def test_each_older_day_has_its_turn_soon(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among the days that have counts: one line of decades before them costs one turn more."""
    hours = (-24 * 365 * 40, 0, 24, 48, 24 * 9)
    end = store(engine, block(0, hours=hours))
    counting.count(engine)
    store(engine, block(0, hours=hours), end)
    counting.count(engine)

    for turn in range(2 * len(hours)):
        monkeypatch.setattr(counting, "EPOCH", EPOCH - turn * counting.TURN)
        counting.compact(engine)

    keys = days(engine)
    assert len({key.day for key in keys}) == len(hours)
    assert max(Counter(keys).values()) == 1


def test_lines_of_the_beginning_of_time(engine: Engine) -> None:
    """What some programs write for no time, 0001-01-01, is a day like others, be it the newest one."""
    content = block(0, hours=(0,)).replace(b"01/Jan/2026", b"01/Jan/0001")
    store(engine, content, store(engine, content))

    counting.count(engine)
    counting.compact(engine)

    keys = days(engine)
    assert {str(key.day) for key in keys} == {"0001-01-01"}
    assert max(Counter(keys).values()) == 1


#: What a version before 0012 counted of errors and paths: one row for both, by status.
BY_STATUS = """
    INSERT INTO traffic_days (kind, day, source_id, value, status, hits, bytes)
    SELECT 'path', {day}, source_id, path, status, {sign} * count(*), {sign} * sum(size_bytes)
    FROM clean_records WHERE path IS NOT NULL GROUP BY {day}, source_id, path, status
"""


def count_as_before(engine: Engine, sign: int = 1) -> None:
    """Count the paths of all records as a version before 0012 did."""
    day = "substr(timestamp, 1, 10)" if engine.dialect.name == "sqlite" else "CAST(timestamp AS date)"
    with transaction(engine) as connection:
        connection.execute(text(BY_STATUS.format(day=day, sign=sign)))


def test_counts_of_an_older_version_are_carried_over(engine: Engine) -> None:
    """After a migration no answer differs, and the next count makes paths and errors of paths by status."""
    end = store(engine, block(0))
    store(engine, block(1), end)
    counting.count(engine)
    counted, before = answers(engine), sorted(map(str, days(engine)))
    with transaction(engine) as connection:
        connection.execute(text("DELETE FROM traffic_days WHERE kind IN ('path', 'error')"))
        command.downgrade(schema._config(connection), "0012")
        connection.execute(text("DROP INDEX ix_traffic_days_unsplit"))
        command.stamp(schema._config(connection), "0011")
    count_as_before(engine)

    with transaction(engine) as connection:
        command.upgrade(schema._config(connection), "head")

    assert answers(engine) == counted
    counting.count(engine)
    assert answers(engine) == counted
    assert sorted(map(str, days(engine))) == before


def test_an_older_version_beside_this_one(engine: Engine) -> None:
    """What an older process counts, or takes away, while this version runs already is in every answer."""
    store(engine, block(0))
    counting.count(engine)
    before = answers(engine)

    count_as_before(engine)
    count_as_before(engine, sign=-1)
    assert answers(engine) == before
    count_as_before(engine)
    twice = answers(engine)["errors_by_path", "whole days"]
    counting.count(engine)

    assert answers(engine)["errors_by_path", "whole days"] == twice
    assert [row[2] for row in twice] == [2 * row[2] for row in before["errors_by_path", "whole days"]]
    assert max(Counter(days(engine)).values()) == 1
