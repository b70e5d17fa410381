"""Makefile, continuous integration, requirements and their documents say the same."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
#: What a change must pass, wherever it is checked.
CHECKS = {"lint", "types", "test", "faults"}


def text(name: str) -> str:
    """Return the text of a file of the project."""
    return (ROOT / name).read_text()


def targets() -> set[str]:
    """Return the targets of the Makefile that people call."""
    return set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))


def called(source: str) -> set[str]:
    """Return the targets that a text calls with make at the start of a command."""
    return {
        target
        for words in re.findall(r"^\s*(?:- run: )?make ([a-z ]+)", source, re.MULTILINE)
        for target in words.split()
    }


def packages(source: str) -> set[str]:
    """Return the lower-case names of the packages that a requirements text lists."""
    return {name.lower() for name in re.findall(r"^([A-Za-z][\w.-]*)", source, re.MULTILINE)}


def test_every_target_says_what_it_does() -> None:
    """`make` alone lists each target with a line about it, and none is mistaken for a file."""
    explained = set(re.findall(r"^([a-z]+):.*## \S", text("Makefile"), re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY: (.*)$", text("Makefile"), re.MULTILINE)[0].split())

    assert targets() == explained == phony


@pytest.mark.parametrize("source", [".ci/run", ".github/workflows/checks.yml"])
def test_machines_call_the_same_targets_as_people(source: str) -> None:
    """Continuous integration runs every check through make, and no target that is not there."""
    assert CHECKS <= called(text(source)) <= targets()


def test_contributing_names_real_targets() -> None:
    """Each `make …` that the document tells people to run exists."""
    named = {
        target
        for words in re.findall(r"`make ([a-z ]+)`", text("CONTRIBUTING.md"))
        for target in words.split()
    }

    assert named
    assert named <= targets()


def test_a_branch_rule_needs_one_name() -> None:
    """The last job of the workflow waits for all others and fails with any of them."""
    jobs = yaml.safe_load(text(".github/workflows/checks.yml"))["jobs"]
    last = jobs["passed"]

    assert jobs.keys() - {"passed"} == set(last["needs"])
    assert last["steps"][0]["run"].count("success") == len(last["needs"])


def test_every_library_has_its_reason() -> None:
    """docs/decisions.md says why each required library is there, and names none that is gone."""
    table = set(re.findall(r"^\| ([A-Za-z][\w, -]*) \|", text("docs/decisions.md"), re.MULTILINE))
    reasoned = {name.lower() for cell in table for name in cell.split(", ")} - {"library"}

    assert packages(text("requirements.txt")) | packages(text("requirements-dev.txt")) == reasoned


def test_every_library_has_a_tested_version() -> None:
    """constraints.txt holds one exact version for each required library."""
    pinned = {name.lower() for name in re.findall(r"^([\w.-]+)==\S+$", text("constraints.txt"), re.MULTILINE)}

    assert packages(text("requirements.txt")) | packages(text("requirements-dev.txt")) <= pinned


#: A package of a lock: name, version, where it applies, and the first of its hashes.
LOCKED = re.compile(
    r"^([\w.-]+)==([^\s;]+)(?:\s*;[^\\]*)?\s*\\\n    --hash=sha256:[0-9a-f]{64}", re.MULTILINE
)


def spelt(name: str) -> str:
    """Return the name of a package as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_locks_hold_the_tested_versions(name: str) -> None:
    """Each lock has every library of its ranges, as the constraints say, with hashes: else `make lock`."""
    locked = {spelt(package): version for package, version in LOCKED.findall(text(f"{name}.lock"))}
    named = packages(text("requirements.txt")) | packages(text(f"{name}.txt"))
    tested = re.findall(r"^([\w.-]+)==(\S+)$", text("constraints.txt"), re.MULTILINE)

    assert set(map(spelt, named)) <= locked.keys()
    assert len(locked) == len(re.findall(r"^[\w.-]+==", text(f"{name}.lock"), re.MULTILINE))
    assert {locked.get(spelt(package), version) == version for package, version in tested} == {True}


@pytest.mark.parametrize("source", [".ci/venv", "Dockerfile"])
def test_what_is_installed_is_hashed(source: str) -> None:
    """People, machines and the image install from a lock, and pip refuses a file that is not in it."""
    assert "--require-hashes" in text(source)
    assert "requirements.txt" not in text(source)


def test_markers_keep_the_long_suites_apart() -> None:
    """`make test` leaves out exactly the markers that have targets of their own."""
    options = tomllib.loads(text("pyproject.toml"))["tool"]["pytest"]["ini_options"]
    markers = {line.split(":")[0] for line in options["markers"]}
    left_out = set(re.findall(r"not (\w+)", text("Makefile")))

    assert markers == left_out
    assert markers <= targets()


def test_contributing_is_short_and_opens_with_the_rule() -> None:
    """The document is read: at most sixty lines, the rule first."""
    lines = text("CONTRIBUTING.md").splitlines()

    assert len(lines) <= 60
    assert lines[2].startswith("**TL;DR")
