"""One Celery task per line and stage, a commit per task, acknowledged late: the plain Celery way.

celery -A bench.peers.lines worker -Q peer-raw|peer-clean      python -m bench.peers.lines LOG
"""

import os
import sys
from pathlib import Path

from celery import Celery

from bench.peers import tables

_DATABASE_URL = os.environ["PEER_DATABASE_URL"]
app = Celery("peer", broker=os.environ["PEER_BROKER_URL"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_create_missing_queues=True,
    worker_hijack_root_logger=False,
)


# Names of their own: the sender runs this module as a program, the workers import it.
@app.task(name="peer.lines.raw", ignore_result=True)  # type: ignore[untyped-decorator, unused-ignore]
def raw(line: str) -> None:
    """Store a line as it is; acknowledged after the commit."""
    tables.add(_DATABASE_URL, tables.PeerRaw(line=line))


@app.task(name="peer.lines.clean", ignore_result=True)  # type: ignore[untyped-decorator, unused-ignore]
def clean(line: str) -> None:
    """Store a line parsed; acknowledged after the commit."""
    tables.add(_DATABASE_URL, tables.parse(line))


def publish(log: Path) -> None:
    """Send two tasks for every line."""
    with log.open() as file:
        for line in file:
            text = line.rstrip("\n")
            raw.apply_async((text,), queue="peer-raw")
            clean.apply_async((text,), queue="peer-clean")


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
