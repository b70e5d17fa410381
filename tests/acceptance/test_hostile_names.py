"""File names and lines that look like paths and commands: they are stored, and nothing is done with them."""

import re
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation, proven

pytestmark = pytest.mark.slow

#: Names of files that somebody hopes will be joined to a folder, run, formatted or shown.
NAMES = (
    "x%2f..%2f..%2fx.log", "$(touch owned).log", "`touch owned`.log", "a;touch owned.log",
    "{0.__class__}.log", "line\nfeed.log", "\x1b]0;t\x07.log", "\udcff\udcfe.log", "-rf.log", "%s%n.log",
    "'; DROP TABLE raw_logs;--.log",
)  # fmt: skip
#: What a line puts where a host, a user, a path, a user agent stand.
PARTS = ("../../owned", "/etc/owned", "owned\\..\\..", "%2e%2e/owned", "file:///owned", "..\x2f\x00owned")


def line(part: str) -> bytes:
    """Return a line of the proxy's format with this in every field that may hold it."""
    request = f"GET http://{part}/{part}?{part} HTTP/1.1"
    text = f'192.0.2.1 {part} {part} [01/Mar/2023:00:00:09 +0000] "{request}" 200 1 -\n'
    return text.encode()


def made(folder: Path) -> set[str]:
    """Return the files below a folder, numbers of processes and messages taken out of their names."""
    return {
        re.sub(r"[0-9a-f]{6,}|\d+", "N", str(path.relative_to(folder)))
        for path in folder.rglob("*")
        if path.is_file() and "logs/" not in str(path)
    }


@pytest.mark.timeout(180)
def test_no_name_or_line_becomes_a_path(tmp_path: Path) -> None:
    """A run over hostile names and lines makes the same files as over harmless ones, and stores it all."""
    files = {}
    for kind in ("harmless", "hostile"):
        installation = Installation(tmp_path / kind)
        logs = installation.folder / "logs"
        logs.mkdir(parents=True)
        names = NAMES if kind == "hostile" else [f"{number}.log" for number in range(len(NAMES))]
        for name in names:
            lines = [line(part if kind == "hostile" else "harmless") for part in PARTS]
            (logs / name).write_bytes(b"".join(lines) + name.encode(errors="surrogateescape") + b"\n")
        count = sum((logs / name).read_bytes().count(b"\n") for name in names)

        assert proven(installation.answer("run", "--once", logs), count)
        assert installation.answer("backup", installation.folder / "kept.backup")

        files[kind] = made(installation.folder)
    assert files["hostile"] == files["harmless"]
    assert not [path for path in tmp_path.rglob("*owned*") if "touch" not in path.name]
