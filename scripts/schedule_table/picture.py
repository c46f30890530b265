"""Accuracy against rounds as an SVG: one panel for each kind of rows, one line for each policy."""

from __future__ import annotations

from schedule_table.play import WORDS, Course
from schedule_table.table import mean_course

WIDTH, HEIGHT, LEFT, TOP, GAP = 420, 300, 46, 34, 60
COLOURS = ("#222222", "#d55e00", "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#7f7f7f")  # Okabe and Ito
TITLES = {"skew": "labels skewed by energy group", "iid": "IID labels"}


def picture(found: dict[str, dict[str, list[Course]]]) -> str:
    """The whole file."""
    wide = LEFT + len(found) * (WIDTH + GAP)
    legend = TOP + HEIGHT + 46
    box = f"0 0 {wide} {legend + 66}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img" font-family="sans-serif" font-size="12">',
        "<title>Accuracy against rounds under each schedule (synthetic traces)</title>",
        f'<rect width="{wide}" height="{legend + 66}" fill="#ffffff"/>',
    ]
    for k, (kind, rows) in enumerate(found.items()):
        parts += _panel(LEFT + k * (WIDTH + GAP), kind, {p: mean_course(runs) for p, runs in rows.items()})
    for k, (words, colour) in enumerate(zip(WORDS.values(), COLOURS, strict=True)):
        x, y = LEFT + (k % 4) * (wide - LEFT) // 4, legend + 22 * (k // 4)
        parts.append(f'<path d="M{x} {y}h18" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<text x="{x + 23}" y="{y + 4}">{words}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _panel(left: int, kind: str, rows: dict[str, Course]) -> list[str]:
    bottom, rounds = TOP + HEIGHT, max(len(course.accuracy) for course in rows.values())
    parts = [f'<text x="{left}" y="{TOP - 14}" font-size="14">Test accuracy, {TITLES[kind]}</text>']
    for percent in range(0, 101, 20):
        y = bottom - HEIGHT * percent / 100
        parts.append(f'<path d="M{left} {y:.1f}h{WIDTH}" stroke="#dddddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>')
    for tick in range(0, rounds + 1, max(1, rounds // 4)):
        x = left + WIDTH * tick / rounds
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick}</text>')
    parts.append(f'<text x="{left + WIDTH / 2}" y="{bottom + 30}" text-anchor="middle">round</text>')
    for course, colour in zip(rows.values(), COLOURS, strict=True):
        steps = [f"{left + WIDTH * t / rounds:.1f},{bottom - HEIGHT * a:.1f}" for t, a in enumerate(course.accuracy, 1)]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{" ".join(steps)}"/>')
    return parts
