"""Which format twenty lines are of, how sure that is, and what is of none."""

import random
from itertools import cycle, islice
from pathlib import Path

import pytest
import yaml

from pipeline.errors import ConfigurationError
from pipeline.formats import FORMATS, detect, get_format, scores, w3c
from pipeline.formats.base import Format
from pipeline.formats.detection import recognised
from tests.unit.formats.lines import COMBINED_LINE, COMMON_LINE, record

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "data" / "formats"
LINES = 20
#: How far ahead of the next format the right one must be.
MARGIN = 0.5
#: Columns of records that are none by themselves or not whole.
BROKEN = {"failed_fields", "continues"}


def whole_lines(name: str) -> list[bytes]:
    """Return the lines of the corpus that are whole records of a format."""
    entries = yaml.safe_load((CORPUS / f"{name}.yaml").read_text())
    return [
        entry["line"].encode()
        for entry in entries
        if BROKEN.isdisjoint(entry.get("record", BROKEN)) and "line" in entry and entry["line"].strip()
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_told_from_twenty_lines(name: str) -> None:
    """Twenty different or repeated lines of a format are recognised as it, well ahead of any other."""
    block = b"\n".join(islice(cycle(whole_lines(name)), LINES))

    found = recognised(scores(block))

    assert found is not None
    assert (found.format.name, found.share) == (name, 1)
    assert found.margin >= MARGIN


@pytest.mark.parametrize("name", FORMATS)
def test_noise_does_not_hide_a_format(name: str) -> None:
    """With a third of its lines broken or foreign a format is still recognised, and is less sure."""
    noise = [
        b"",
        b"noise",
        b"\x16\x03\x01",
        b"Traceback (most recent call last):",
        b'  File "a.py"',
        b"\tat a.b(C.java:1)",
    ]
    lines = [*islice(cycle(whole_lines(name)), 14), *noise]
    random.Random(5).shuffle(lines)

    found = recognised(scores(b"\n".join(lines)))

    assert found is not None
    assert found.format.name == name
    assert found.share < 1


PROSE = b"""It was the first day of the year, and the log of the ship said nothing but the weather.
The captain wrote: "wind from the north, 12 knots", and closed the book [it was a thin one].
At 10:05:03 on 17/May/2015 a bell rang - twice - and everybody looked up.
"""
OTHERS: dict[str, bytes] = {
    "prose": PROSE * 7,
    "numbers": b"".join(b"%d %d %d\n" % (n, n * n, n**3) for n in range(LINES)),
    "csv": b"time,client,status\n" + b"2015-05-17,203.0.113.9,200\n" * LINES,
    "markup": b"<event time='2015-05-17T10:05:03Z'>\n <client>203.0.113.9</client>\n</event>\n" * 7,
    "passwords": b"root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n" * 10,
    "files": b"-rw-r--r-- 1 root root 2369790 May 17 10:05 access.log\n" * LINES,
    "addresses": b"203.0.113.9 - - host.example.net\n" * LINES,
    "times": b"[17/May/2015:10:05:03 +0000]\n[Wed Oct 11 14:32:52 2000]\n2015/05/17 10:05:03\n" * 7,
    "times that are none": COMBINED_LINE.replace(b"17/May", b"31/Feb") * LINES,
    "comments": b"# a comment\n" * LINES,
    "blanks": b" \n\t\n\n" * LINES,
    "bytes": random.Random(7).randbytes(4000),
    "letters": bytes(random.Random(8).choices(b"abcdefgh \n", k=4000)),
    "this code": Path(__file__).read_bytes(),
    "this readme": (ROOT / "README.md").read_bytes(),
    "half": COMBINED_LINE[: len(COMBINED_LINE) // 2] + b"\n",
}


@pytest.mark.parametrize("block", OTHERS.values(), ids=OTHERS)
def test_what_is_no_log_is_of_no_format(block: bytes) -> None:
    """Texts, tables, code and random bytes are recognised as nothing rather than as something."""
    assert detect(block) is None
    assert recognised(scores(block)) is None


@pytest.mark.parametrize("special", ["vhost_combined", "nginx_main", "nginx_timed", "combined_duration"])
def test_the_special_format_wins(special: str) -> None:
    """A line that a general format could read as well counts for the special one."""
    shares = scores(get_format(special).example)

    assert {format_.name: share for format_, share in shares.items() if share} == {special: 1}


def test_confidence_is_share_and_margin() -> None:
    """A mixed sample tells how many lines are the best format's, and how far ahead it is."""
    found = recognised(scores((COMBINED_LINE + b"\n") * 12 + (COMMON_LINE + b"\n") * 5 + b"noise\n" * 3))

    assert found is not None
    assert (found.format.name, found.share, round(found.margin, 9)) == ("combined", 0.6, 0.35)


FIELDS = b"#Software: x\r\n#Fields: date time c-ip cs-method cs-uri sc-status time-taken\r\n"
ROW = b"2015-05-17\t10:05:03\t203.0.113.9\tGET\t/a?b=1\t200\t0.250\r\n"


def declared(block: bytes) -> Format:
    """Return the format that is recognised, which is none of the built-in ones."""
    found = detect(block)
    assert found is not None
    assert found.name not in FORMATS
    return found


def test_a_fields_line_makes_a_format() -> None:
    """What #Fields declares is recognised, separated by blanks or tabs, and its name makes it again."""
    spaced, tabbed = declared(FIELDS + ROW.replace(b"\t", b" ")), declared(FIELDS + ROW * LINES)

    fields = "date,time,c-ip,cs-method,cs-uri,sc-status,time-taken"
    assert (spaced.name, tabbed.name) == (f"w3c:{fields}", f"w3c-tabs:{fields}")
    assert get_format(tabbed.name) is tabbed
    columns = record(tabbed, ROW[:-1])
    assert (columns["path"], columns["query"], columns["duration_seconds"]) == ("/a", "b=1", 0.25)
    # The first lines of a new file are its header alone.
    assert declared(FIELDS).name == spaced.name


def test_the_default_fields_of_iis_are_built_in() -> None:
    """A Fields line with the default of IIS is the built-in format, not one more."""
    header = b"#Fields: " + " ".join(w3c.IIS_FIELDS).encode() + b"\n"

    assert detect(header) is get_format("w3c")
    assert detect(header + get_format("w3c").example) is get_format("w3c")


@pytest.mark.parametrize(
    "header",
    [
        b"#Fields:\n",
        b"#Fields: c-ip\n",
        b"#Fields: date time a,b\n",
        b"#Fields: date time \xff\n",
        b"#fields: date time\n",
        b"#Fields: date time " + b"x " * 200 + b"\n",
        b"#Fields: date time " + b"y" * 99 + b"\n",
    ],
)
def test_a_fields_line_that_is_none_declares_nothing(header: bytes) -> None:
    """Fields without a time, too many, or with names that are none, make no format and no error."""
    assert w3c.declared(header) is None
    assert detect(header + b"noise\n") is None


@pytest.mark.parametrize("name", ["w3c:", "w3c:c-ip", "w3c-tabs:date", "w3c:date"])
def test_a_name_that_makes_no_format_is_refused(name: str) -> None:
    """A name of W3C fields without date and time says what is missing."""
    with pytest.raises(ConfigurationError, match="date and time are needed"):
        get_format(name)
