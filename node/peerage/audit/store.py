"""The artefacts as an auditor takes them: every file read once and hashed, nothing under a wrong name ever used."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from peerage.config_toml import SETTINGS_HEAD
from peerage.emissions import EmissionRecord, decode_record
from peerage.learning.data import Dataset
from peerage.rounds.settlement import SettlementDocument, decode_settlement
from peerage_crypto import equivocation, leaf_check
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_ledger.plain_record import decode_plain
from peerage_ledger.provenance.manifests import decode_manifest
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, decode_round, decode_session

if TYPE_CHECKING:
    from peerage_crypto.session import SessionTranscript
    from peerage_ledger.audit.findings import Notebook
    from peerage_ledger.plain_record import PlainTranscript

MEMORY_BYTES = 64 << 20  # what is above it is read from its place again when needed
VALIDATION_HEAD = b"peerage validation 1\n"
NAME = re.compile(r"[0-9a-f]{64}")


class Artefacts(Mapping[bytes, bytes]):
    """id -> bytes, only where the bytes hash to the id. `read` gets a file again by its name."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._blobs: dict[bytes, bytes | None] = {}
        self._held = 0

    def add(self, artefact: bytes, blob: bytes) -> None:
        self._held += len(blob)
        self._blobs[artefact] = blob if self._held <= MEMORY_BYTES else None

    def __getitem__(self, artefact: bytes) -> bytes:
        blob = self._blobs[artefact]
        if blob is not None:
            return blob
        blob = self._read(artefact.hex())
        if sha256(blob) != artefact:
            raise KeyError(artefact)  # it changed while we looked: as if it were not there
        return blob

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blobs)

    def __len__(self) -> int:
        return len(self._blobs)


@dataclass(frozen=True, slots=True)
class Opening:
    """What of a session is asked before rounds are judged: its name, its terms, the bytes of its first vector."""

    sid: bytes
    round: int
    params: bytes
    vector_bytes: int  # 0 without vectors


@dataclass
class Shelves:
    """The store sorted by kind; `odd` are JSON artefacts of no kind known here."""

    artefacts: Artefacts
    misnamed: set[bytes] = field(default_factory=set[bytes])
    sessions: list[Opening] = field(default_factory=list[Opening])
    settings: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    settlements: dict[bytes, SettlementDocument] = field(default_factory=dict)
    records: dict[bytes, EmissionRecord] = field(default_factory=dict)
    validations: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    merges: list[PlainTranscript] = field(default_factory=list)
    equivocations: list[equivocation.Evidence] = field(default_factory=list)
    leaves: list[leaf_check.LeafEvidence] = field(default_factory=list[leaf_check.LeafEvidence])
    odd: dict[bytes, str] = field(default_factory=dict[bytes, str])
    lengths: dict[bytes, int] = field(default_factory=dict[bytes, int])


def shelve(names: list[str], read: Callable[[str], bytes], book: Notebook) -> Shelves:
    """Hash every file and sort it; files that are no artefacts are findings."""
    shelves = Shelves(Artefacts(read))
    for name in sorted(names):
        if not NAME.fullmatch(name):
            book.find("store-foreign", f"store/{name} is no artefact: its name is no SHA-256")
            continue
        artefact, blob = bytes.fromhex(name), read(name)
        if sha256(blob) != artefact:
            shelves.misnamed.add(artefact)
            continue
        shelves.artefacts.add(artefact, blob)
        _sort(shelves, artefact, blob)
    return shelves


def _sort(shelves: Shelves, artefact: bytes, blob: bytes) -> None:
    if blob.startswith(VALIDATION_HEAD):
        shelves.validations[artefact] = blob
        return
    if blob.startswith(SETTINGS_HEAD):
        shelves.settings[artefact] = blob
        return
    shelves.lengths[artefact] = len(blob)
    if blob[:1] == b"{" and len(blob) <= MAX_TRANSCRIPT_BYTES:
        try:
            why = _sort_json(shelves, artefact, blob)
        except RecursionError:
            why = "it is nested too deeply"
        if why:
            shelves.odd[artefact] = why
        else:
            del shelves.lengths[artefact]


def _sort_json(shelves: Shelves, artefact: bytes, blob: bytes) -> str:
    """Which of our documents this is; the first reason against it where it is none."""

    def settlement(blob: bytes) -> None:
        shelves.settlements[artefact] = decode_settlement(blob)

    def record(blob: bytes) -> None:
        shelves.records[artefact] = decode_record(blob)

    kinds: tuple[Callable[[bytes], object], ...] = (
        lambda b: shelves.sessions.append(_opening(decode_session(b))),
        decode_round,
        lambda b: shelves.merges.append(decode_plain(b)),
        decode_manifest,
        lambda b: shelves.equivocations.append(equivocation.decode(b)),
        lambda b: shelves.leaves.append(leaf_check.decode(b)),
        settlement,
        record,
    )
    whys: list[str] = []
    for decode in kinds:
        try:
            decode(blob)
        except ValueError as error:
            whys.append(str(error))
        else:
            return ""
    return whys[-1] if b'"host_id"' in blob else whys[0]


def _opening(session: SessionTranscript) -> Opening:
    opened, length = session.opened.statement, session.manifests[0].statement.length if session.manifests else 0
    return Opening(opened.sid, opened.round, opened.params, length)


def judge_rest(shelves: Shelves, lengths: frozenset[int], known: frozenset[bytes], book: Notebook) -> None:
    """What is left must be a document of ours (`known`) or have the length of a vector of this federation.

    One masked vector in 256 begins like JSON, so the length decides first.
    """
    for artefact, length in sorted(shelves.lengths.items()):
        if artefact not in known and length not in lengths:
            why = shelves.odd.get(artefact, f"no vector of a round has its {length} bytes")
            book.find("store-undecodable", f"store/{artefact.hex()} is no kind of artefact that rounds have: {why}")


def validation_from(blob: bytes, classes: tuple[str, ...]) -> Dataset:
    """The public validation rows again (`learner.validation_blob`); ValueError when the bytes are not those."""
    shape_line, _, body = blob.removeprefix(VALIDATION_HEAD).partition(b"\n")
    shape = tuple(int(n) for n in shape_line.split(b","))
    count = math.prod(shape)
    if len(shape) < 2 or min(shape) < 1 or len(body) != 4 * count + 8 * shape[0]:
        raise ValueError("a validation set whose rows do not fit its shape")
    features = np.frombuffer(body[: 4 * count], "<f4").reshape(shape).astype(np.float32)
    labels = np.frombuffer(body[4 * count :], "<i8").astype(np.int64)
    try:
        return Dataset(features, labels, classes)
    except InputError as error:
        raise ValueError(f"a validation set with labels of no class: {error}") from error
