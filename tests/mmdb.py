"""Small databases in MaxMind's format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

CITY = {"country": {"iso_code": "NZ"}, "city": {"names": {"en": "Dunedin", "de": "Dunedin!"}}}
ASN = {"autonomous_system_number": 64500, "autonomous_system_organization": "Example"}


def write_database(path: Path, records: Mapping[str, Any], kind: str = "GeoLite2-City") -> Path:
    """Write a database with a record for each network, replacing the file by renaming; return its path."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=kind)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    aside = path.with_suffix(".new")
    writer.to_db_file(str(aside))
    return aside.replace(path)
