"""Commands called as a person calls them, in the test's own process."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.cli.main import OK, main

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
