"""Energy traces on the disk of whoever starts a run become numbers in the settings, which everybody has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from peerage.scheduling.forms import MOST_NUMBERS, TRACE, text_of
from peerage.scheduling.trace import LARGEST_FILE, parse_trace
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

FORM = "trace:FILE:SECONDS_A_ROUND:COST:CAPACITY:MOST_WATTS"


def with_traces(energy: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """`[[energy]]` as the file or the flags have it, each `trace:` read. InputError for what no battery gives."""
    return [
        {**entry, "profile": read_trace(str(entry["profile"]))}
        if str(entry.get("profile", "")).startswith(TRACE)
        else entry
        for entry in energy
    ]


def read_trace(text: str) -> str:
    """One `trace:` form as its `joules:` form."""
    place, *numbers = text.removeprefix(TRACE).rsplit(":", 4)
    if len(numbers) != 4 or not place or not all(n.isascii() and n.isdigit() and len(n) <= 12 for n in numbers):
        raise InputError(f"energy.profile = {text!r} is no trace: use {FORM}, with whole seconds, joules and watts")
    seconds, cost, capacity, watts = map(int, numbers)
    path = Path(place)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: the trace is longer than {LARGEST_FILE >> 20} MiB")
        words = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    made = parse_trace(path.name, words, round_seconds=seconds, cost=cost, capacity=capacity, max_watts=watts)
    if len(made.trace) > MOST_NUMBERS:
        raise InputError(f"{path}: {len(made.trace)} rounds are more than the {MOST_NUMBERS} that settings hold")
    return text_of(made)
