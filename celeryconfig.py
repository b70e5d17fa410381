"""Celery's settings, each with its reason; names, queues and addresses come from pipeline/."""

from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.formats.userfile import register
from pipeline.publish import broker_options
from pipeline.settings import Settings
from pipeline.topology import LIVE_QUEUES, MAINTENANCE, undeclared

try:
    _settings = Settings.from_environment()
    register(_settings.formats_dir)
except ConfigurationError as error:
    raise SystemExit(f"error: {error}") from None

# --- Broker -------------------------------------------------------------------------------------------------
broker_url = _settings.broker_url.get_secret_value()
# Peer and host name verified; None without TLS.
broker_use_ssl = _settings.broker_tls
# Confirms, so that a retry that Celery publishes is in its queue before the old message is acknowledged.
broker_transport_options = broker_options(_settings)
broker_heartbeat = 30
# A broker that is away comes back: connect again without end, at start and later.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# A closed channel (an expired acknowledgement, a deleted queue) is opened anew instead of ending the worker.
broker_channel_error_retry = True

# --- Queues -------------------------------------------------------------------------------------------------
# Declared by the worker's consumer, which also works for a user who may not declare (tasks/consumer.py).
task_queues = tuple(undeclared(queue) for queue in LIVE_QUEUES)
# What beat sends has its own queue; a misspelt name must not become a queue.
task_default_queue = MAINTENANCE
task_default_exchange = ""
task_default_routing_key = MAINTENANCE
task_create_missing_queues = False

# --- Messages -----------------------------------------------------------------------------------------------
# Never pickle: a message must not be able to run code.
task_serializer = "msgpack"
accept_content = ["msgpack", "json"]
event_serializer = "json"
# Results are rows. A result backend would also let Celery acknowledge a lost task whose id it finds there.
task_ignore_result = True

# --- Acknowledgement ----------------------------------------------------------------------------------------
# After the commit, never before; a child that dies gives its batch back.
task_acks_late = True
task_reject_on_worker_lost = True
# A failed task is rejected, so that the broker keeps it as a dead letter; by default it would be forgotten.
task_acks_on_failure = False
task_acks_on_timeout = False
# One batch in the child and one waiting beside it, for each child.
worker_prefetch_multiplier = 2
# Seconds: far above the longest honest batch, far below RabbitMQ's 30 minutes for an acknowledgement.
task_soft_time_limit = 300
task_time_limit = 360

# --- Worker -------------------------------------------------------------------------------------------------
# Without Celery's 28 delay queues, and with undecodable messages dead-lettered: see the class.
worker_consumer = "tasks.consumer:Consumer"
# SIGTERM lets the batch in hand end; SIGQUIT gives it this many seconds. The rest goes back to its queue.
worker_soft_shutdown_timeout = 30.0
# On a lost connection the batch in hand is delivered again anyway: stop it, the ledger makes that harmless.
worker_cancel_long_running_tasks_on_connection_loss = True
# KiB: a child that grew beyond this is replaced after its batch.
worker_max_memory_per_child = 400_000
# Events feed Flower. In embedded mode nobody reads them, and they would pile up as files.
worker_send_task_events = not _settings.embedded_broker
task_send_sent_event = False
worker_enable_remote_control = not _settings.embedded_broker
worker_hijack_root_logger = True
worker_redirect_stdouts = False
# Colours are control characters, which tasks/logs.py writes as escapes.
worker_log_color = False

# --- Beat ---------------------------------------------------------------------------------------------------
timezone = "UTC"
beat_scheduler = "tasks.schedule:Schedule"
# Seconds: beat gives a sign of life at least this often.
beat_max_loop_interval = 30.0
beat_schedule_filename = str(_settings.state_dir / "beat-schedule")


def _every(seconds: float, task: str, **kwargs: Any) -> dict[str, Any]:
    # A message that waited until the next one is due has nothing to add.
    return {"task": task, "schedule": seconds, "kwargs": kwargs, "options": {"expires": seconds}}


beat_schedule = {
    "audit and repair": _every(_settings.audit_seconds, "audit.repair"),
    # After an update: what the new version may read waits no longer than for the next look.
    "replay dead letters of another version": _every(
        _settings.audit_seconds, "dead.replay", readable_now=True
    ),
    "replay dead letters": _every(_settings.replay_seconds, "dead.replay"),
    # What a lower version of a format has read; it goes on in slices until the next one is due.
    "replay what an older version read": _every(_settings.audit_seconds, "replay.clean"),
    # Reports read from the records what is not counted yet: the longer this waits, the longer they take.
    "count traffic": _every(_settings.audit_seconds, "traffic.count"),
    # A day that still grows has a row of a key for each count, about ten, until they are made one.
    "compact counts": _every(600.0, "traffic.compact"),
    "look for drifts": _every(_settings.audit_seconds, "drift.look"),
    # It seals the days that have ended, so all but one of these have nothing to do.
    "close the chain": _every(21_600.0, "seals.close"),
    # Rows are old enough from one day to the next; what one look has no time for, the next one has.
    "remove what is old enough": _every(3600.0, "retention.expire"),
    "send alerts": _every(_settings.audit_seconds, "alerts.send"),
    "look for attacks, errors and slowness": _every(_settings.audit_seconds, "detect.look"),
    # The report of yesterday is written once; who was down at midnight writes it later.
    "report of the day": _every(3600.0, "report.write"),
    # Months have their partitions long before they begin, so this may fail for weeks.
    "prepare partitions": _every(21_600.0, "partitions.prepare"),
}
