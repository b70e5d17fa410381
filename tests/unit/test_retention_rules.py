"""How long rows are kept, as SLUICE_RETENTION says it."""

import pytest

from pipeline.errors import ConfigurationError
from pipeline.retention import Kept, Retention
from pipeline.settings import Settings


def test_nothing_set_keeps_everything() -> None:
    """Without a rule no row is ever old enough."""
    kept = Settings.from_environment().retention_rules

    assert [kept.days("/a.log", table) for table in Kept] == [None] * 5
    assert not kept
    assert not Retention.parse("lake=keep")


def test_tables_have_rules_of_their_own() -> None:
    """A table that no rule names is kept for ever."""
    kept = Retention.parse("lake=90, clean=365, drifts=14")

    assert [kept.days("/a.log", table) for table in Kept] == [90, 365, None, None, 14]
    assert kept


def test_the_first_pattern_that_fits_counts() -> None:
    """A path has the days of the first pattern for the table that fits all of it, else those of all paths."""
    kept = Retention.parse("/var/log/app/*:lake=7,/var/log/*:lake=keep,lake=30,/logs/a=b:c/*:clean=2")

    assert kept.days("/var/log/app/x.log", Kept.LAKE) == 7
    assert kept.days("/var/log/x.log", Kept.LAKE) is None
    assert kept.days("/srv/var/log/app/x.log", Kept.LAKE) == 30
    assert kept.days("/logs/a=b:c/x.log", Kept.CLEAN) == 2
    assert kept.days("/var/log/app/x.log", Kept.CLEAN) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("90", "'90' is no rule: give lake=DAYS"),
        ("raw_logs=90", "'raw_logs=90' is no rule"),
        ("lake=90,", "'' is no rule"),
        ("lake=0", "'lake=0': give whole days from 1"),
        ("lake=1.5", "give whole days"),
        ("/x/*:lake=", "give whole days"),
        ("lake=9,lake=8", "two rules are about the same table"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable, the part and what fits."""
    monkeypatch.setenv("SLUICE_RETENTION", text)

    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment()

    assert str(refused.value).startswith("SLUICE_RETENTION: ")
    assert said in str(refused.value)
