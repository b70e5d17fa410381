"""The backups of a folder that hold erased lines."""

from pathlib import Path

from db.archive.container import Archive
from db.archive.ranges import Ranges, holds_any
from pipeline.errors import PipelineError


def backups_with(folder: Path, ranges: Ranges) -> list[dict[str, str]]:
    """Return path and reason of each backup in a folder that holds such lines, or that cannot be read."""
    found = []
    for path in sorted(path for path in folder.rglob("*.zip") if path.is_file()):
        try:
            with Archive(path) as archive:
                why = "holds the lines" if holds_any(archive, ranges) else ""
        except PipelineError as error:
            why = f"cannot be read ({error})"
        if why:
            found.append({"path": str(path), "why": why})
    return found
