"""The engine refuses what would lose lines, and says so without a secret."""

import sqlite3
from pathlib import Path

import pytest

from db.engine import make_engine
from db.models import CleanRecord
from db.sqlite import refuse_network
from pipeline.errors import ConfigurationError
from pipeline.formats.base import COLUMNS

MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:30 / /srv/my\\040share rw shared:20 - nfs4 server:/export rw
41 40 0:31 / /srv/my\\040share/local rw - ext4 /dev/vdb rw
"""


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@h/d", "postgresql//u:secret@h", "u:secret", "sqlite://", "sqlite:///:memory:"]
)
def test_unusable_urls_are_refused(url: str) -> None:
    """A URL that cannot work is refused by the variable's name, without its password."""
    with pytest.raises(ConfigurationError, match="DATABASE_URL") as caught:
        make_engine(url)

    assert "secret" not in str(caught.value)


def test_a_sqlite_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library without RETURNING is refused and nothing is written; the first with it is taken."""
    path = tmp_path / "sluice.db"
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    with pytest.raises(ConfigurationError, match=r"SQLite 3\.35 or newer .* uses 3\.34\.1"):
        make_engine(f"sqlite:///{path}")

    assert not path.exists()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 35, 0))
    make_engine(f"sqlite:///{path}").dispose()


def test_network_file_systems_are_refused(tmp_path: Path) -> None:
    """SQLite on NFS is refused by name; a local file system mounted inside it is not."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)

    with pytest.raises(ConfigurationError, match="nfs4"):
        refuse_network(Path("/srv/my share/sluice.db"), mounts)
    refuse_network(Path("/srv/my share/local/sluice.db"), mounts)
    refuse_network(Path("/var/lib/sluice.db"), mounts)


def test_mounts_that_cannot_be_read_refuse_nothing(tmp_path: Path) -> None:
    """Where the system has no list of mounts every folder is taken."""
    refuse_network(tmp_path / "sluice.db", tmp_path / "missing")


def test_clean_records_have_the_columns_of_the_formats() -> None:
    """The table has a column for each field that a format may fill, and beside them its place and lane."""
    columns = {column.name for column in CleanRecord.__table__.columns}

    assert {"source_id", "stored_on", "line_start", "lane", "format_id", *COLUMNS} == columns
