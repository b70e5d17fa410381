"""The fixtures of the fault suite."""

from tests.faults.conftest import new_place, postgres, rabbit, standing, system, unfinished, writer

__all__ = ["new_place", "postgres", "rabbit", "standing", "system", "unfinished", "writer"]
