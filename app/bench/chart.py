"""A result as an SVG bar chart that reads well on light and on dark pages."""

from html import escape

from app.bench.report import number
from app.bench.result import Figure, Result

_WIDTH, _LABELS, _VALUES = 760, 250, 90
_ROW, _BAR, _TOP = 30, 18, 46
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.bar { fill: #8c959f } .own { fill: #0f766e } .range { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .bar { fill: #6e7681 } .own { fill: #2dd4bf } .range { stroke: #e6edf3 }
}"""


def svg(result: Result, own: str = "worker") -> str:
    """Return the chart of a result: a bar a subject, as long as its median, with its range.

    Parameters
    ----------
    result : Result
        What was measured; ``charted`` names the quantity.
    own : str, optional
        What the names of the product's own subjects begin with: another colour.

    Raises
    ------
    ValueError
        If no subject has the quantity.
    """
    figures = sorted(
        (f for f in result.figures if f.quantity == result.charted), key=lambda f: -f.median
    )
    if not figures:
        raise ValueError(f"nothing has the quantity {result.charted!r}")
    scale = (_WIDTH - _LABELS - _VALUES) / max(figure.high for figure in figures)
    height = _TOP + _ROW * len(figures) + 8
    rows = [_row(figure, n, scale, own) for n, figure in enumerate(figures)]
    title = f"{result.title}: {result.charted}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<text class="title" x="0" y="20">{escape(title)}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _row(figure: Figure, number_of_row: int, scale: float, own: str) -> str:
    top = _TOP + number_of_row * _ROW
    middle = top + _BAR / 2
    style = "own" if figure.subject.startswith(own) else "bar"
    low, high = (_LABELS + value * scale for value in (figure.low, figure.high))
    return (
        f'<text x="{_LABELS - 8}" y="{middle + 4:.0f}" text-anchor="end">'
        f"{escape(figure.subject)}</text>"
        f'<rect class="{style}" x="{_LABELS}" y="{top}" width="{figure.median * scale:.1f}" '
        f'height="{_BAR}" rx="2"/>'
        f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.0f}" y2="{middle:.0f}"/>'
        f'<text x="{high + 8:.1f}" y="{middle + 4:.0f}">{number(figure.median)}</text>'
    )
