"""What a user agent tells: browser, operating system, device, and whether it is a robot."""

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from pipeline.enrich.enricher import Enricher

if TYPE_CHECKING:
    from ua_parser.regex import Resolver

#: Characters of an agent that are read: real ones are shorter, and the time of a hostile one is bounded.
MAX_CHARACTERS = 512
#: Agents whose answer is kept, beside the memo of the field: at most 8 MiB.
KEPT_AGENTS = 8192
#: What robots, monitors and libraries call themselves where the rules of uap-core do not know them. Cubot
#: makes phones.
_ROBOT = re.compile(
    r"(?<!cu)bot\b|crawl|spider|scan|grab|probe|monitor|health.?check|inspect|headless|https?://|\w@\w"
    r"|^(?:curl|wget|python|aiohttp|go-http|apache-httpclient|java|ruby|perl|libwww|php|guzzle|node|axios|got"
    r"|postman|httpie|prometheus|check_http|expanse)",
    re.IGNORECASE,
)
#: The device of robots in uap-core.
_SPIDER = "Spider"

_Answer = tuple[str | None, str | None, str | None, bool]


def agent_enricher() -> Enricher:
    """Return the enricher of `user_agent`."""
    return Enricher(
        "agent",
        "user_agent",
        ("browser", "os", "device", "is_bot"),
        lambda agent: _read(agent[:MAX_CHARACTERS]),
    )


def prepare() -> None:
    """Read the rules now, so that children that are forked later share them."""
    _resolver()


@lru_cache(KEPT_AGENTS)
def _read(agent: str) -> _Answer:
    # Imported and made at first use, 0.2 s and 28 MiB: only who parses agents pays for it.
    from ua_parser.core import Domain  # noqa: PLC0415

    found = _resolver()(agent, Domain.ALL)
    device = found.device.family if found.device else None
    is_bot = device == _SPIDER or _ROBOT.search(agent) is not None
    return (
        found.user_agent.family if found.user_agent else None,
        found.os.family if found.os else None,
        None if is_bot else device,
        is_bot,
    )


@cache
def _resolver() -> "Resolver":
    # All rules at once by finite automata: the time is linear in the length whatever the agent holds. In
    # Python's own regular expressions one agent takes 0.8 ms, and a hostile one 10 ms.
    from ua_parser import loaders, regex  # noqa: PLC0415

    # Lazy: else each rule is compiled for Python's engine too.
    return regex.Resolver(loaders.load_lazy_builtins())
