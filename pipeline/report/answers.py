"""All parts asked at once, for a document."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from pipeline.errors import PipelineError
from pipeline.report.document import Document
from pipeline.report.figures import Ask, Compared, Figures, Period, Rows, Selection, Trouble
from pipeline.report.page import COMPARED, PARTS

#: Questions at once.
QUESTIONS = 4


def gathered(
    parts: Mapping[str, Ask], selection: Selection, made: datetime, compared: Period | None = None
) -> Document:
    """Return the document of a selection, beside another period if one is given.

    A part that cannot answer is a Trouble in it.
    """
    with ThreadPoolExecutor(QUESTIONS) as pool:

        def ask(names: Iterable[str], about: Selection) -> Figures:
            known = [name for name in names if name in parts]
            return dict(zip(known, pool.map(lambda name: _answer(parts[name], about), known), strict=True))

        figures = ask(PARTS, selection)
        before = None
        if compared is not None:
            before = Compared(compared, ask(COMPARED, Selection(compared, selection.source_id)))
    return Document(figures, selection, made, before)


def _answer(ask: Ask, selection: Selection) -> Rows | Trouble:
    try:
        return ask(selection)
    except PipelineError as error:
        return Trouble(str(error))


def troubles(figures: Figures) -> list[str]:
    """Return in words what could not be answered, each once."""
    return list(dict.fromkeys(found.message for found in figures.values() if isinstance(found, Trouble)))
