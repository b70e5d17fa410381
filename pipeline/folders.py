"""Folders that hold what was in the log files: for the user of this process alone."""

from pathlib import Path

#: Mode of a folder that is made here.
PRIVATE_MODE = 0o700


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, each with mode 0700; what is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=PRIVATE_MODE, exist_ok=True)
    folder.mkdir(exist_ok=True)  # an error where something else has the name
