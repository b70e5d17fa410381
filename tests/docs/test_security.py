"""docs/security.md claims what tests show, and nothing else."""

import re
from pathlib import Path

import pytest

from db.roles import ROLES
from pipeline.connections import SECRETS
from pipeline.permissions import Role

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()
#: The lines of the checklist: number, and what shows it.
CHECKLIST = dict(re.findall(r"^\| (S\d+) \| [^|]+ \| ([^|]+) \|$", TEXT, re.MULTILINE))


def test_every_control_has_its_line() -> None:
    """The checklist is whole, in order."""
    assert list(CHECKLIST) == [f"S{number}" for number in range(1, 26)]


@pytest.mark.parametrize("control", CHECKLIST)
def test_a_claim_names_its_test_or_says_that_it_is_not_done(control: str) -> None:
    """A line names at least one test or module of tests that is there; or it begins with what is missing."""
    named = re.findall(r"`((?:tests/|test_)[\w/.]+)`", CHECKLIST[control])
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    assert named or re.match(r"not done|in part", CHECKLIST[control])
    for name in named:
        assert (ROOT / name).is_file() if "/" in name else f"def {name}(" in sources, name


def test_every_role_and_secret_is_explained() -> None:
    """Each role's file and each secret is named where the page tells how to set them up."""
    files = [f"`broker-url-{role.value}`" for role in Role if role is not Role.ADMIN]
    files += [f"`database-url-{role}`" for role in ROLES]

    assert not [name for name in (*files, *(f"`{name}`" for name in SECRETS)) if name not in TEXT]
