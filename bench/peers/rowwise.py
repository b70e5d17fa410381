"""The peers that store row by row, in Python, through RabbitMQ."""

import sys

from bench.peers.peer import Peer, Programs, Where

#: Enough for ten seconds of the slowest, for which the whole log would take hours.
LINES = 5000
LACKS = "confirms, a ledger; 11 columns"


def _naive(where: Where) -> Programs:
    def play(role: str) -> list[str]:
        urls = [where.broker_url, where.database_url]
        return [sys.executable, "-m", "bench.peers.naive", role, *urls, str(where.log)]

    return Programs([play("raw"), play("clean")], "ready", play("publish"))


def _celery(where: Where) -> Programs:
    def work(queue: str) -> list[str]:
        worker = ["worker", "-Q", queue, "-n", f"{queue}@%h", "-c", "1", "-l", "INFO"]
        quiet = ["--without-gossip", "--without-mingle"]
        return [sys.executable, "-m", "celery", "-A", "bench.peers.lines", *worker, *quiet]

    send = [sys.executable, "-m", "bench.peers.lines", str(where.log)]
    return Programs([work("peer-raw"), work("peer-clean")], " ready.", send)


NAIVE = Peer("a message per line, ORM", LINES, LACKS, _naive)
CELERY = Peer("a Celery task per line", LINES, LACKS, _celery)
