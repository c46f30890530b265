"""Peers' journals: hash-chained over raw bytes, sealed by signatures; read line by line, believed for what is sealed.

A line is `{"schema", "seq", "prev", "peer", "round", "kind", ...}`; `prev` is the SHA-256 of the raw line before it. A
`seal` line carries its owner's signature under the line before it. A journal says what its owner signed and when it
stood where: contradictions between journals and transcripts name a peer.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from peerage_crypto.digest import sha256, tagged
from peerage_crypto.identity import BadSignature, recover
from peerage_ledger.audit.findings import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage_ledger.audit.findings import Notebook

SCHEMA: Final = 1
FIRST_PREV: Final = "00" * 32
ONCE: Final = frozenset(  # per session
    {"ShareKeys", "MaskedUpdate", "Vote", "Abstention", "ResultAck", "PathGradient", "Opening"}
)


class Line(msgspec.Struct, frozen=True):
    """What every line has; the rest is in `fields`."""

    schema: int
    seq: int
    prev: str
    peer: str
    round: int
    kind: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line in its place."""

    number: int
    round: int
    kind: str
    fields: Mapping[str, Any]


@dataclass
class Journal:
    """What one peer wrote; `sealed_end`: it closed its journal itself."""

    name: str
    peer: bytes | None
    entries: list[Entry] = field(default_factory=list[Entry])
    sealed_end: bool = False

    def of(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == kind]


def read_journal(name: str, raw: bytes, book: Notebook, known: bytes | None = None) -> Journal:
    """Everything that is wrong with the bytes of one journal; `known` is the address that the owner must have."""
    journal, prev = Journal(name, known), FIRST_PREV
    body = raw.split(b"\n")
    if body.pop():
        book.find("journal-line", f"{name}: line {len(body) + 1} of its journal is torn", peer=journal.peer)
    for number, line in enumerate(body, 1):
        _read_line(journal, number, line, prev, book)
        prev = sha256(line).hex()
    last = journal.entries[-1] if journal.entries else None
    journal.sealed_end = last is not None and last.kind == "seal" and last.fields.get("end") is True
    if last is not None and last.kind != "seal":
        unsealed = len(journal.entries) - max(
            (i for i, e in enumerate(journal.entries, 1) if e.kind == "seal"), default=0
        )
        book.note(f"{name}: the last {unsealed} lines of its journal carry no signature of its own")
    book.count("journal lines", len(body))
    return journal


def _read_line(journal: Journal, number: int, line: bytes, prev: str, book: Notebook) -> None:
    where = f"{journal.name}: line {number} of its journal"
    try:
        head, fields = msgspec.json.decode(line, type=Line), msgspec.json.decode(line)
        peer = _address(head.peer)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        book.find("journal-line", f"{where} cannot be read: {error}", peer=journal.peer)
        return
    if journal.peer is None:
        journal.peer = peer
    if peer != journal.peer:
        book.find("journal-peer", f"{where} is written for another peer", round_=head.round, peer=journal.peer)
    if head.schema != SCHEMA or head.seq != number - 1:
        book.find("journal-chain", f"{where} has another schema or number", round_=head.round, peer=journal.peer)
    if head.prev != prev:
        sentence = f"{where} does not follow from the line before it: one was changed, added or taken out"
        book.find("journal-chain", sentence, round_=head.round, peer=journal.peer)
    entry = Entry(number, head.round, head.kind, fields)
    journal.entries.append(entry)
    if head.kind == "seal":
        _check_seal(journal, entry, head.prev, where, book)


def _address(text: str) -> bytes:
    peer = bytes.fromhex(text.removeprefix("0x"))
    if len(peer) != 20:
        raise ValueError("its peer is no address")
    return peer


def seal_digest(previous: bytes, *, end: bool) -> bytes:
    """What a seal signs: the hash of the line before it, and whether it is the last."""
    return tagged("peerage/journal/end/v1" if end else "peerage/journal/seal/v1", previous)


