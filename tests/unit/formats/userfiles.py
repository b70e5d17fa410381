"""Format files of users, as the tests write them."""

from pathlib import Path

LINE = b"2026-11-24 12:00:00 [a] INFO x=1"
PATTERN = "pattern = '''{time:time} \\[{bracketed:program}\\] {level:level} x={integer:x}'''\n"


def written(folder: Path, body: str = PATTERN, **changed: str) -> Path:
    """Write a file with these lines and what every file has; `changed` replaces the value of a key."""
    keys = {"name": "'mine'", "version": "1", "description": "'d'", "example": f"'{LINE.decode()}'"} | changed
    path = folder / "mine.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in keys.items() if value) + body)
    return path
