"""The rules of the detections: complete as they come, adjusted by a file, refused where that is wrong."""

from pathlib import Path

import pytest

from pipeline.cli.main import USAGE
from pipeline.detect.rules import load
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from tests.unit.conftest import Answer


def adjusted(tmp_path: Path, text: str) -> Path:
    """Write a file of rules."""
    path = tmp_path / "rules.toml"
    path.write_text(text)
    return path


def test_as_they_come() -> None:
    """Every rule that the documentation promises is on."""
    rules = load()

    assert {"sql-injection", "traversal", "log4j", "xss", "scanner", "probe"} <= rules.patterns.keys()
    assert {"brute-force", "brute-force-user", "scan", "empty-agent"} == rules.bursts.keys()
    assert {"error-spike", "new-error", "slow", "surge", "drop", "silence"} == rules.changes.keys()


def test_a_file_changes_keys_adds_patterns_and_turns_off(tmp_path: Path) -> None:
    """What the file does not name stays as it is."""
    text = """
        [patterns.xss]
        enabled = false
        [patterns.our-trap]
        severity = "critical"
        match = ['/trap/[0-9]{1,9}']
        [bursts.scan]
        least = 7
        [changes.slow]
        factor = 1.5
    """
    before, rules = load(), load(adjusted(tmp_path, text))

    assert "xss" not in rules.patterns
    assert rules.patterns["our-trap"].match[0].search("/trap/7")
    assert (rules.patterns["our-trap"].severity, rules.patterns["our-trap"].fields) == ("critical", ("url",))
    assert (rules.bursts["scan"].least, rules.bursts["scan"].minutes) == (7, before.bursts["scan"].minutes)
    assert rules.changes["slow"].factor == 1.5
    assert rules.patterns["traversal"] == before.patterns["traversal"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "no TOML"),
        ("[rules.x]\nleast = 1", "rules: use tables [patterns.…], [bursts.…], [changes.…]"),
        ("[bursts.flood]\nleast = 5", "bursts.flood: there is no such rule; use one of brute-force"),
        ("[bursts.scan]\nmost = 5", "bursts.scan.most: there is no such key; use enabled, least"),
        ("[bursts.scan]\nleast = 1", "bursts.scan.least: use a number from 2 to 1e+06"),
        ("[bursts.scan]\nleast = true", "bursts.scan.least: use a number"),
        ("[bursts.scan]\nminutes = 500", "bursts.scan.minutes: use a number from 1 to 120"),
        ("[bursts]\nscan = 5", "bursts.scan: use a table [bursts.scan]"),
        ("[patterns.xss]\nseverity = 'bad'", "patterns.xss.severity: use one of low, medium, high, critical"),
        ("[patterns.xss]\nfields = ['body']", "patterns.xss.fields: use some of url, agent"),
        ("[patterns.xss]\nmatch = 'x'", "patterns.xss.match: use a list of texts"),
        ("[patterns.xss]\nmatch = []", "patterns.xss.match: give at least one pattern"),
        ("[patterns.xss]\nmatch = ['(']", "patterns.xss.match: '(': no regular expression"),
        ("[patterns.xss]\nmatch = ['a+']", "patterns.xss.match: 'a+': a loop without a bound"),
        ("[patterns.xss]\nmatch = ['(a{1,5}){1,9}b']", "a loop inside a loop"),
        ("[patterns.xss]\nmatch = ['SELECT']", "write it in lower case"),
        ("[patterns.xss]\nstatuses = [99]", "patterns.xss.statuses: use a list of numbers"),
        ("[patterns.xss]\nenabled = 1", "patterns.xss.enabled: use true or false"),
        ("[patterns.Mine]\nmatch = ['x']", "patterns.Mine: name it with lower-case letters"),
        ("[changes.slow]\nfactor = 'high'", "changes.slow.factor: use a number"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    """The file, the rule, the key, and what fits."""
    path = adjusted(tmp_path, text)

    with pytest.raises(ConfigurationError) as refused:
        load(path)

    assert str(refused.value).startswith(f"SLUICE_RULES: {path}: ")
    assert said in str(refused.value)


def test_a_wrong_file_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    """Whoever reads the settings reads the rules; a file that is not there is named."""
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("SLUICE_RULES", str(tmp_path / "none.toml"))

    with pytest.raises(ConfigurationError, match=r"SLUICE_RULES: .*none\.toml: No such file"):
        Settings.from_environment()
    assert "none.toml" in answer("status", code=USAGE)["error"]
