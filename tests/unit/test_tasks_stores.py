"""What a pool loads before it forks."""

import subprocess
import sys

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


def test_numpy_is_loaded_before_the_fork_without_threads() -> None:
    """Children of a clean pool share it, and the process that forks has a single thread."""
    script = (
        "import sys; from tasks import stores; stores.prepare_clean(); "
        "print('numpy' in sys.modules, next(x for x in open('/proc/self/status') if x.startswith('Threads')))"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["True", "Threads:", "1"]
