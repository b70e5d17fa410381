"""Databases in MaxMind's format: which columns one knows, and what it says of an address."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import maxminddb
from maxminddb import InvalidDatabaseError

from pipeline.enrich.watched import mark
from pipeline.errors import ConfigurationError
from pipeline.formats.fields import storable

#: Networks that are looked at to learn what a database knows, where its type does not say so.
SAMPLE_NETWORKS = 2000
#: Parts of `database_type` that promise a column.
_PROMISES = {"city": ("city", "enterprise", "insights"), "asn": ("asn",), "country": ("city", "country")}


def _country(record: Mapping[str, Any]) -> str | None:
    # MaxMind and DB-IP nest it; IPinfo has it flat.
    nested = record.get("country")
    code = nested.get("iso_code") if isinstance(nested, dict) else record.get("country_code", nested)
    return code if isinstance(code, str) and len(code) == 2 else None  # noqa: PLR2004 - ISO 3166-1 alpha-2


def _city(record: Mapping[str, Any]) -> str | None:
    nested = record.get("city")
    name = nested.get("names", {}).get("en") if isinstance(nested, dict) else nested
    return str(storable(name)) if isinstance(name, str) and name else None


def _asn(record: Mapping[str, Any]) -> int | None:
    number = record.get("autonomous_system_number", record.get("asn"))
    digits = str(number).removeprefix("AS")
    return int(digits) if digits.isdecimal() and len(digits) <= 10 else None  # noqa: PLR2004 - 32 bits


#: How each column is read from a record of a database.
READERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {"country": _country, "city": _city, "asn": _asn}


class Database:
    """An open database; the file may be replaced or overwritten meanwhile.

    It maps a copy of its own, without a name: a mapped file that someone truncates ends the whole process.

    Attributes:
        columns: those of READERS that it can fill.
    """

    def __init__(self, path: Path) -> None:
        """Open a database.

        Raises:
            ConfigurationError: the file is not there, is none, or is being written right now.
        """
        self._path = path
        try:
            self._reader = _opened(path)
            self.columns = tuple(_columns(self._reader))
        except (OSError, InvalidDatabaseError, ValueError) as error:
            raise self._refusal(error) from error
        if not self.columns:
            raise ConfigurationError(f"SLUICE_GEOIP: {path}: knows neither country, city nor network")

    def find(self, address: str) -> Mapping[str, Any]:
        """Return the record of an address, an empty one where there is none.

        Raises:
            ConfigurationError: the file is damaged.
        """
        try:
            found = self._reader.get(address)
        except InvalidDatabaseError as error:
            raise self._refusal(error) from error
        except ValueError:  # an IPv6 address, and the database has IPv4 only
            return {}
        return found if isinstance(found, dict) else {}

    def _refusal(self, error: Exception) -> ConfigurationError:
        why = error.strerror if isinstance(error, OSError) else error
        return ConfigurationError(f"SLUICE_GEOIP: {self._path}: no usable MaxMind database: {why}")


def _opened(path: Path) -> maxminddb.Reader:
    before = mark(path)
    with tempfile.NamedTemporaryFile(prefix="sluice-", suffix=".mmdb") as copy:
        with path.open("rb") as file:
            shutil.copyfileobj(file, copy, 1 << 20)
        copy.flush()
        if mark(path) != before:
            raise InvalidDatabaseError("it is being written: replace it by renaming")
        # Mapped by the extension in C, 30 times as fast as reading in Python; the name goes, the map stays.
        return maxminddb.open_database(copy.name)


def _columns(reader: maxminddb.Reader) -> list[str]:
    kind = reader.metadata().database_type.lower()
    sample = [record for _, record in islice(reader, SAMPLE_NETWORKS) if isinstance(record, dict)]
    return [
        name
        for name, read in READERS.items()
        if any(word in kind for word in _PROMISES[name]) or any(read(record) is not None for record in sample)
    ]
