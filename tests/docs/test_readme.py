"""The READMEs name every setting, queue, task, command and target there is, and none that is not."""

import importlib
import re
from pathlib import Path

import pytest

from pipeline import topology
from pipeline.cli.main import COMMANDS
from pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
LANGUAGES = ("README.md", "README.fr.md")
#: Most lines of a README, so that it is read to the end.
README_LINES = 200


@pytest.fixture(params=LANGUAGES)
def readme(request: pytest.FixtureRequest) -> str:
    """Text of the README in each language."""
    return (ROOT / request.param).read_text()


def settings() -> set[str]:
    """Return the variables that Sluice reads."""
    return {str(field.alias) for field in Settings.model_fields.values()}


def queues() -> set[str]:
    """Return the names of the live queues."""
    return {queue.name for queue in topology.LIVE_QUEUES}


def tasks() -> set[str]:
    """Return the names of the tasks that the workers and beat run, by the modules of the Celery app."""
    app = importlib.import_module("tasks.celery").app
    app.loader.import_default_modules()
    return {name for name in app.tasks if not name.startswith("celery.")}


def test_every_setting_is_explained(readme: str) -> None:
    """A variable that is read is in the README, and a variable that the README names is read."""
    named = set(re.findall(r"\b(?:SLUICE_[A-Z_]+|(?<!TEST_)(?:BROKER|DATABASE)_URL)\b", readme))

    assert settings() == named


def test_every_queue_is_named(readme: str) -> None:
    """Each queue is in the README, and no other."""
    named = set(re.findall(r"\bqueue-[a-z]+(?:-[a-z]+)*", readme))

    assert queues() == named


def test_every_task_is_named(readme: str) -> None:
    """A person who sees a task in Flower finds its name in the README."""
    assert not [name for name in sorted(tasks()) if f"`{name}`" not in readme]


def test_every_command_is_shown(readme: str) -> None:
    """Each command is in the README, and each that it shows is there."""
    shown = set(re.findall(r"python -m pipeline ([a-z]+)", readme))

    assert set(COMMANDS) == shown


def test_every_target_exists(readme: str) -> None:
    """What the README tells to type after `make` is a target."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"(?:^|`)make ([a-z]+)", readme, re.MULTILINE))

    assert {"run", "test"} <= shown <= targets


def test_it_is_short(readme: str) -> None:
    """A README is at most two hundred lines."""
    assert len(readme.splitlines()) <= README_LINES
