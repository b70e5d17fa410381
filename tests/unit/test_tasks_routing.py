"""Which stage a worker is of, by the queues that it consumes, and what a worker of none does with a batch."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.topology import MAINTENANCE, Stage
from tasks.routing import batch, consumed_stage, route

LAKE, CLEAN = (stage.queue_name for stage in (Stage.LAKE, Stage.CLEAN))


def app(*queues: str) -> Any:
    """Return what a worker of these queues has for an app."""
    return SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=dict.fromkeys(queues))))


@pytest.mark.parametrize(
    ("queues", "stage"),
    [
        ([LAKE], Stage.LAKE),
        ([LAKE, MAINTENANCE], Stage.LAKE),
        ([CLEAN], Stage.CLEAN),
        ([MAINTENANCE], None),
    ],
)
def test_a_worker_is_of_one_stage_or_of_the_maintenance(queues: list[str], stage: Stage | None) -> None:
    """One data queue makes its stage; the maintenance queue alone makes none."""
    assert consumed_stage(app(*queues)) is stage


@pytest.mark.parametrize("queues", [[LAKE, CLEAN], [LAKE, CLEAN, MAINTENANCE], []])
def test_a_worker_of_two_stages_or_of_nothing_refuses(queues: list[str]) -> None:
    """It says which queues there are to choose from."""
    with pytest.raises(SystemExit, match=rf"{LAKE}.*{CLEAN}.*{MAINTENANCE}"):
        consumed_stage(app(*queues))


def test_a_batch_in_the_maintenance_queue_is_a_dead_letter() -> None:
    """A worker without a stage rejects it, and so never decodes what somebody put there."""
    rejected: list[Any] = []
    message = SimpleNamespace(
        reject_log_error=lambda *given: rejected.append(given), content_type="application/x-msgpack", body=b""
    )

    route(batch, app(MAINTENANCE), SimpleNamespace(connection_errors=()))(message)

    assert len(rejected) == 1
