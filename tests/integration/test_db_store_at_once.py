"""Several writers of one source at the same time: each byte once, and the ledger guarded by the database."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db.audit import audit
from db.engine import make_engine, transaction
from db.rebuild import rebuild
from db.store import LakeStore
from tests.integration.storing import LINE, make_batch, make_block, rebuilt


def test_concurrent_deliveries_store_each_byte_once(engine: Engine) -> None:
    """Eight stores with overlapping batches of one file at the same time: each byte once, no error."""
    block = make_block(200)
    cuts = [block.index(b"\n", len(block) * part // 20) + 1 for part in range(19)]
    ranges = [(low, high) for low in cuts[::2] for high in cuts[1::3] if low < high]

    def deliver(number: int) -> int:
        own = make_engine(engine.url.render_as_string(hide_password=False))
        store = LakeStore(own)
        ordered = ranges[number:] + ranges[:number]
        total = sum(store.store(make_batch(block[low:high], low)).new_bytes for low, high in ordered)
        own.dispose()
        return total

    with ThreadPoolExecutor(8) as pool:
        new = sum(pool.map(deliver, range(8)))

    low, high = min(ranges)[0], max(high for _, high in ranges)
    assert high - low == new
    assert block[low:high] == b"".join(rebuild(engine, 1, low, high))
    assert audit(engine, None, deep=True).duplicate_lines == 0


def _store_in_child(engine: Engine, start: int) -> None:
    assert LakeStore(engine).store(make_batch(LINE, start)).new_bytes == len(LINE)


def test_forked_children_share_no_connection(engine: Engine) -> None:
    """Children of a fork use the parent's engine with connections of their own, and the parent goes on."""
    store = LakeStore(engine)
    store.store(make_batch())
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=_store_in_child, args=(engine, n * len(LINE))) for n in range(1, 5)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)

    assert [child.exitcode for child in children] == [0] * 4
    assert store.store(make_batch(LINE, 5 * len(LINE))).lines == 1
    assert rebuilt(engine) == LINE * 6


def test_sqlite_guards_the_ledger_itself(sqlite_url: str, tmp_path: Path) -> None:
    """SQLite refuses a segment that overlaps another one, whoever writes it."""
    engine = make_engine(sqlite_url)
    LakeStore(engine).store(make_batch(LINE * 3, start=100))
    copy = text(
        "INSERT INTO segments SELECT 9, source_id, stage, :start, :end, checksum, 1, 1, 0, NULL, batch_id, "
        "stored_at, FALSE, NULL FROM segments WHERE id = 1"
    )
    for start, end in ((0, 101), (150, 151), (50, 9999), (100 + 3 * len(LINE) - 1, 9999)):
        with pytest.raises(Exception, match="segments overlap"), transaction(engine) as connection:
            connection.execute(copy, {"start": start, "end": end})
    with transaction(engine) as connection:
        connection.execute(copy, {"start": 0, "end": 100})
    engine.dispose()
