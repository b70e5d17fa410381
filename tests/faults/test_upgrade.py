"""A rolling upgrade: pools of an older version and of this one side by side, a migration under load."""

import io
import subprocess
import sys
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from db import schema
from pipeline.cli.children import WATCHER
from tests.faults.conftest import count_unfinished
from tests.faults.databases import new_database, new_virtual_host
from tests.faults.invariant import count_stored, settle, wait_stored
from tests.faults.system import CLEAN, LAKE, ROOT, Place, Role, System
from tests.faults.writer import Writer
from tests.services import PrivatePostgres, PrivateRabbit, wait_until

pytestmark = pytest.mark.faults


def git(*arguments: str) -> bytes:
    """Return what git prints of this checkout, or skip where there is no history to go back in."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed: there is no older version to run")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this checkout has no older version: {error.stderr.decode().strip()}")
    return done.stdout


@pytest.fixture
def older(tmp_path: Path) -> Role:
    """Return the role of a child of the last version with an older schema."""
    commits = (
        git("log", "-1", "--diff-filter=A", "--format=%H", "--", "db/migrations/versions").decode().split()
    )
    if not commits:
        pytest.skip("this checkout has no commit with a migration: there is no older version to run")
    with tarfile.open(fileobj=io.BytesIO(git("archive", f"{commits[0]}~1"))) as archive:
        archive.extractall(tmp_path / "older", filter="data")
    return Role(folder=tmp_path / "older")


@pytest.fixture
def upgraded(
    rabbit: PrivateRabbit, postgres: PrivatePostgres, new_place: Callable[[str, str], Place], older: Role
) -> Place:
    """Return a place whose database has the older schema."""
    place = new_place(new_virtual_host(rabbit), new_database(postgres))
    migrate = [sys.executable, "-m", "pipeline", "migrate"]
    environment = [f"{name}={value}" for name, value in place.variables().items()]
    subprocess.run(["env", "-C", str(older.folder), *environment, *migrate], check=True, timeout=60)
    return place


def wait_more(system: System, writer: Writer, what: str) -> None:
    """Wait until both stages have stored lines that are not written yet."""
    count = writer.count
    wait_until(lambda: min(count_stored(system, writer)) > count, what, 60)


def test_versions_side_by_side_and_a_migration_under_load(
    upgraded: Place, older: Role, rabbit: PrivateRabbit
) -> None:
    """The schema moves on and each process is replaced while lines are written; none is lost or doubled."""
    with System(upgraded, migrated=False) as system:
        before = schema.version(system.settings.sqlalchemy_url)
        for name in (LAKE, CLEAN, WATCHER):
            system.start(name, older)
        writer = system.writer()
        with writer.writing(rate=300, most=60_000):
            wait_until(lambda: min(count_stored(system, writer)) > 300, "the older version at work")
            schema.upgrade(system.settings.sqlalchemy_url)
            wait_more(system, writer, "the older pools on the new schema")
            for stage in (LAKE, CLEAN):
                system.start(f"{stage}-new")
            for name in (LAKE, CLEAN, f"{LAKE}-new", f"{CLEAN}-new"):
                said = len(system.log(name))
                wait_until(partial(stored_since, system, name, said), f"{name} beside the others")
            system.stop(LAKE)
            system.stop(CLEAN)
            wait_more(system, writer, "the new pools behind the older watcher")
            system.start(WATCHER)
            wait_more(system, writer, "the new watcher")

        assert schema.version(system.settings.sqlalchemy_url) != before
        wait_stored(system, writer)
        settle(system, writer, partial(count_unfinished, rabbit))


def stored_since(system: System, name: str, said: int) -> bool:
    """Tell whether a pool has stored a batch since it had said so many characters."""
    return "succeeded in" in system.log(name)[said:]
