"""A peer's diary: one JSON line per step, chained by hash over the raw bytes, signed at every seal.

Whoever edits, drops or moves a line breaks the chain behind it; whoever rewrites the whole chain lacks the key for its
seals. A peer that was killed has an open end; its next life chains on, and says that it started again.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from peerage_crypto.digest import sha256
from peerage_crypto.errors import OurError
from peerage_ledger.audit.journal import seal_digest

if TYPE_CHECKING:
    from pathlib import Path

    from peerage_crypto.identity import Account

SCHEMA = 1
DURABLE = frozenset({"locked", "signed", "spent", "released", "settlement", "seal"})  # on disk before anything follows

FIXED = frozenset({"schema", "seq", "prev", "peer", "round", "kind", "at_ms"})  # the journal's own fields


class PeerJournal:
    """Appends to `journal.jsonl`; a torn last line of an earlier life is cut off (it never counted)."""

    def __init__(self, path: Path, account: Account) -> None:
        self._account = account
        self._file = path.open("a+b")
        self.untouched = False  # an earlier life wrote here, and had signed nothing yet
        self._seq, self._previous = self._resume()

    def write(self, kind: str, round_: int, fields: dict[str, Any]) -> None:
        """One line; synced when others will rely on it."""
        if taken := FIXED & fields.keys():
            raise OurError(f"a {kind} line has a field {min(taken)!r} of its own, which every line has already")
        line = {
            "schema": SCHEMA,
            "seq": self._seq,
            "prev": self._previous.hex(),
            "peer": "0x" + self._account.address.hex(),
            "round": round_,
            "kind": kind,
            **fields,
            "at_ms": time.time_ns() // 1_000_000,
        }
        raw = json.dumps(line, separators=(",", ":")).encode()
        self._file.write(raw + b"\n")
        self._file.flush()
        if kind in DURABLE:
            os.fdatasync(self._file.fileno())
        self._seq, self._previous = self._seq + 1, sha256(raw)

    def seal(self, round_: int, *, end: bool = False) -> None:
        """Sign everything so far; `end` closes the journal for good, and is signed as such."""
        signature = self._account.sign(seal_digest(self._previous, end=end)).hex()
        self.write("seal", round_, {"signature": signature, **({"end": True} if end else {})})

    def close(self) -> None:
        self._file.close()

    def _resume(self) -> tuple[int, bytes]:
        self._file.seek(0)
        raw = self._file.read()
        whole = raw.rpartition(b"\n")[0]
        if len(raw) != len(whole) + (1 if whole or raw[:1] == b"\n" else 0):
            self._file.truncate(len(whole) + 1 if whole else 0)
        lines = whole.split(b"\n") if whole else []
        self.untouched = bool(lines) and not any(b'"kind":"locked"' in x or b'"kind":"signed"' in x for x in lines)
        return len(lines), sha256(lines[-1]) if lines else bytes(32)
