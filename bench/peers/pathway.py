"""Pathway: a static file, a function of ours for each line, and its own writer into both tables.

Pathway is found by its program `pathway` on PATH, in a virtual environment of its own: its requirements are
many. That environment's Python runs `bench.peers.dataflow`.
"""

from pathlib import Path

from bench.nodes import ServiceMissing, program
from bench.peers.peer import Peer, Programs, Where

HINT = "not installed: pip install pathway, in an environment of its own, and its bin at the end of PATH"


def _programs(where: Where) -> Programs:
    try:
        python = Path(program("pathway", "")).parent / "python"
    except ServiceMissing as missing:
        raise ServiceMissing(HINT) from missing
    database = [where.database[name] for name in ("host", "port", "user", "name")]
    return Programs([], "", [str(python), "-m", "bench.peers.dataflow", str(where.log), *database])


PATHWAY = Peer("Pathway", 400_000, "a broker, persistence, a file that grows; 11 columns", _programs)
