"""One message per line over plain AMQP, persistent, and a commit per row through the ORM.

python -m bench.peers.naive publish|raw|clean BROKER_URL DATABASE_URL LOG
"""

import sys
from pathlib import Path

import kombu

from bench.peers import tables

_EXCHANGE = kombu.Exchange("peer", type="fanout", durable=True)
_QUEUES = {name: kombu.Queue(f"peer-{name}", _EXCHANGE, durable=True) for name in ("raw", "clean")}


def publish(connection: kombu.Connection, log: Path) -> None:
    """Publish every line."""
    producer = kombu.Producer(connection.channel(), _EXCHANGE)
    with log.open() as file:
        for line in file:
            producer.publish(line.rstrip("\n"), delivery_mode="persistent")


def consume(connection: kombu.Connection, name: str, database_url: str) -> None:
    """Store the lines of one queue until the process is ended."""

    def store(body: str, message: kombu.Message) -> None:
        row = tables.PeerRaw(line=body) if name == "raw" else tables.parse(body)
        tables.add(database_url, row)
        message.ack()

    with kombu.Consumer(connection.channel(), [_QUEUES[name]], callbacks=[store], prefetch_count=100):
        print("ready", flush=True)
        while True:
            connection.drain_events()


def main(role: str, broker_url: str, database_url: str, log: str) -> None:
    """Play one of the three roles."""
    with kombu.Connection(broker_url) as connection:
        for queue in _QUEUES.values():
            queue(connection.channel()).declare()
        if role == "publish":
            publish(connection, Path(log))
        else:
            consume(connection, role, database_url)


if __name__ == "__main__":
    main(*sys.argv[1:])
