"""What the figures were measured on."""

import os
import platform
import sqlite3
from pathlib import Path

import psutil

from pipeline import scanner


def describe() -> dict[str, str | int | float]:
    """Return processor, cores, memory and the versions that figures depend on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30), 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "inner_loops": "compiled" if scanner.library() else "in Python",
        "sqlite": sqlite3.sqlite_version,
    }


def line() -> str:
    """Return the description in one line."""
    shown = "{processor}, {cores} cores, {memory_gib} GiB, {system}, Python {python}, loops {inner_loops}"
    return shown.format(**describe())


def _processor() -> str:
    for text in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = text.partition(":")
        if name.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return platform.machine()
