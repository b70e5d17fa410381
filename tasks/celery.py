"""The Celery app: `celery -A tasks` finds it here."""

from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, worker_init
from celery.utils.text import str_to_list

from pipeline import topology
from pipeline.exposure import expose
from pipeline.folders import make_private
from pipeline.publish import check
from pipeline.settings import Settings
from tasks import logs, metrics, schedule, stores
from tasks.consumer import SignsOfLife
from tasks.control import allow_questions_only
from tasks.foreign import forget_builtin_tasks
from tasks.routing import MAINTAINER, consumed_stage
from tasks.topology import TopologyWatch

app = Celery(
    "sluice",
    include=[
        "tasks.routing", "tasks.lake", "tasks.clean", "tasks.alerts", "tasks.audit", "tasks.dead",
        "tasks.detect", "tasks.drift", "tasks.partitions", "tasks.replay", "tasks.retention",
        "tasks.seals", "tasks.topology", "tasks.traffic", "tasks.report",
    ],
)  # fmt: skip
app.config_from_object("celeryconfig")
app.events.dispatcher_cls = "tasks.events:Dispatcher"
app.steps["consumer"].add(SignsOfLife)


#: Queues that this worker leaves to others: what `-X` names.
_excluded: set[str] = set()


@celeryd_init.connect  # type: ignore[misc,untyped-decorator,unused-ignore]
def note_excluded(options: Any, **_: Any) -> None:
    """Note what the command line excludes, which Celery forgets."""
    _excluded.update(str_to_list(options.get("exclude_queues")) or ())


@worker_init.connect  # type: ignore[misc,untyped-decorator,unused-ignore]
def prepare_worker(**_: Any) -> None:
    """Refuse a worker of two data queues; let a lake worker do the maintenance too, unless it is excluded.

    Its remote control answers questions and does nothing else; Celery's own tasks are not there.
    """
    allow_questions_only()
    forget_builtin_tasks(app)
    stage = consumed_stage(app)
    name = MAINTAINER if stage is None else stage.value
    logs.begin(name)
    metrics.begin(name)
    expose(Settings.from_environment().metrics_endpoint, metrics.REGISTRY, metrics.PULSE)
    if stage is topology.Stage.CLEAN:
        stores.prepare_clean()
    if stage is topology.Stage.LAKE and topology.MAINTENANCE not in _excluded:
        app.amqp.queues.select_add(topology.undeclared(topology.MAINTENANCE_QUEUE))


@beat_init.connect  # type: ignore[misc,untyped-decorator,unused-ignore]
def prepare_beat(**_: Any) -> None:
    """Make the folder of the schedule, declare the queue that beat sends to, and watch over all of them."""
    settings = Settings.from_environment()
    make_private(settings.state_dir)
    check(settings)
    expose(settings.metrics_endpoint, schedule.REGISTRY, schedule.PULSE)
    TopologyWatch(settings).start()
