"""What an audit keeps for the next one: a file of judged rounds, and the artefacts that came from afar.

Each line of `rounds.jsonl` is written as its round is done, so an audit that is interrupted loses nothing; a torn line
is cut off. The file belongs to one state of the code: the first line names it, and another state starts a new file.
"""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

import peerage
import peerage_crypto
import peerage_ledger
from peerage_crypto.digest import tagged
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

SCHEMA: Final = 1
PACKAGES: Final[tuple[ModuleType, ...]] = (peerage, peerage_crypto, peerage_ledger)
WORTHWHILE: Final = 1000  # artefacts: below, an audit takes seconds
DECIDING: Final = ("numpy", "torch", "coincurve", "cryptography", "msgspec")  # whose results a verdict rests on


class _Head(msgspec.Struct, frozen=True):
    schema: int
    version: str
    code: str


class _Line(msgspec.Struct, frozen=True):
    key: str
    value: msgspec.Raw


def code_digest() -> bytes:
    """Everything that decides a verdict and is no input: our sources and artefacts, and the libraries' versions."""
    parts = [sys.version.encode(), *(f"{name} {_version(name)}".encode() for name in ("peerage", *DECIDING))]
    for package in PACKAGES:
        root = Path(str(package.__file__)).parent
        for path in sorted([*root.rglob("*.py"), *root.rglob("*.json")]):
            parts += [path.relative_to(root).as_posix().encode(), path.read_bytes()]
    return tagged("peerage/audit/code/1", *(sha256(part).digest() for part in parts))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


class AuditCache:
    """A folder of its own; nothing in it is evidence, and deleting it costs time only."""

    def __init__(self, folder: Path, code: bytes | None = None) -> None:
        self.folder, self.code = folder, code or code_digest()
        self._known: dict[bytes, bytes] = {}
        try:
            (folder / "store").mkdir(parents=True, exist_ok=True)
            self._load(folder / "rounds.jsonl")
            self._file = (folder / "rounds.jsonl").open("ab")
        except OSError as error:
            raise InputError(f"--cache {folder} cannot be used: {error.strerror or error}") from None

    def get(self, key: bytes, /) -> bytes | None:
        return self._known.get(key)

    def put(self, key: bytes, value: bytes, /) -> None:
        self._file.write(msgspec.json.encode(_Line(key.hex(), msgspec.Raw(value))) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _load(self, path: Path) -> None:
        head = msgspec.json.encode(_Head(SCHEMA, _version("peerage"), self.code.hex())) + b"\n"
        raw = path.read_bytes() if path.exists() else b""
        if not raw.startswith(head):
            path.write_bytes(head)
            return
        whole = len(head)
        for line in raw[len(head) :].splitlines(keepends=True):
            try:
                found = msgspec.json.decode(line, type=_Line)
                key = bytes.fromhex(found.key)
            except (msgspec.DecodeError, ValueError):
                break
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            self._known[key] = bytes(found.value)
        if whole < len(raw):
            with path.open("ab") as file:
                file.truncate(whole)


def beside(run_dir: Path) -> Path | None:
    """Where a run's cache lies if nobody says otherwise; None where a cache would not be worth its folder."""
    folder = run_dir.with_name(f"{run_dir.name}.audit")
    if folder.is_dir():
        return folder
    try:
        many = sum(1 for _ in (run_dir / "store").iterdir()) >= WORTHWHILE
    except OSError:
        return None
    return folder if many and os.access(run_dir.parent, os.W_OK) else None
