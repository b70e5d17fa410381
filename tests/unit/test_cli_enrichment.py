"""What the commands say of the enrichment's settings, before anything runs."""

import json
from pathlib import Path

import pytest

from pipeline.cli.main import FAILED, OK, USAGE, main
from tests.mmdb import ASN, CITY, write_database


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "var"))


def test_check_names_the_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a database of cities and networks `check` shows that both are filled."""
    monkeypatch.setenv("SLUICE_GEOIP", str(write_database(tmp_path / "g.mmdb", {"1.2.3.0/24": CITY | ASN})))

    assert main(["check", "--json"]) == OK

    (found,) = (c for c in json.loads(capsys.readouterr().out)["checks"] if c["name"] == "enrichment")
    assert found["message"] == "asn, browser, city, country, device, ip_scope, is_bot, os"


def test_check_names_line_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table with an error fails the check, with the place of it."""
    (tmp_path / "ip.csv").write_text("ip,team\n1.2.3.4\n")
    monkeypatch.setenv("SLUICE_LOOKUPS", str(tmp_path))

    assert main(["check"]) == FAILED

    assert "ip.csv:2: 1 cells" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["run", "--once"], ["run"]])
def test_run_does_not_start_without_its_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    """A missing database ends `run` at once, where a pool would wait for it without limit."""
    (tmp_path / "a.log").touch()
    monkeypatch.setenv("SLUICE_GEOIP", "/none/g.mmdb")

    assert main([*arguments, str(tmp_path / "a.log")]) == USAGE

    assert "SLUICE_GEOIP: /none/g.mmdb" in capsys.readouterr().err
