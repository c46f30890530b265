"""The kept inputs, as text: one JSON line an input, named by its hash; a finding also with why it is kept."""

from __future__ import annotations

import base64
import zlib
from hashlib import sha256
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent / "corpus"
MOST_BYTES = 64 << 10  # of one target's file


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """`data` is base64 of the input, deflated where that is shorter (`deflated`)."""

    name: str
    data: str
    deflated: bool = False
    why: str = ""  # a finding: what went wrong before it was mended

    def input(self) -> bytes:
        raw = base64.b64decode(self.data)
        return zlib.decompress(raw) if self.deflated else raw


def kept(data: bytes, why: str = "") -> Kept:
    small = zlib.compress(data, 9)
    deflated = len(small) < len(data)
    return Kept(name_of(data), base64.b64encode(small if deflated else data).decode(), deflated, why)


def name_of(data: bytes) -> str:
    return sha256(data).hexdigest()[:12]


def load(target: str, folder: Path = FOLDER) -> list[Kept]:
    path = folder / f"{target}.jsonl"
    return [msgspec.json.decode(line, type=Kept) for line in path.read_bytes().splitlines()] if path.exists() else []


def save(target: str, inputs: list[Kept], folder: Path = FOLDER) -> int:
    """Findings first; then the shortest, as many as the file may hold. How many were written."""
    by_name = {k.name: k for k in sorted(inputs, key=lambda k: bool(k.why))}
    ordered = sorted(by_name.values(), key=lambda k: (not k.why, len(k.data), k.name))
    lines: list[bytes] = []
    room = MOST_BYTES
    for entry in ordered:
        line = msgspec.json.encode(entry) + b"\n"
        room -= len(line)
        if room < 0:
            break
        lines.append(line)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{target}.jsonl").write_bytes(b"".join(lines))
    return len(lines)
