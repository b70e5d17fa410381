"""Alerts on beat's schedule: what was noticed goes into the outbox, and from there to people."""

import logging
import time
from datetime import UTC, datetime

from db import alerting
from db.alerting import Due
from pipeline.alerts.channels import AlertUndelivered, Channel
from tasks import stores
from tasks.scheduled import scheduled

log = logging.getLogger(__name__)

#: Most seconds after which no further alert is tried: the lake's pool has its batches to store.
SEND_SECONDS = 20.0


@scheduled("alerts.send")
def send() -> str:
    """Put what was noticed into the outbox, and send what is due; return how many were sent, for Flower.

    A second one at the same time sends others. An alert is kept until its channel has taken it: one that
    was stopped in the middle is sent again, with the same number.
    """
    settings = stores.settings()
    channels = settings.alert_channels
    alerting.collect(stores.engine(), list(channels), settings.host, datetime.now(UTC))
    due = alerting.take_due(stores.engine(), list(channels), datetime.now(UTC))
    sent = _send(due, channels)
    return f"sent: {sent} of {len(due)}"


def _send(due: list[Due], channels: dict[str, Channel]) -> int:
    end, sent = time.monotonic() + SEND_SECONDS, 0
    for alert in due:
        if time.monotonic() > end:
            break  # it is due again after its lease
        problem = None
        try:
            channels[alert.channel].deliver(alert.content, alert.id)
            sent += 1
        except AlertUndelivered as error:
            problem = str(error)
            log.warning("alert %d waits: %s", alert.id, problem)
        alerting.settle(stores.engine(), alert, problem, datetime.now(UTC))
    return sent
