"""The command `ask`, on the embedded database."""

import pytest
from sqlalchemy import Engine

from db.engine import make_engine
from db.queries import QUERIES
from db.store import CleanStore
from pipeline.batch import Batch, Source
from pipeline.cli.main import OK, USAGE, main
from pipeline.settings import Settings
from tests.unit.conftest import Answer

LINES = (
    '203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 10 "-" "x"\n'
    '203.0.113.9 - - [17/May/2015:10:05:04 +0000] "GET /\x1b[2J HTTP/1.1" 404 5 "-" "x"\n'
    '203.0.113.8 - - [18/May/2015:10:05:03 +0000] "POST /a HTTP/1.1" 200 1 "-" "x"\n'
)
RANGE = ("--since", "2015-05-17", "--until", "2015-05-19")


@pytest.fixture(autouse=True)
def _stored(database: Engine) -> None:
    for number, path in enumerate(("/log", "/other"), start=1):
        CleanStore(database).store(
            Batch(Source(f"{number:032x}", "web-1", path, format="combined"), 0, LINES.encode())
        )


def test_a_question_is_answered_of_a_range_and_a_source(answer: Answer) -> None:
    """Rows are those of the records in [since, until), of all sources or one."""
    both = answer("ask", "top_paths", *RANGE)
    one = answer("ask", "top_paths", *RANGE, "--source", "/other", "--limit", "1")
    first_day = answer("ask", "visitors_by_method", "--until", "2015-05-18")

    assert (both["question"], both["columns"]) == ("top_paths", ["path", "hits", "bytes"])
    assert both["rows"] == [["/a", 4, 22], ["/\x1b[2J", 2, 10]]
    assert one["rows"] == [["/a", 2, 11]]
    assert first_day["since"] == "2015-05-17T00:00:00+00:00"
    assert first_day["rows"] == [["GET", 1]]


def test_times_and_texts_are_shown_inert(capsys: pytest.CaptureFixture[str]) -> None:
    """A table has times in UTC, and no character that a terminal obeys."""
    assert main(["ask", "visitors_by_day", *RANGE]) == OK
    assert main(["ask", "top_paths", *RANGE]) == OK

    out = capsys.readouterr().out
    assert "2015-05-17T00:00:00+00:00         1" in out
    assert "\x1b" not in out


def test_a_fast_answer_is_not_shown_as_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Quantiles of milliseconds are seconds with all digits that are known."""
    engine = make_engine(Settings.from_environment().sqlalchemy_url)
    line = b'{"time":"2015-05-17T10:05:03Z","request_time":0.003}\n'
    CleanStore(engine).store(Batch(Source("3" * 32, "web-1", "/app", format="json"), 0, line))
    engine.dispose()
    assert main(["ask", "latency_by_day", *RANGE]) == OK

    p50 = float(capsys.readouterr().out.split()[-3])
    assert p50 == pytest.approx(0.003, rel=1 / 64)


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_question_has_an_answer(name: str, answer: Answer) -> None:
    """Each question is answered in JSON; without a question they are listed."""
    found = answer("ask", name, *RANGE)

    assert all(len(row) == len(found["columns"]) for row in found["rows"])
    assert name in answer("ask")["questions"]


def test_an_empty_range_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing was stored there is no empty table."""
    assert main(["ask", "top_paths"]) == OK

    assert capsys.readouterr().out == "nothing in this range\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["top_pathes"], "'top_pathes'"),
        (["top_paths", "--since", "2015-05-17", "--until", "2015-05-17"], "--since"),
        (["top_paths", "--until", "monday"], "--until monday"),
        (["top_paths", "--source", "/none"], "/none"),
    ],
)
def test_what_cannot_be_asked_is_named(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong question, range or source ends with what to change."""
    assert main(["ask", *arguments]) == USAGE

    assert named in capsys.readouterr().err
