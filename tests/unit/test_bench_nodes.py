"""What a person is told, and left with, when a benchmark does not get on."""

import shutil
from pathlib import Path

import pytest

from bench.nodes import wait_until
from bench.servers import LOG_BYTES, scratch
from pipeline.errors import PipelineError


def test_a_wait_in_vain_says_for_what_and_where_the_logs_are(tmp_path: Path) -> None:
    """The error is one of ours, so that the command prints a sentence and no traceback."""
    with pytest.raises(PipelineError, match=rf"^waited 0 s in vain for godot \(logs: {tmp_path}\)$"):
        wait_until(lambda: False, "godot", 0.0, logs=tmp_path)


def test_a_wait_in_vain_says_what_there_was_instead() -> None:
    """What was seen last stands in the message."""
    with pytest.raises(PipelineError, match=r"^waited 0 s in vain for godot; instead: vladimir$"):
        wait_until(lambda: False, "godot", 0.0, seen=lambda: "vladimir")


def test_a_true_value_is_returned() -> None:
    """What the condition found is what the caller wanted."""
    assert wait_until(lambda: [7], "seven") == [7]


def fail_in_scratch() -> None:
    """Leave logs, a database and a large file behind."""
    with scratch() as folder:
        (folder / "state").mkdir()
        (folder / "state" / "lake.log").write_text("why")
        (folder / "state" / "sluice.db").write_text("rows")
        (folder / "sample.log").write_bytes(b"x" * (LOG_BYTES + 1))
        raise PipelineError(f"stopped ({folder})")


def test_logs_stay_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The folder that an error names is there to be read; what is large in it is not."""
    with pytest.raises(PipelineError, match="stopped") as stopped:
        fail_in_scratch()

    folder = Path(str(stopped.value).rpartition("(")[2].rstrip(")"))
    assert str(folder) in capsys.readouterr().err
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / "state" / "lake.log"]
    shutil.rmtree(folder)


def test_nothing_stays_otherwise() -> None:
    """A run that ended well, or was ended by a signal, leaves no file."""
    with scratch() as ended_well:
        (ended_well / "sample.log").touch()
    with pytest.raises(SystemExit), scratch() as ended_by_signal:
        raise SystemExit

    assert not ended_well.exists()
    assert not ended_by_signal.exists()
