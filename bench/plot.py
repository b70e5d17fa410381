"""Horizontal bars as SVG: text that a browser draws, and that a diff can show."""

from collections.abc import Sequence
from html import escape

#: Sizes in pixels.
WIDTH, BAR, GAP, LABEL, VALUE, HEAD, FOOT = 760, 22, 10, 230, 90, 44, 30
_FONT = 'font-family="sans-serif" font-size="13"'


def bars(title: str, values: Sequence[tuple[str, float]], note: str = "") -> str:
    """Return a chart with one bar for each label, the longest as wide as the chart."""
    longest = max((value for _, value in values), default=0.0) or 1.0
    height = HEAD + len(values) * (BAR + GAP) + FOOT
    rows = [_row(number, label, value, longest) for number, (label, value) in enumerate(values)]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" {_FONT}>',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="10" y="26" font-size="15" font-weight="bold" fill="#222222">{escape(title)}</text>',
            *rows,
            f'<text x="10" y="{height - 10}" font-size="11" fill="#666666">{escape(note)}</text>',
            "</svg>\n",
        )
    )


def _row(number: int, label: str, value: float, longest: float) -> str:
    top = HEAD + number * (BAR + GAP)
    width = max(1.0, (WIDTH - LABEL - VALUE) * value / longest)
    middle = top + BAR / 2 + 5
    return (
        f'<text x="{LABEL - 8}" y="{middle}" text-anchor="end" fill="#222222">{escape(label)}</text>'
        f'<rect x="{LABEL}" y="{top}" width="{width:.1f}" height="{BAR}" fill="#3b7ea1"/>'
        f'<text x="{LABEL + width + 6:.1f}" y="{middle}" fill="#222222">{_number(value)}</text>'
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits say enough
