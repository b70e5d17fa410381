"""The Celery app: `celery -A tasks` finds it here."""

from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_init

from pipeline import topology
from pipeline.publish import check
from pipeline.settings import Settings
from tasks.routing import consumed_stage
from tasks.topology import TopologyWatch

app = Celery(
    "sluice",
    include=[
        "tasks.routing", "tasks.lake", "tasks.clean", "tasks.audit", "tasks.dead", "tasks.drift",
        "tasks.partitions", "tasks.topology", "tasks.traffic",
    ],
)  # fmt: skip
app.config_from_object("celeryconfig")


@worker_init.connect  # type: ignore[misc,untyped-decorator,unused-ignore]
def prepare_worker(**_: Any) -> None:
    """Refuse a worker without exactly one data queue; let a lake worker do the maintenance too."""
    stage = consumed_stage(app)
    if stage is topology.Stage.LAKE:
        app.amqp.queues.select_add(topology.MAINTENANCE_QUEUE)


@beat_init.connect  # type: ignore[misc,untyped-decorator,unused-ignore]
def prepare_beat(**_: Any) -> None:
    """Make the folder of the schedule, declare the queue that beat sends to, and watch over all of them."""
    settings = Settings.from_environment()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    check(settings)
    TopologyWatch(settings).start()
