"""The program of the peer Pathway, run by a Python that has it; ends when the log is stored.

python -m bench.peers.dataflow LOG HOST PORT USER DATABASE
"""

import sys

import pathway

from bench.peers import fields


def main(log: str, host: str, port: str, user: str, database: str) -> None:
    """Store the lines of a log as they are, and parsed."""
    settings = {"host": host, "port": port, "user": user, "dbname": database}
    lines = pathway.io.fs.read(log, format="plaintext", mode="static")
    pathway.io.postgres.write(lines.select(line=pathway.this.data), settings, "peer_raw")
    parsed = lines.select(found=pathway.udf(fields.split)(pathway.this.data))
    columns = {name: pathway.this.found[number] for number, name in enumerate(fields.NAMES)}
    columns["timestamp"] = columns["timestamp"].dt.strptime(fields.TIME, contains_timezone=True)
    pathway.io.postgres.write(parsed.select(**columns), settings, "peer_clean")
    pathway.run(monitoring_level=pathway.MonitoringLevel.NONE)


if __name__ == "__main__":
    main(*sys.argv[1:])
