"""The compiled loops themselves: no warning, no memory but their own, found by the name of their source."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from pipeline import scanner

ROOT = Path(__file__).parents[2]
BLOCKS = 400
CHECKED = ("-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsanitize=address,undefined")


def _copy_script(folder: Path) -> None:
    for part in (".ci/scanner", "pipeline/scan.c"):
        (folder / part).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / part, folder / part)


def test_no_line_makes_them_touch_memory_of_others(
    tmp_path: Path, required: Callable[[str], NoReturn]
) -> None:
    """Broken lines, blocks that end where their memory ends, dictionaries that are soon full."""
    if not shutil.which("cc"):
        required("C compiler")
    library = str(tmp_path / "scan.so")
    command = ["cc", "-std=c11", "-shared", "-fPIC", "-fno-sanitize-recover=all", *CHECKED, "-o", library]
    subprocess.run([*command, scanner.SOURCE], check=True)
    # What is loaded first, so that it sees every allocation; each of the interpreter's is one of its own.
    names = ("libasan.so", "libstdc++.so.6")
    preloaded = [
        subprocess.check_output(["cc", f"-print-file-name={name}"], text=True).strip() for name in names
    ]
    checked = {"LD_PRELOAD": ":".join(preloaded), "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}

    scanned = subprocess.run(
        [sys.executable, "-m", "tests.unit.formats.scanned", library, str(BLOCKS)],
        cwd=ROOT, env={**os.environ, **checked}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert scanned.returncode == 0, scanned.stderr[-3000:]


def test_an_old_library_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compiled from another source has another name."""
    before = scanner.place()
    monkeypatch.setattr(scanner, "SOURCE", tmp_path / "scan.c")
    scanner.SOURCE.write_bytes(b"int other;\n")

    assert scanner.place().name != before.name


@pytest.mark.usefixtures("compiled")
def test_the_script_makes_what_is_loaded(tmp_path: Path) -> None:
    """It names the library as the module looks for it, and says so where there is no compiler."""
    _copy_script(tmp_path)

    def make(**environment: str) -> str:
        command = ["sh", str(tmp_path / ".ci/scanner")]
        return subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
        ).stderr

    assert "No C compiler" in make(CC="no-such-compiler")
    assert "do not compile" in make(CC="false")
    assert not list((tmp_path / "pipeline").glob("*.so*"))
    assert make(CC="cc -O1") == make() == ""
    assert [scanner.place().name] == [path.name for path in (tmp_path / "pipeline").glob("*.so*")]


@pytest.mark.usefixtures("compiled")
def test_the_script_needs_no_sha256sum(tmp_path: Path) -> None:
    """As on macOS, which may have `shasum` alone; without both it says so."""
    _copy_script(tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "cut", "dirname", "rm", "mv", "cc", "as", "ld"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)

    def make() -> str:
        command = ["sh", str(tmp_path / ".ci/scanner")]
        environment = {**os.environ, "PATH": str(tools)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr

    assert "No sha256sum" in make()
    (tools / "shasum").write_text(f'#!/bin/sh\nshift 2; exec {shutil.which("sha256sum")} "$@"\n')
    (tools / "shasum").chmod(0o700)
    assert make() == ""
    assert [scanner.place().name] == [path.name for path in (tmp_path / "pipeline").glob("*.so*")]
