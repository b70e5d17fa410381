"""Hostile texts through the whole pipeline: inert on every screen, in every report and every export."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.export.text import FORMULA_STARTS, GUARD, unguarded
from tests import payloads
from tests.acceptance.installation import Installation, proven
from tests.markup import Reader, read

pytestmark = pytest.mark.slow

PAYLOADS = [*payloads.XSS, *payloads.SPREADSHEET, *payloads.TERMINAL]
DAY = ("--since", "2026-03-01", "--until", "2026-03-02")
ALL_REJECTED = ("rejected", "--lines", "", "--limit", "1000")
SCREENS: tuple[tuple[str, ...], ...] = (
    ("status",), ("audit", "--deep"), ("rejected",), ALL_REJECTED, ("findings",), ("drift",),
    ("access", "--user", "ann"), ("access", "--resource", "/*"), ("access", "--user", "ann", "--summary"),
    ("ask", "top_paths", "--limit", "1000", *DAY), ("dead", "list"), ("conflicts", "list"),
    ("report", *DAY, "--format", "md", "--output", "-"),
)  # fmt: skip


def written(text: str) -> bytes:
    """Return a text as a web server writes it into a quoted field: no bare quote, no newline."""
    return text.encode(errors="surrogateescape").replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def log_of(words: list[str]) -> bytes:
    """Return for each word a record with it in path, referer and agent, and a line that is no record."""
    record = b'192.0.2.7 - ann [01/Mar/2026:10:00:%02d +0000] "GET /%b HTTP/1.1" 404 12 "%b" "%b"\n'
    records = (record % (n % 60, *(written(word),) * 3) for n, word in enumerate(words))
    return b"".join((*records, *(word.encode(errors="surrogateescape") + b"\n" for word in words)))


def ran(folder: Path, words: list[str]) -> Installation:
    """Return an installation that has stored a log of these words."""
    installation = Installation(folder)
    folder.mkdir()
    log = log_of(words)
    (folder / "access.log").write_bytes(log)
    summary = installation.answer("run", "--once", folder / "access.log")
    assert proven(summary, log.count(b"\n"))
    assert summary["clean"] >= len(words)
    return installation


def output(installation: Installation, *arguments: str) -> bytes:
    """Return what a command says, on both streams."""
    command = [sys.executable, "-m", "pipeline", *arguments]
    done = subprocess.run(
        command, env=installation.environment, capture_output=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation that has stored every payload."""
    return ran(tmp_path_factory.mktemp("payloads") / "hostile", PAYLOADS)


def test_no_screen_shows_what_a_terminal_obeys(hostile: Installation) -> None:
    """Of every command that shows lines, names or reasons, nothing is more than text."""
    shown = {screen: output(hostile, *screen).decode() for screen in SCREENS}

    for screen, text in shown.items():
        # Lines end with a newline, columns of `access` with a tab; one of a payload would make a column more.
        assert not payloads.HARMFUL.search(re.sub(r"[\n\t]", "", text)), screen
        assert len({line.count("\t") for line in text.splitlines() if "\t" in line}) <= 1, screen
    assert r"\x1b]52;c;" in shown[ALL_REJECTED]
    assert "onload" in shown["access", "--user", "ann"]


@pytest.mark.parametrize(
    "command", [("export", "clean"), ("export", "lake"), ("access", "--user", "ann", "--csv")], ids=" ".join
)
def test_no_cell_of_a_table_is_computed(hostile: Installation, command: tuple[str, ...]) -> None:
    """No cell begins as a formula does, in any export to CSV; the texts come back whole."""
    text = output(hostile, *command).decode()

    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]

    assert not [cell for cell in cells if cell[:1] in FORMULA_STARTS - {GUARD} and cell]
    guarded = {unguarded(cell) for cell in cells if cell.startswith(GUARD)}
    assert {word for word in payloads.SPREADSHEET if word[0] in "=@+" and '"' not in word} <= guarded


def test_a_line_of_json_is_one_object(hostile: Installation) -> None:
    """Every record is one line, and nothing in it ends the line."""
    text = output(hostile, "export", "clean", "--format", "jsonl").decode()

    agents = {json.loads(line)["user_agent"] for line in text.split("\n")[:-1]}

    assert {word for word in payloads.XSS if not set(word) & set('"\\')} <= agents


def test_a_report_has_no_element_of_a_payload(hostile: Installation, tmp_path: Path) -> None:
    """The report over hostile lines is made of the same elements and attributes as one over harmless ones."""
    harmless = ran(tmp_path / "harmless", [f"word{number}" for number in range(len(PAYLOADS))])
    pages: list[Reader] = []
    for installation in (harmless, hostile):
        path = installation.folder / "report.html"
        output(installation, "report", *DAY, "--output", str(path))
        pages.append(read(path.read_bytes()))

    assert pages[1].elements == pages[0].elements
    assert pages[1].attributes == pages[0].attributes
    assert "alert(1)>" in "".join(pages[1].texts)
