"""Failpoints: nothing by default, and exactly what was asked, once."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import failpoint

ROOT = Path(__file__).parents[2]
SCRIPT = "from pipeline.failpoint import reach; [print(n, reach('place')) for n in range(4)]"


def run(text: str) -> subprocess.CompletedProcess[str]:
    """Reach a place four times in a process of its own."""
    command = [sys.executable, "-c", SCRIPT]
    environment = {failpoint.VARIABLE: text}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("text", ["", "elsewhere:1:kill:marker"])
def test_nothing_happens_unless_it_is_named(text: str) -> None:
    """A process whose variable is empty, or names another place, goes on."""
    assert run(text).stdout.count("None") == 4


@pytest.mark.parametrize(("action", "code"), [("kill", -9), ("raise", 1)])
def test_it_acts_at_its_turn_and_only_once(action: str, code: int, tmp_path: Path) -> None:
    """The process ends at the turn; the next one finds the marker and goes on."""
    text = f"place:3:{action}:{tmp_path / 'marker'}"

    first, second = run(text), run(text)

    assert (first.returncode, first.stdout.count("None")) in {(code, 2), (-9, 0)}  # a kill loses the output
    assert (second.returncode, second.stdout.count("None")) == (0, 4)


def test_sleep_waits_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place is passed after the wait."""
    monkeypatch.setattr(failpoint, "SLEEP_SECONDS", 0.01)
    (point,) = failpoint.parse(f"place:1:sleep:{tmp_path / 'marker'}").values()

    point.reach()

    assert (tmp_path / "marker").exists()


def test_several_are_armed_together() -> None:
    """Commas separate them; each keeps its own turn, action and marker."""
    armed = failpoint.parse("a:1:kill:/m/a,b:2:raise:/m/b:c")

    assert armed["a"] == failpoint.Failpoint(1, "kill", "/m/a")
    assert armed["b"] == failpoint.Failpoint(2, "raise", "/m/b:c")