def _check_seal(journal: Journal, entry: Entry, prev: str, where: str, book: Notebook) -> None:
    try:
        digest = seal_digest(bytes.fromhex(prev), end=entry.fields.get("end") is True)
        signer = recover(digest, bytes.fromhex(str(entry.fields.get("signature", "")).removeprefix("0x")))
    except (BadSignature, ValueError) as error:
        book.find("journal-seal", f"{where} is no seal: {error}", round_=entry.round, peer=journal.peer)
        return
    if signer != journal.peer:
        book.find("journal-seal", f"{where} is sealed by somebody else", round_=entry.round, peer=journal.peer)
    book.count("signatures")


@dataclass
class Signatures:
    """Who signed what: (peer, sid, type) -> digests, from journals and from transcripts."""

    digests: dict[tuple[bytes, bytes, str], dict[bytes, int]] = field(default_factory=dict)

    def add(self, peer: bytes, sid: bytes, kind: str, digest: bytes, round_: int) -> None:
        self.digests.setdefault((peer, sid, kind), {})[digest] = round_

    def add_journal(self, journal: Journal, book: Notebook) -> None:
        for entry in [*journal.of("signed"), *journal.of("scale:signed")]:
            try:
                sid, digest = bytes.fromhex(str(entry.fields["sid"])), bytes.fromhex(str(entry.fields["digest"]))
                kind = str(entry.fields["type"])
            except (KeyError, ValueError):
                sentence = f"{journal.name}: line {entry.number} of its journal names no statement"
                book.find("journal-line", sentence, round_=entry.round, peer=journal.peer)
                continue
            if journal.peer is not None:
                self.add(journal.peer, sid, kind, digest, entry.round)

    def check(self, book: Notebook) -> None:
        """Two digests of one type by one signer in one session; and a vote beside the word never to vote."""
        for (peer, sid, kind), digests in sorted(self.digests.items()):
            round_ = next(iter(digests.values()))
            if kind in ONCE and len(digests) > 1:
                sentence = f"{name_of(peer)} signed {len(digests)} different {kind} statements in one session"
                book.find("equivocation", sentence, round_=round_, peer=peer)
            if kind == "Vote" and (peer, sid, "Abstention") in self.digests:
                sentence = f"{name_of(peer)} voted in a session in which it signed that it never would"
                book.find("equivocation", sentence, round_=round_, peer=peer)


def check_journalled(journals: Sequence[Journal], found: Signatures, book: Notebook) -> None:
    """A peer writes down what it signs before it signs: a statement in a transcript that its journal lacks is a fault.

    `found` holds the statements of the transcripts alone.
    """
    signed: defaultdict[bytes, list[tuple[bytes, str, dict[bytes, int]]]] = defaultdict(list)
    for (peer, sid, kind), digests in sorted(found.digests.items()):
        signed[peer].append((sid, kind, digests))
    for journal in journals:
        own, peer = Signatures(), journal.peer or b""
        own.add_journal(journal, book)
        for sid, kind, digests in signed[peer]:
            for digest, round_ in digests.items():
                if digest not in own.digests.get((peer, sid, kind), {}):
                    sentence = f"{journal.name} signed a {kind} in round {round_} that its journal does not hold"
                    book.find("unjournalled", sentence, round_=round_, peer=peer)


def check_ends(journals: Sequence[Journal], lost: frozenset[str], *, finished: bool, book: Notebook) -> None:
    """A finished run's journals end with a seal of their own, but for peers that were lost on the way."""
    for journal in journals:
        if journal.sealed_end:
            continue
        if finished and journal.name not in lost:
            book.find(
                "journal-end", f"{journal.name}: its journal has no sealed end: lines may be missing", peer=journal.peer
            )
        else:
            book.note(f"{journal.name}: its journal has no sealed end (the peer was lost or still runs)")
