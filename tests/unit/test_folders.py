"""Folders for the user of this process alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.batch import Batch, Source
from pipeline.cli.main import OK, main
from pipeline.folders import make_private
from pipeline.publish import Publisher
from pipeline.settings import Settings


@pytest.fixture(autouse=True)
def _open_mask() -> Iterator[None]:
    # The mask of somebody careless: what is private must not depend on it.
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Return the permission bits of a path."""
    return path.stat().st_mode & 0o777


def test_every_missing_folder_is_private(tmp_path: Path) -> None:
    """A folder and those above it that are made get mode 0700; one that is there keeps its own."""
    (tmp_path / "there").mkdir(0o755)
    for _ in range(2):
        make_private(tmp_path / "there" / "a" / "b")

    assert [mode(tmp_path / path) for path in ("there", "there/a", "there/a/b")] == [0o755, 0o700, 0o700]


def test_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    """A file of that name is not passed over."""
    (tmp_path / "file").touch()

    with pytest.raises(FileExistsError):
        make_private(tmp_path / "file")


def test_the_state_folder_is_private_whoever_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broker, checkpoint and migration each make a folder that nobody else may enter."""
    settings = Settings.from_environment(state_dir=tmp_path / "broker")
    with Publisher(settings) as publisher:
        publisher.publish(Batch(Source("ab" * 16, "h", "/a.log"), 0, b"line\n"))
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "migration"))
    assert main(["migrate"]) == OK

    assert {path.name: mode(path) for path in tmp_path.iterdir()} == {"broker": 0o700, "migration": 0o700}
