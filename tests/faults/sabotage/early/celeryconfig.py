"""The product's settings, but a batch is acknowledged before it is stored."""

from pathlib import Path
from runpy import run_path

_true = run_path(str(Path(__file__).parents[4] / "celeryconfig.py"))
globals().update({name: value for name, value in _true.items() if not name.startswith("_")})
task_acks_late = False
task_reject_on_worker_lost = False
