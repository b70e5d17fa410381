"""Tables by network: of the networks that hold an address, the smallest says what is known about it."""

import ipaddress
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Generic, TypeVar

from pipeline.enrich.scope import meant

T = TypeVar("T")
#: Addresses whose answer is kept, beside the memo of the whole field.
KEPT_ADDRESSES = 16_384


def network_text(cell: str) -> str:
    """Return a network such as 10.0.4.0/24, or an address without its length, in canonical form.

    Raises:
        ValueError: it is neither, or the address has bits behind the network's.
    """
    network = ipaddress.ip_network(cell)
    return str(network) if "/" in cell else str(network.network_address)


class NetworkTable(Generic[T]):
    """What is known by networks and addresses, as `network_text` returns them."""

    def __init__(self, entries: Mapping[str, T], nothing: T) -> None:
        self._nothing = nothing
        #: Version and length → first address → what is known; the longest first.
        self._lengths: dict[tuple[int, int], dict[int, T]] = {}
        networks = [(ipaddress.ip_network(text), known) for text, known in entries.items()]
        for network, known in sorted(networks, key=lambda entry: -entry[0].prefixlen):
            place = self._lengths.setdefault((network.version, network.prefixlen), {})
            place[int(network.network_address)] = known
        self.find: Callable[[str], T] = lru_cache(KEPT_ADDRESSES)(self._find)

    def _find(self, address: str) -> T:
        parsed = ipaddress.ip_address(meant(address))
        number = int(parsed)
        for (version, length), known in self._lengths.items():
            if version == parsed.version:
                low = parsed.max_prefixlen - length
                found = known.get(number >> low << low)
                if found is not None:
                    return found
        return self._nothing
