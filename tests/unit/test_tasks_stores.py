"""What a pool reads before it forks."""

import pytest

from pipeline.enrich import agent
from tasks import stores


@pytest.mark.parametrize(("enrich", "is_read"), [("agent,address", 1), ("address", 0), ("none", 0)])
def test_rules_of_agents_are_read_before_the_fork(
    enrich: str, is_read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Children of a clean pool share them; a pool that parses no agents does without."""
    monkeypatch.setenv("SLUICE_ENRICH", enrich)
    stores.settings.cache_clear()
    agent._resolver.cache_clear()
    try:
        stores.prepare_clean()
    finally:
        stores.settings.cache_clear()

    assert agent._resolver.cache_info().currsize == is_read
