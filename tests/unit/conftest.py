"""Commands called as a person calls them, in the test's own process; a folder of format files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import OK, main
from pipeline.formats.userfile import register

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
def formats_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of format files, which the environment names; no format of it outlives the test."""
    monkeypatch.setenv("SLUICE_FORMATS_DIR", str(tmp_path))
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    yield tmp_path
    register(None)
