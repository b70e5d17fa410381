"""What the benchmark of replays measures is a replay of every line."""

from sqlalchemy import Engine, func, select

from bench.replay import FIRST, OTHER, SAME, measure
from db.audit import audit
from db.engine import reading
from db.models import Segment


def test_each_round_reads_its_source_again(engine: Engine) -> None:
    """Two rounds leave two whole sources, whose clean segments were stored after those of the lake."""
    for number in range(2):
        assert set(measure(engine, 300, number)) == {FIRST, SAME, OTHER}

    assert audit(engine, None, deep=True).complete
    with reading(engine) as connection:
        lines = select(Segment.stage, func.sum(Segment.record_count)).group_by(Segment.stage)
        assert {stage: int(count) for stage, count in connection.execute(lines)} == {
            "lake": 600,
            "clean": 600,
        }
