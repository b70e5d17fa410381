"""Beat's scheduler: Celery's own, which gives signs of life."""

from typing import Any

from celery.beat import PersistentScheduler
from prometheus_client import CollectorRegistry

from pipeline.exposure import Pulse

#: What beat exposes: its process alone; what it finds is in the database, for the exporter.
REGISTRY = CollectorRegistry()
#: Beat sleeps up to `beat_max_loop_interval`, half a minute.
PULSE = Pulse("beat", stuck_seconds=120.0)


class Schedule(PersistentScheduler):  # type: ignore[misc,unused-ignore]
    """The schedule in a file of the state folder."""

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send what is due; return the seconds until the next."""
        PULSE.beat()
        return super().tick(*args, **kwargs)
