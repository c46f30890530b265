"""How finely a peer publishes its times. Exact seconds and bytes tell others how many samples it has."""

from __future__ import annotations

import re
from typing import Final

from peerage_crypto.errors import InputError

BYTES_STEP: Final = 1 << 20  # with any resolution set, traffic and memory go out in whole MiB
_UNITS: Final = {"ms": 1_000, "s": 1_000_000, "min": 60_000_000}
_FORM: Final = re.compile(r"(\d{1,6})\s*(ms|s|min)")


def parse_resolution(text: str) -> int:
    """`"10s"` to microseconds; empty: 0, exact."""
    if not text.strip():
        return 0
    match = _FORM.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise InputError(
            f"emissions resolution {text!r} is not a step of time: "
            'write one such as "500ms", "10s" or "1min", or leave it empty',
        )
    return int(match[1]) * _UNITS[match[2]]
