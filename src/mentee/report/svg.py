"""The parts of plots as inline SVG: axes, lines, texts, and the colors of a plot in a file.

Colors are classes of `style.css`, so that a page's plots follow its light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import floor, log10
from typing import TypeAlias

from markupsafe import Markup

LETTER = 6.6
"""Pixels: room for a letter."""
Number: TypeAlias = int | float
Point: TypeAlias = tuple[Number, Number]
Scale: TypeAlias = Callable[[Number], float]
STANDALONE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2328}.muted{fill:#59636e}.bold{font-weight:600}"
    ".grid{stroke:#e4e7eb}.zero{stroke:#59636e}.bar{stroke-width:2;fill:none}"
    ".dot{stroke-width:2}.neutral{stroke:#59636e;fill:#59636e}.helps{stroke:#0b5cad;fill:#0b5cad}"
    ".hurts{stroke:#b3420a;fill:#b3420a}.open{fill:#fff}"
)


def svg(width: Number, height: Number, title: str, parts: Sequence[str], style: str = "") -> Markup:
    """A plot of some parts; what they name is escaped already."""
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    label = escape(title)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" {size}'
    return Markup("\n".join([f"{head}{style}>", f"<title>{label}</title>", *parts, "</svg>"]))


def standalone(plot: Markup) -> str:
    """A plot as a file of its own, in light colors."""
    head, title, rest = plot.split("\n", 2)
    white = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([head, title, f"<style>{STANDALONE}</style>", white, rest, ""])


def ticks(low: Number, high: Number, count: int = 6) -> list[float]:
    """Round numbers from below `low` to above `high`, about `count` of them.

    Example:
        >>> [round(tick, 3) for tick in ticks(-0.013, 0.031)]
        [-0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.04]
    """
    rough = (high - low) / count
    rough = rough if rough > 1e-300 else 0.01
    power = 10.0 ** floor(log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * 0.999)
    first, last = floor(low / step), -floor(-high / step)
    return [step * n for n in range(first, max(last, first + 1) + 1)]


def scale(low: Number, high: Number, start: Number, end: Number) -> Scale:
    """From [low, high] to [start, end] in a line; to the middle where low is high."""
    if high <= low:
        return lambda _: (start + end) / 2.0
    return lambda value: start + (end - start) * (value - low) / (high - low)


def tick_text(value: Number, *, signed: bool = False) -> str:
    """A number beside an axis.

    Example:
        >>> tick_text(0.1 + 0.2), tick_text(0.02, signed=True), tick_text(1e-17), tick_text(20000)
        ('0.3', '+0.02', '0', '20,000')
    """
    if abs(value) < 1e-12:
        return "0"
    if abs(value) >= 1000 and value == round(value):
        return f"{value:,.0f}"
    return (f"{value:+.3g}" if signed else f"{value:.3g}").replace("-", "−")


def shortened(name: str, most: int = 24) -> str:
    """A name beside a plot, cut where it is long."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def line(start: Point, end: Point, style: str) -> str:
    """A straight line."""
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(
    x: Number, y: Number, content: str, style: str = "", anchor: str = "start", more: str = ""
) -> str:
    """A text."""
    kind = f' class="{style}"' if style else ""
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text{kind} {where}{more}>{escape(content)}</text>"
