"""Numbers, sizes, times and shares as people read them."""

from datetime import datetime

_KILO, _KIBI = 1000, 1024
#: Below this, one digit after the point says more than none.
_SMALL = 10


def count(number: float) -> str:
    """Return a whole number with its thousands apart."""
    return f"{number:,.0f}"


def short(number: float) -> str:
    """Return a number in three or four characters, as axes have it."""
    for unit in ("", "k", "M", "G"):
        if abs(number) < _KILO:
            return (
                f"{number:.0f}{unit}" if number >= _SMALL or number == int(number) else f"{number:.2g}{unit}"
            )
        number /= _KILO
    return f"{number:.0f}T"


def size(number: float) -> str:
    """Return a number of bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < _KIBI:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= _KIBI
    return f"{number:.1f} TiB"


def share(part: float, whole: float) -> str:
    """Return a part of a whole in per cent; nothing of nothing is a dash."""
    return f"{100 * part / whole:.2f} %" if whole else "-"


def seconds(number: float) -> str:
    """Return a duration in its largest fitting unit."""
    for least, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if number >= least:
            value = number / least
            digits = 0 if value >= _SMALL or value == int(value) else 1
            return f"{value:.{digits}f} {unit}"
    return f"{1000 * number:.3g} ms"


def moment(value: datetime | None) -> str:
    """Return a time in UTC to the second, a dash for none."""
    return "-" if value is None else f"{value:%Y-%m-%d %H:%M:%S}"


def change(now: float, before: float) -> str:
    """Return by how much a number has grown since before, in per cent."""
    if not before:
        return "none before" if now else "as before"
    grown = 100 * (now - before) / before
    return f"{grown:+.1f} % to before"
