"""What an enricher is, and how formats and records get its columns; pure."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.formats.base import Convert, Format, Group
from pipeline.formats.line import LineFormat, LogFormat

#: Values of one column of a format of lines whose enrichment is remembered.
KEPT_VALUES = 20_000
#: The column that takes fields without one of their own; several enrichers may add to it.
EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Enricher:
    """From the value of one column to those of others.

    Attributes:
        name: what people know it by: a part of SLUICE_ENRICH, or a file.
        column: whose value it takes, never None.
        outputs: names of COLUMNS, in the order of the values.
        enrich: one value for each output, None where it knows none; it raises nothing for any value.
    """

    name: str
    column: str
    outputs: tuple[str, ...]
    enrich: Callable[[Any], Sequence[Any]]


#: Place of the value to take, what makes values of it, and place and name of each one that is kept.
_Step = tuple[int, Callable[[Any], Sequence[Any]], tuple[tuple[int, int, str], ...]]


def enriched(format_: LogFormat, enrichers: Iterable[Enricher]) -> LogFormat:
    """Return the format with the outputs of enrichers.

    Raises:
        ConfigurationError: enrichers of two groups fill one column.
    """
    if isinstance(format_, LineFormat):
        return _with_records(format_, list(enrichers))
    assert isinstance(format_, Format), "a format is one pattern, or a reader of lines"
    return _with_groups(format_, enrichers)


def _with_records(format_: LineFormat, enrichers: Sequence[Enricher]) -> LineFormat:
    chosen = [
        dataclasses.replace(each, enrich=lru_cache(KEPT_VALUES)(each.enrich))
        for each in enrichers
        if each.column in format_.columns
    ]
    if not chosen:
        return format_
    added = dict.fromkeys(name for each in chosen for name in each.outputs if name not in format_.columns)

    def read(line: bytes, at: datetime) -> dict[str, Any]:
        return enrich_record(format_.read(line, at), chosen)

    return dataclasses.replace(format_, columns=(*format_.columns, *added), read=read)


def _with_groups(format_: Format, enrichers: Iterable[Enricher]) -> Format:
    """Return the format with the outputs of enrichers in the groups that fill their columns.

    So each distinct field is enriched once, by the memo of its group. What a line says itself stays; of two
    enrichers of one group the later one has the say, where it knows a value.

    Raises:
        ConfigurationError: enrichers of two groups fill one column.
    """
    of_format = set(format_.columns)
    groups = list(format_.groups)
    owners: dict[str, tuple[int, str]] = {}
    steps: dict[int, list[Enricher]] = {}
    for enricher in enrichers:
        place = next((i for i, group in enumerate(groups) if enricher.column in group.columns), None)
        kept = [name for name in enricher.outputs if name not in of_format]
        if place is None or not kept:
            continue
        for name in kept:
            other = owners.setdefault(name, (place, enricher.name))
            if other[0] != place:
                raise ConfigurationError(
                    f"{other[1]} and {enricher.name} both fill {name}, of different fields of the format "
                    f"{format_.name}: rename a column of one of them to a known one, or drop it"
                )
        new = tuple(name for name in kept if name not in groups[place].columns)
        groups[place] = dataclasses.replace(groups[place], columns=groups[place].columns + new)
        steps.setdefault(place, []).append(enricher)
    for place, chosen in steps.items():
        groups[place] = _with_steps(format_.groups[place], groups[place].columns, chosen)
    return dataclasses.replace(format_, groups=tuple(groups)) if steps else format_


def _with_steps(group: Group, columns: tuple[str, ...], enrichers: Sequence[Enricher]) -> Group:
    places = {name: number for number, name in enumerate(columns)}
    own = len(group.columns)
    steps = [
        (
            places[each.column],
            each.enrich,
            tuple(
                (number, places[name], name)
                for number, name in enumerate(each.outputs)
                if places.get(name, 0) >= own
            ),
        )
        for each in enrichers
    ]
    return dataclasses.replace(
        group, columns=columns, convert=_converter(group.convert, len(columns) - own, steps)
    )


def _converter(convert: Convert, added: int, steps: Sequence[_Step]) -> Convert:
    absent = (None,) * added

    def converted(field: Any) -> tuple[Any, ...]:
        values = [*convert(field), *absent]
        for source, enrich, kept in steps:
            value = values[source]
            if value is not None:
                found = enrich(value)
                for number, place, name in kept:
                    values[place] = _later(name, values[place], found[number])
        return tuple(values)

    return converted


def enrich_record(values: Mapping[str, Any], enrichers: Iterable[Enricher]) -> dict[str, Any]:
    """Return a record with what enrichers add to it; what the line says itself stays."""
    record = dict(values)
    own = {name for name, value in values.items() if value is not None and name != EXTRA}
    for each in enrichers:
        value = record.get(each.column)
        if value is not None:
            for name, found in zip(each.outputs, each.enrich(value), strict=True):
                if name not in own:
                    record[name] = _later(name, record.get(name), found)
    if values.get(EXTRA):
        record[EXTRA] = {**record[EXTRA], **values[EXTRA]}
    return record


def _later(name: str, before: Any, found: Any) -> Any:
    if found is None or before is None:
        return before if found is None else found
    return {**before, **found} if name == EXTRA else found
