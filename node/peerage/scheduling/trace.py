"""A profile from a file: `seconds,watts`, one line per sample, evenly spaced; `# synthetic` marks invented ones.

Or JSON: `{"synthetic": false, "samples": [[0, 12.5], [3600, 0], ...]}` with the same seconds and watts.

The power of a line holds until the next. What a file must not have (gaps, clocks that jump, negative power, more power
than the device has) is refused with the line's number: a guess here would become a scale in the model.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from itertools import pairwise

import msgspec

from peerage.scheduling.profiles import LONGEST_TRACE, Profile
from peerage_crypto.errors import InputError

HEADER = "seconds,watts"
LARGEST_FILE = 32 << 20  # bytes
_DIGITS = 15


def parse_trace(
    peer: str, text: str, *, round_seconds: int, cost: int, capacity: int, max_watts: int, start: int = 0
) -> Profile:
    """The joules of each round of `round_seconds`; InputError names the line that no real measurement has."""
    if round_seconds < 1 or max_watts < 1:
        raise InputError(f"{peer}: a round lasts 1 s at least and a source gives 1 W at least")
    if len(text) > LARGEST_FILE:
        raise InputError(f"{peer}: the trace is longer than {LARGEST_FILE >> 20} MiB")
    listed = text.lstrip().startswith("{")
    samples, synthetic = _document(peer, text, max_watts) if listed else _samples(peer, text, max_watts)
    if len(samples) < 2:
        raise InputError(f"{peer}: the trace has {len(samples)} samples; two are the least that show their spacing")
    step = _step(peer, samples)
    if max(round_seconds, step) % min(round_seconds, step):
        raise InputError(f"{peer}: rounds of {round_seconds} s and samples every {step} s do not divide each other")
    watts = [power for _, _, power in samples]
    joules = _per_round(watts, step, round_seconds)
    if not joules:
        raise InputError(f"{peer}: the trace covers {len(watts) * step} s, less than one round of {round_seconds} s")
    if len(joules) > LONGEST_TRACE:
        raise InputError(f"{peer}: the trace has {len(joules)} rounds, more than {LONGEST_TRACE}")
    return Profile(peer, tuple(joules), cost=cost, capacity=capacity, start=start, synthetic=synthetic)


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who leaves `synthetic` out has not said that it was measured."""

    synthetic: bool
    samples: tuple[tuple[int, Decimal], ...]


def _samples(peer: str, text: str, max_watts: int) -> tuple[list[tuple[int, int, Decimal]], bool]:
    """(line, second, watts) of each sample, and whether the file calls itself synthetic."""
    synthetic, header, samples = False, False, list[tuple[int, int, Decimal]]()
    for number, line in enumerate(text.splitlines(), 1):
        row = line.strip()
        if row.startswith("#") or not row:
            synthetic = synthetic or row.lstrip("# ").lower().startswith("synthetic")
            continue
        if not header:
            if row != HEADER:
                raise InputError(f"{peer}: line {number} of the trace is {row[:40]!r}, and the first is {HEADER!r}")
            header = True
            continue
        samples.append((number, *_sample(peer, number, row, max_watts)))
    return samples, synthetic


def _document(peer: str, text: str, max_watts: int) -> tuple[list[tuple[int, int, Decimal]], bool]:
    """The same of a JSON document; a sample's number stands for its line."""
    try:
        made = msgspec.json.decode(text, type=_Document)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"{peer}: the trace is no JSON of samples, as [[second, watts], ...]: {error}") from None
    rows = enumerate(made.samples, 1)
    return [(n, *_sample(peer, n, f"{second},{watts}", max_watts)) for n, (second, watts) in rows], made.synthetic


def _sample(peer: str, number: int, row: str, max_watts: int) -> tuple[int, Decimal]:
    second, _, power = row.partition(",")
    if not (second.isascii() and second.isdigit() and len(second) <= _DIGITS and 0 < len(power) <= 2 * _DIGITS):
        raise InputError(f"{peer}: line {number} of the trace is no whole second and a number of watts: {row[:40]!r}")
    try:
        watts = Decimal(power)
    except InvalidOperation:
        raise InputError(f"{peer}: line {number} of the trace has {power!r} for a number of watts") from None
    if not watts.is_finite() or watts < 0:
        raise InputError(f"{peer}: line {number} of the trace has {power} W; power that arrives is 0 or more")
    if watts > max_watts:
        raise InputError(
            f"{peer}: line {number} of the trace has {power} W, and the source gives {max_watts} W at most"
        )
    return int(second), watts


def _step(peer: str, samples: list[tuple[int, int, Decimal]]) -> int:
    """Seconds between samples: the same everywhere."""
    step = samples[1][1] - samples[0][1]
    for (_, before, _), (number, after, _) in pairwise(samples):
        if after <= before:
            raise InputError(f"{peer}: the clock goes from {before} to {after} s in line {number} of the trace")
        if after - before != step:
            raise InputError(
                f"{peer}: the trace has a gap: line {number} comes {after - before} s after the one before, "
                f"and the first two lie {step} s apart"
            )
    return step


def _per_round(watts: list[Decimal], step: int, round_seconds: int) -> list[int]:
    """Whole joules; what a last part of a round brings is left out."""
    if step >= round_seconds:
        return [int(power * round_seconds) for power in watts for _ in range(step // round_seconds)]
    per = round_seconds // step
    return [int(sum(watts[k : k + per]) * step) for k in range(0, len(watts) - per + 1, per)]
