"""RabbitMQ and PostgreSQL for the tests: the private nodes that the benchmarks use too."""

from bench.nodes import ServiceMissing, free_port, program, stop_child, wait_until
from bench.postgres import PrivatePostgres, database_answers
from bench.rabbit import PrivateRabbit, broker_answers

__all__ = [
    "PrivatePostgres",
    "PrivateRabbit",
    "ServiceMissing",
    "broker_answers",
    "database_answers",
    "free_port",
    "program",
    "stop_child",
    "wait_until",
]
