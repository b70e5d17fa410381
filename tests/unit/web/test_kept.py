"""Answers are kept for a moment, and asked for once."""

import asyncio
import threading

from pipeline.errors import BrokerUnavailable
from pipeline.report.figures import Rows, Trouble
from pipeline.web import kept
from pipeline.web.kept import Kept
from tests.services import wait_until

ROWS = Rows(("n",), [(1,)])


def test_many_ask_once() -> None:
    """Whoever asks while the answer is on its way, or shortly after, gets the same one."""
    asked = threading.Semaphore(0)

    def question() -> Rows:
        asked.release()
        return ROWS

    async def ask() -> list[object]:
        answers = Kept()
        first = await asyncio.gather(*(answers.ask("part", question) for _ in range(20)))
        return [*first, await answers.ask("part", question)]

    assert asyncio.run(ask()) == [ROWS] * 21
    assert asked.acquire(blocking=False)
    assert not asked.acquire(blocking=False)


def test_an_answer_grows_old() -> None:
    """After its time the question is asked again."""
    counts = iter(range(10))

    async def ask() -> list[object]:
        answers = Kept()
        task = answers.ask("part", lambda: Rows(("n",), [(next(counts),)]))
        first = await task
        answers._kept["part"].good_until = 0.0
        return [first, await answers.ask("part", lambda: Rows(("n",), [(next(counts),)]))]

    assert asyncio.run(ask()) == [Rows(("n",), [(0,)]), Rows(("n",), [(1,)])]


def test_what_is_away_is_an_answer() -> None:
    """In words; other errors are ours and come out."""

    def question() -> Rows:
        raise BrokerUnavailable("the broker is away")

    async def ask() -> object:
        return await Kept().ask("part", question)

    assert asyncio.run(ask()) == Trouble("the broker is away")


def test_what_is_kept_has_an_end() -> None:
    """Of more answers than there is room for the oldest go."""

    async def ask() -> int:
        answers = Kept()
        for number in range(kept.MOST_KEPT + 5):
            await answers.ask(number, lambda: ROWS)
        return len(answers._kept)

    assert asyncio.run(ask()) == kept.MOST_KEPT


def test_closing_ends_the_threads() -> None:
    """No thread is left once the last question is answered."""

    async def ask() -> None:
        answers = Kept()
        await answers.ask("part", lambda: ROWS)
        answers.close()

    asyncio.run(ask())
    names = lambda: [each.name for each in threading.enumerate()]  # noqa: E731 - asked again and again
    wait_until(lambda: not any(name.startswith("question") for name in names()), "the threads to end")
