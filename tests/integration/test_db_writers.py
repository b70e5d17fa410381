"""Writers of different ranges do not wait for each other, from the first batch of a source on."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from db.engine import make_engine, transaction
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source
from tests.services import wait_until

LINE = b'203.0.113.9 - jane [17/May/2015:10:05:03 +0200] "GET /a?x=1 HTTP/1.1" 404 2048 "-" "agent"\n'


@pytest.mark.parametrize("format_", ["auto", "combined"])
def test_the_first_batch_of_a_source_holds_nobody_up(postgresql_url: str, format_: str) -> None:
    """While the clean stage is in the middle of it, the lake and another clean store go on with theirs."""
    source = Source(key="ab" * 16, host="web-1", path="/var/log/access.log", format=format_)
    batches = [Batch(source, number * len(LINE), LINE) for number in range(2)]
    engine = make_engine(postgresql_url)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor(1) as pool:
        with transaction(engine) as connection:
            # Stands for a load that takes long: its transaction is open and has claimed its range.
            connection.execute(text("LOCK TABLE clean_records IN SHARE MODE"))
            stuck = pool.submit(CleanStore(engine).store, batches[0])
            wait_until(lambda: connection.execute(waiting).scalar(), "the first store to be in the middle")

            with engine.connect() as other:
                other.execute(text("SET lock_timeout = '10s'"))
                stored = [LakeStore(engine).within(other, batch) for batch in batches]
                numbered = CleanStore(engine)
                numbered._prepare(batches[1])
        assert stuck.result(60).new_bytes == len(LINE)

    assert [each.new_bytes for each in stored] == [len(LINE)] * 2
    assert numbered._catalogue.known(source) is not None
    engine.dispose()
