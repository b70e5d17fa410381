"""What an alert says: the same facts as text for people and as JSON for programs, always inert."""

from collections.abc import Mapping
from typing import Any

from pipeline.detect.sighting import OVER
from pipeline.formats.redaction import redacted
from pipeline.logs import escape, json_line

#: Version of the JSON, raised when a key changes its meaning: since 2 a fact may be an end.
VERSION = 2
#: Longest text of one fact, in characters.
MOST_CHARACTERS = 500


def inert(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an alert with its texts cut, without secrets found in them or anything that could be obeyed.

    A summary may hold a URL: what is a secret by its name or form does not leave with it.
    """
    alerts = [
        {
            name: escape(value[:MOST_CHARACTERS]) if isinstance(value, str) else value
            for name, value in fact.items()
        }
        for fact in (each | {"summary": redacted(each["summary"])} for each in content["alerts"])
    ]
    return {**content, "host": escape(content["host"]), "alerts": alerts}


def title(content: Mapping[str, Any]) -> str:
    """Return what an inert alert is about in a line: the first and worst of its facts."""
    worst, others = content["alerts"][0], len(content["alerts"]) - 1 + content["more"]
    more = f", and {others} more" if others else ""
    return f"sluice on {content['host']}: {_named(worst)}{more}"


def text(content: Mapping[str, Any]) -> str:
    """Return an inert alert for people to read."""
    parts = [_paragraph(each) for each in content["alerts"]]
    if content["more"]:
        parts.append(f"and {content['more']} more")
    parts.append("python -m pipeline findings --open\npython -m pipeline drift")
    return "\n\n".join(parts) + "\n"


def body(content: Mapping[str, Any], alert_id: int) -> bytes:
    """Return an inert alert as a JSON object, ASCII; `text` is what chat programs show."""
    shown = f"{title(content)}\n{text(content)}"
    return json_line({"version": VERSION, "id": alert_id, "text": shown, **content}).encode()


def _paragraph(alert: Mapping[str, Any]) -> str:
    lines = [_named(alert)]
    if alert["path"] is not None:
        lines.append(f"  source   {alert['source_id']}, {alert['path']}")
    lines.append(f"  since    {alert['since']}")
    if alert.get("until"):
        lines.append(f"  over     {alert['until']}")
    lines.append(f"  {alert['summary']}")
    return "\n".join(lines)


def _named(alert: Mapping[str, Any]) -> str:
    # Alerts that wait since an older version say nothing of events.
    event = "over: " if alert.get("event") == OVER else ""
    return f"{event}{alert['severity']}: {alert['rule']}, {alert['subject']}"
