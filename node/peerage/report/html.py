"""HTML that cannot be injected into: text is escaped unless it was built here, and nothing else builds `Html`."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_TEXT: Final = 500
_SPACES: Final = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_VOID: Final = frozenset({"meta", "img"})


@dataclass(frozen=True, slots=True)
class Html:
    """Finished markup."""

    text: str


Child = Html | str | None


def clean(text: str) -> str:
    """What came from a run, made printable: controls and marks that turn the reading direction become a sign."""
    shown = text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"
    return "".join(x if x.isprintable() or x in _SPACES else "\N{REPLACEMENT CHARACTER}" for x in shown)


def el(tag: str, /, *children: Child, **attributes: str) -> Html:
    """One element. A trailing underscore and inner ones in attribute names are HTML's `class` and dashes."""
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value, quote=True)}"' for key, value in attributes.items()
    )
    inside = "".join(_text(child) for child in children)
    return Html(f"<{tag}{named}>" if tag in _VOID else f"<{tag}{named}>{inside}</{tag}>")


def join(parts: Iterable[Child]) -> Html:
    return Html("".join(_text(part) for part in parts))


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[Child]], *, numbers: int = 1, words: int = 99
) -> Html:
    """Columns from `numbers` on are figures, from `words` on text again. Wide tables scroll in their own frame."""
    lines = [
        el("tr", *(el("th", x, scope="row") if i == 0 else el("td", x, class_="n" if numbers <= i < words else "t")
                   for i, x in enumerate(row)))
        for row in rows
    ]  # fmt: skip
    heads = [el("th", x, scope="col", class_="n" if numbers <= i < words else "t") for i, x in enumerate(head)]
    inner = el("table", el("caption", caption), el("thead", el("tr", *heads)), el("tbody", *lines))
    return el("div", inner, class_="scroll", tabindex="0", role="region", aria_label=clean(caption))


def folded(summary: str, inside: Html) -> Html:
    return el("details", el("summary", summary), inside)


def _text(child: Child) -> str:
    if child is None:
        return ""
    return child.text if isinstance(child, Html) else escape(clean(child), quote=True)
