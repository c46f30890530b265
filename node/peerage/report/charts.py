"""Charts as inline SVG: no script, a title and a description each, and colours that the page's style decides.

Drawn 480 wide with 15-pixel type, so on a phone of 375 pixels the type is still about 10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerage.report.amounts import figure
from peerage.report.html import Html, clean, el

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 480
HEIGHT: Final = 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 26, 16, 52
_ROW, _LABEL, _VALUE = 30, 130, 108


@dataclass(frozen=True, slots=True)
class Bar:
    """`low` and `high` draw a whisker; equal to `value` they draw none. `kind` 1 to 6 picks the colour."""

    name: str
    value: float
    low: float
    high: float
    shown: str
    kind: int = 1


def lines(
    title: str, about: str, x_name: str, y_name: str, points: Sequence[tuple[float, float]], *, counted: bool = False
) -> Html:
    """One line with dots; a share in % ends at 100, and what is `counted` has whole numbers on its axis. Points that
    are no numbers are left out; without any the words say so.
    """
    known = [p for p in points if math.isfinite(p[0]) and math.isfinite(p[1])]
    if not known:
        return el("p", f"{title}: nothing to draw.", class_="none")
    xs = _ticks([p[0] for p in known], counted=counted)
    ys = _ticks([p[1] for p in known], most=100.0 if y_name == "%" else math.inf)
    wide, high = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def x(value: float) -> float:
        return _LEFT + wide * (value - xs[0]) / (xs[-1] - xs[0])

    def y(value: float) -> float:
        return _TOP + high * (1 - (value - ys[0]) / (ys[-1] - ys[0]))

    foot = HEIGHT - _BOTTOM
    parts: list[Html] = []
    for tick in ys:
        parts.append(_line(_LEFT, y(tick), WIDTH - _RIGHT, y(tick), "grid"))
        parts.append(_words(_LEFT - 8, y(tick) + 5, f"{tick:g}", "end"))
    parts.extend(_words(x(tick), foot + 20, f"{tick:g}", "middle") for tick in xs)
    parts.append(_line(_LEFT, foot, WIDTH - _RIGHT, foot, "axis"))
    parts.append(_words(_LEFT + wide / 2, HEIGHT - 6, x_name, "middle", "name"))
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in known)
    parts.append(el("polyline", points=path, class_="line"))
    for a, b in known:
        dot = el("title", f"{x_name} {figure(a)}: {figure(b)} {y_name}")
        parts.append(el("circle", dot, cx=f"{x(a):.1f}", cy=f"{y(b):.1f}", r="4", class_="dot"))
    return _frame(title, about, HEIGHT, parts)


def bars(title: str, about: str, rows: Sequence[Bar]) -> Html:
    """Horizontal bars from zero, the figure at the end of each; whiskers reach from low to high."""
    known = [r for r in rows if math.isfinite(r.value) and math.isfinite(r.high) and r.value >= 0]
    if not known:
        return el("p", f"{title}: nothing to draw.", class_="none")
    top = max(max(r.value, r.high) for r in known) or 1.0
    wide = WIDTH - _LABEL - _VALUE
    parts: list[Html] = []
    for i, row in enumerate(known):
        at = 8 + i * _ROW
        middle = at + _ROW / 2
        parts.append(_words(_LABEL - 10, middle + 5, _short(row.name), "end"))
        bar = el("title", f"{row.name}: {row.shown}")
        parts.append(
            el("rect", bar, x=str(_LABEL), y=f"{at + 6}", height=f"{_ROW - 12}", rx="3",
               width=f"{max(1.0, wide * row.value / top):.1f}", class_=f"bar k{row.kind}")
        )  # fmt: skip
        if row.low < row.high:
            low, high = (_LABEL + wide * v / top for v in (row.low, row.high))
            parts.append(_line(low, middle, high, middle, "whisker"))
            parts.extend(_line(end, middle - 5, end, middle + 5, "whisker") for end in (low, high))
        parts.append(_words(WIDTH - 2, middle + 5, row.shown, "end", "value"))
    return _frame(title, about, 16 + len(known) * _ROW, parts)


def _ticks(values: Sequence[float], *, counted: bool = False, most: float = math.inf) -> list[float]:
    """Two to six round numbers that hold all values between the first and the last; none above `most`."""
    low, high = min(values), max(values)
    if high == low:
        low, high = (low - abs(low) / 2, high + abs(high) / 2) if low else (0.0, 1.0)
    high = max(min(high, most), *values)
    rough = (high - low) / 4
    base = 10.0 ** math.floor(math.log10(rough))
    step = next(base * m for m in (1, 2, 2.5, 5, 10) if base * m >= rough)
    if counted:
        step = max(1.0, float(math.ceil(step)))
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _short(name: str) -> str:
    text = clean(name)
    return text if len(text) <= 15 else f"{text[:8]}…{text[-5:]}"


def _frame(title: str, about: str, height: float, parts: Sequence[Html]) -> Html:
    box = f"0 0 {WIDTH} {height:g}"
    return el("svg", el("title", title), el("desc", about), *parts, viewBox=box, role="img", class_="chart",
              aria_label=f"{clean(title)}. {clean(about)}")  # fmt: skip


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    return el("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=kind)


def _words(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> Html:
    return el("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=kind)
