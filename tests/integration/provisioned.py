"""A database with the roles of Sluice, for tests that log in as one of them."""

import os
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import text

from db import roles
from db.engine import make_engine, transaction
from db.roles import ROLES
from db.store import CleanStore, LakeStore
from pipeline.batch import Batch, Source

#: Roles belong to the whole server: these tests have their own.
PREFIX = f"test{os.getpid()}"
LINE = b'192.0.2.1 - ann [01/Mar/2023:00:00:09 +0000] "GET /a HTTP/1.1" 200 12 "-" "curl/8"\n'
SOURCE = Source("ab" * 16, "web-1", "/var/log/access.log")
BATCH = Batch(SOURCE, 0, LINE * 3 + b"no request\n")


def provision(url: str) -> None:
    """Make the roles twice, and store some lines as the owner."""
    for _ in range(2):
        roles.apply(url, PREFIX, {})
    engine = make_engine(url)
    LakeStore(engine).store(BATCH)
    CleanStore(engine).store(BATCH)
    engine.dispose()


def forget_roles(url: str) -> None:
    """Drop the roles, which outlive their database."""
    engine = make_engine(url)
    with transaction(engine) as connection:
        for role in ROLES:
            connection.execute(text(f"DROP OWNED BY {PREFIX}_{role}"))
            connection.execute(text(f"DROP ROLE {PREFIX}_{role}"))
    engine.dispose()


def as_role(url: str, role: str) -> str:
    """Return the URL for a role."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{roles.role_name(role, PREFIX)}@{place}"))
