"""What an address tells: its scope where it is not global, its country, city and network where it is."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from iptocc import country_code

from pipeline.enrich.enricher import Enricher
from pipeline.enrich.mmdb import READERS, Database
from pipeline.enrich.scope import meant, scope

#: Addresses whose answer is kept, beside the memo of the whole field: some 4 MiB.
KEPT_ADDRESSES = 16_384
#: Codes of the registries that are no country.
_NO_COUNTRY = {"EU", "AP", "ZZ"}


def address_enricher(databases: Sequence[Database]) -> Enricher:
    """Return the enricher of `ip`; the first database that knows a column fills it.

    Without one that knows countries, the country is that to which a regional registry gave the address.
    """
    owners = {
        column: next((database for database in databases if column in database.columns), None)
        for column in READERS
    }
    columns = [column for column, owner in owners.items() if owner is not None or column == "country"]
    known = [database for database in databases if database in owners.values()]
    places = [(column, owners[column]) for column in columns]
    nothing = (None,) * len(columns)

    @lru_cache(KEPT_ADDRESSES)
    def enrich(ip: str) -> tuple[Any, ...]:
        address = meant(ip)
        special = scope(address)
        if special is not None:
            return (special, *nothing)
        if not known:
            return (None, registered_country(address))
        records = {database: database.find(address) for database in known}
        return (
            None,
            *(
                registered_country(address) if owner is None else READERS[column](records[owner])
                for column, owner in places
            ),
        )

    return Enricher("address", "ip", ("ip_scope", *columns), enrich)


def registered_country(address: str) -> str | None:
    """Return the country (ISO 3166-1 alpha-2) to which a regional registry gave an address."""
    code = country_code(address)
    return None if code in _NO_COUNTRY else code
