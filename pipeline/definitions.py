"""RabbitMQ's definitions file: the virtual host with its topology, and a user for each role.

`rabbitmqctl import_definitions FILE` takes it, and so does `load_definitions` in rabbitmq.conf. It holds
salted hashes, never a password (https://www.rabbitmq.com/docs/passwords#computing-password-hash).
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from pipeline import topology
from pipeline.permissions import PERMISSIONS, Role

#: Bytes of the salt before the hash: RabbitMQ's format.
SALT_BYTES = 4


def user_name(role: Role) -> str:
    """Return the name of a role's user."""
    return f"sluice-{role.value}"


def password_hash(password: str, salt: bytes | None = None) -> str:
    """Return RabbitMQ's salted SHA-256 of a password, in base64."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions(vhost: str, passwords: Mapping[Role, str]) -> dict[str, Any]:
    """Return the definitions of a virtual host: topology, permissions, and the users of these passwords."""
    return {
        "users": [_user(role, password) for role, password in passwords.items()],
        "vhosts": [{"name": vhost}],
        "permissions": [_permission(vhost, role) for role in passwords],
        "policies": [],
        "exchanges": [_exchange(vhost)],
        "queues": [_queue(vhost, queue) for queue in (*topology.DEAD_QUEUES, *topology.LIVE_QUEUES)],
        "bindings": [_binding(vhost, queue) for queue in topology.DATA_QUEUES.values()],
    }


def _user(role: Role, password: str) -> dict[str, Any]:
    return {
        "name": user_name(role),
        "password_hash": password_hash(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": ",".join(PERMISSIONS[role].tags),
    }


def _permission(vhost: str, role: Role) -> dict[str, str]:
    permission = PERMISSIONS[role]
    return {
        "user": user_name(role),
        "vhost": vhost,
        "configure": permission.configure,
        "write": permission.write,
        "read": permission.read,
    }


def _exchange(vhost: str) -> dict[str, Any]:
    return {
        "name": topology.LOGS.name,
        "vhost": vhost,
        "type": topology.LOGS.type,
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


def _queue(vhost: str, queue: Any) -> dict[str, Any]:
    return {
        "name": queue.name,
        "vhost": vhost,
        "durable": True,
        "auto_delete": False,
        "arguments": queue.queue_arguments,
    }


def _binding(vhost: str, queue: Any) -> dict[str, Any]:
    return {
        "source": topology.LOGS.name,
        "vhost": vhost,
        "destination": queue.name,
        "destination_type": "queue",
        "routing_key": topology.ROUTING_KEY,
        "arguments": {},
    }
