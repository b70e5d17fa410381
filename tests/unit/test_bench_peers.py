"""Peers: found where they are installed, named where they are not, and held to the rows they should store."""

from pathlib import Path

import pytest

from bench.figures import Run
from bench.meter import Usage
from bench.nodes import ServiceMissing
from bench.peers import contest, fields, pathway
from bench.peers.pathway import PATHWAY
from bench.peers.peer import Where, unpacked
from bench.peers.rsyslog import RSYSLOG
from bench.peers.tables import PeerClean, Stored
from bench.peers.trial import Entry, difference
from bench.sides import Sample
from pipeline.generate import generate_lines

#: A daemon that no machine has.
DAEMON = "sluice-peer-daemon"


def where(folder: Path) -> Where:
    """Return a place for a peer."""
    return Where("amqp://b", "postgresql://u@h:5/d", folder / "a.log", folder)


def unpack(folder: Path, *modules: str) -> Path:
    """Make a package of the daemon as `dpkg -x` leaves it; return the folder of its modules."""
    (folder / "usr/sbin").mkdir(parents=True)
    (folder / "usr/sbin" / DAEMON).touch(0o755)
    path = folder / "usr/lib/x/modules"
    path.mkdir(parents=True)
    for module in modules:
        (path / f"{module}.so").touch()
    return path


def test_fields_are_those_of_the_table() -> None:
    """Generated lines parse, and the names are columns."""
    for line in generate_lines(200, seed=3):
        named = dict(zip(fields.NAMES, fields.split(line.decode().rstrip("\n")), strict=True))
        assert isinstance(named["status"], int)
        assert isinstance(named["size"], int)
    assert set(fields.NAMES) < set(PeerClean.__table__.columns.keys())


def test_a_daemon_is_found_where_it_was_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package need not be installed: its program on PATH is enough, and its own modules are taken."""
    modules = unpack(tmp_path, "in", "out")
    monkeypatch.setenv("PATH", str(tmp_path / "usr/sbin"))

    found = unpacked(DAEMON, "usr/lib/*/modules", ("in", "out"), "peer-package")

    assert found == (tmp_path / "usr/sbin" / DAEMON, modules)


def test_a_missing_daemon_or_module_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are no failure but a sentence with the command."""
    with pytest.raises(ServiceMissing, match=r"^not installed: apt-get install peer-package$"):
        unpacked(DAEMON, "usr/lib/*/modules", (), "peer-package")

    unpack(tmp_path, "in")
    monkeypatch.setenv("PATH", str(tmp_path / "usr/sbin"))
    with pytest.raises(ServiceMissing, match=r"install peer-package \(.* is there, but not in, out\)$"):
        unpacked(DAEMON, "usr/lib/*/modules", ("in", "out"), "peer-package")


def test_pathway_is_found_by_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python beside the program `pathway` runs the peer; without it the report says how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceMissing) as missing:
        PATHWAY.programs(where(tmp_path))
    (tmp_path / "pathway").touch(0o755)

    assert str(missing.value) == pathway.HINT
    assert PATHWAY.programs(where(tmp_path)).sends[0] == str(tmp_path / "python")


def test_a_place_names_the_database_in_parts(tmp_path: Path) -> None:
    """Daemons take host, port, user and name one by one."""
    assert where(tmp_path).database == {"host": "h", "port": "5", "user": "u", "name": "d"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Stored(10, 10, 90), ""),
        (Stored(9, 10, 81), "raw holds 9 rows of 10 lines"),
        (Stored(10, 12, 90), "clean holds 12 rows of 10 lines"),
        (Stored(10, 10, 89), "raw holds 89 bytes of 90"),
    ],
)
def test_rows_that_are_lost_doubled_or_changed_are_told(found: Stored, said: str) -> None:
    """A peer counts as complete only with each line once in both tables, byte for byte in one."""
    assert difference(found, Sample(Path("ten.log"), 10, 100)) == said


def test_the_report_tells_what_was_not_measured_and_what_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """A peer that is not installed has a row with a sentence; one that lost rows has a note."""
    run = Run(500, 10.0, Usage({"send": 1.0}))
    entries = [Entry(PATHWAY, None, "not installed: pip"), Entry(RSYSLOG, run, "raw holds 499 rows")]

    report = contest._report(entries, Run(1000, 1.0, Usage({"clean": 0.1})))
    report.show(as_json=False)

    out = capsys.readouterr().out
    assert report.values["lines_per_second"] == {"rsyslog": 50, "pipeline": 1000}
    assert report.rows[1][1:5] == [500, 50, 20.0, 2000.0]
    assert "rsyslog: raw holds 499 rows" in out
    assert any(
        line.startswith("Pathway") and line.endswith("not installed: pip") for line in out.splitlines()
    )
