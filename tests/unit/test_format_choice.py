"""The format of a file by its path, as SLUICE_LOG_FORMAT says it."""

import pytest

from pipeline.errors import ConfigurationError
from pipeline.format_choice import FormatChoice
from pipeline.settings import Settings


def test_one_name_is_for_every_path() -> None:
    """A name alone is every file's, and nothing is told of what is recognised."""
    assert FormatChoice.parse("combined").of("/var/log/a.log") == "combined"
    assert (FormatChoice.parse("auto").names, FormatChoice.parse("combined").names) == ((), ("combined",))


def test_the_first_pattern_that_fits_counts() -> None:
    """A path has the name of the first pattern that fits all of it, others have the name without one."""
    choice = FormatChoice.parse("common, /var/log/app/*.json=json ,/var/log/app/*=logfmt")

    assert choice.of("/var/log/app/shop/today.json") == "json"
    assert choice.of("/var/log/app/shop.log") == "logfmt"
    assert choice.of("/srv/var/log/app/shop.log") == "common"
    assert choice.names == ("common", "json", "logfmt")


def test_a_pattern_may_hold_an_equals_sign() -> None:
    """The name stands after the last equals sign; without a name for the others they are recognised."""
    choice = FormatChoice.parse("/logs/dt=*/a.log=w3c")

    assert choice.of("/logs/dt=2026-11-24/a.log") == "w3c"
    assert choice.of("/logs/b.log") == "auto"


@pytest.mark.parametrize("text", ["combined,common", "/var/log/*=", ",", "auto,"])
def test_what_names_no_format_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable and how to write it."""
    monkeypatch.setenv("SLUICE_LOG_FORMAT", text)

    with pytest.raises(ConfigurationError, match=r"SLUICE_LOG_FORMAT: give one format, or PATTERN=FORMAT"):
        Settings.from_environment()
