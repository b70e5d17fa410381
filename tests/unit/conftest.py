"""Commands called as a person calls them, in the test's own process; a folder of format files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db.engine import make_engine
from pipeline.cli.main import OK, main
from pipeline.formats.userfile import register
from pipeline.settings import Settings
from tests.databases import migrate

#: Calls a command and returns its JSON object.
Answer = Callable[..., dict[str, Any]]


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Answer:
    """Return a function that calls a command, which must end with `code`, and returns its JSON object."""

    def call(*arguments: str, code: int = OK) -> dict[str, Any]:
        assert main([*arguments, "--json"]) == code
        result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return result

    return call


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A migrated database in a state folder of its own, `var`, which commands find by the environment."""
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    url = Settings.from_environment().sqlalchemy_url
    migrate(url)
    engine = make_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def formats_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of format files, which the environment names; no format of it outlives the test."""
    monkeypatch.setenv("SLUICE_FORMATS_DIR", str(tmp_path))
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    yield tmp_path
    register(None)
