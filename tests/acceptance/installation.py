"""An installation for the tests: a state folder and the real commands on it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from db import schema


@dataclass
class Installation:
    """A state folder, and the commands on it; `variables` make it use servers."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of its commands."""
        return {**os.environ, "SLUICE_STATE_DIR": str(self.folder / "var"), **self.variables}

    @property
    def database_url(self) -> str:
        """Return the URL of its database."""
        return self.variables.get("DATABASE_URL", f"sqlite:///{self.folder / 'var' / 'sluice.db'}")

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command."""
        command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def answer(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        """Return the JSON object of a command that ends with this code."""
        return answer(self.start(*arguments, "--json"), code)

    def log(self, child: str) -> str:
        """Return the log of a child so far."""
        path = self.folder / "var" / "log" / f"{child}.log"
        return path.read_text() if path.exists() else ""


def prepared(request: pytest.FixtureRequest, folder: Path, variables: dict[str, str]) -> Installation:
    """Return an installation with a migrated database, of the kind that `request.param` names."""
    if request.param == "servers":
        urls = {"BROKER_URL": "broker", "DATABASE_URL": "postgresql_url"}
        variables = variables | {name: request.getfixturevalue(fixture) for name, fixture in urls.items()}
    made = Installation(folder, variables)
    (folder / "var").mkdir()
    schema.upgrade(made.database_url)
    return made


def answer(command: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    """Return the JSON object on the last line of stdout of a command that ends with this code."""
    out, err = command.communicate(timeout=100)
    assert command.returncode == code, err
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result


def proven(summary: dict[str, Any], lines: int) -> bool:
    """Tell whether a summary shows that many lines in both stages, none missing, none twice."""
    stored = (summary["lines"], summary["raw"], summary["clean"] + summary["rejected"])
    return stored == (lines,) * 3 and summary["missing_bytes"] == summary["duplicate_lines"] == 0


def children_of(command: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return every process below a command."""
    return psutil.Process(command.pid).children(recursive=True)


def all_gone(processes: list[psutil.Process]) -> bool:
    """Tell whether none of the processes runs."""
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)
