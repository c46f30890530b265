"""Equivocation: two different statements of one type that one peer signed for one session. Two signatures convict.

Each of these statements is signed once per session by an honest peer, also by one that was killed and came back: it
joins no session twice, and what it had signed it sends again byte for byte. So whoever holds two that differ needs no
witness, no clock and no log: the evidence is the two signed statements, and anybody can judge it.

A `JoinIntent` is not among them: a peer that lost its disk may join the same session again, and gains nothing by it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Generic, TypeVar

import msgspec

from peerage_crypto.digest import sha256
from peerage_crypto.identity import BadSignature
from peerage_crypto.statements import (
    MaskedUpdate,
    Opening,
    PathGradient,
    ResultAck,
    Screening,
    Signed,
    Sketch,
    Statement,
    Vote,
)

SCHEMA = 1
KINDS: dict[str, type[Statement]] = {
    kind.__name__: kind for kind in (MaskedUpdate, Vote, ResultAck, PathGradient, Opening, Sketch, Screening)
}
MAX_EVIDENCE_BYTES = 4096
REMEMBERED = 448  # statements of one signer: seven kinds in the last 64 sessions

S = TypeVar("S", bound=Statement)


class Equivocation(msgspec.Struct, Generic[S], frozen=True, forbid_unknown_fields=True):
    """The evidence, as an artefact; `equivocation` is the statements' type. The lower statement digest comes first."""

    schema: int
    equivocation: str
    first: Signed[S]
    second: Signed[S]


Evidence = Equivocation[Any]  # of one of KINDS


class _Kind(msgspec.Struct, frozen=True):
    equivocation: str


def evidence_of(domain: bytes, one: Signed[S], other: Signed[S]) -> Equivocation[S]:
    """Two statements in the order in which everybody writes them down; it proves something if `judge` says so."""
    first, second = sorted((one, other), key=lambda signed: (signed.statement.digest(domain), signed.signature))
    return Equivocation(SCHEMA, type(one.statement).__name__, first, second)


def encode(evidence: Equivocation[S]) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(evidence, order="deterministic")


def decode(blob: bytes) -> Evidence:
    """The evidence in an artefact; ValueError when it is something else, or not in its one form."""
    if len(blob) > MAX_EVIDENCE_BYTES:
        raise ValueError("an equivocation is larger than any legal one")
    try:
        kind = KINDS[msgspec.json.decode(blob, type=_Kind).equivocation]
        value = msgspec.json.decode(blob, type=Equivocation[kind])  # type: ignore[valid-type]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not an equivocation: {error}") from error
    if encode(value) != blob:
        raise ValueError("an equivocation that is not in its canonical form")
    return value


def judge_equivocation(domain: bytes, evidence: Evidence) -> bytes | str:
    """The address of whoever signed both statements; or why they convict nobody."""
    first, second = evidence.first.statement, evidence.second.statement
    if evidence.schema != SCHEMA:
        return f"an equivocation of schema {evidence.schema}, not {SCHEMA}"
    if type(first) is not type(second) or KINDS.get(evidence.equivocation) is not type(first):
        return "the statements are not of one type that is signed once per session"
    if first.sid != second.sid:
        return "the statements belong to two sessions"
    if first == second:
        return "it is one statement twice: sending it again is no fault"
    try:
        signers = evidence.first.signer(domain), evidence.second.signer(domain)
    except BadSignature as error:
        return f"a signature is none: {error}"
    if signers[0] != signers[1]:
        return "two peers signed one statement each"
    return signers[0]


class Witness:
    """Remembers the first statement of each kind, signer and session, and notices a second one that differs.

    Each signer has room of its own: whoever signs for a thousand sessions pushes out its own statements only.
    """

    def __init__(self, domain: bytes, registered: frozenset[bytes]) -> None:
        self.domain = domain
        self._first: dict[bytes, OrderedDict[tuple[str, bytes], Signed[Statement]]] = {
            peer: OrderedDict() for peer in registered
        }
        self._told: set[tuple[bytes, str]] = set()  # (signer, kind): one proof of each is enough

    def hear(self, signed: Signed[S]) -> Equivocation[S] | None:
        """Evidence, the first time that a registered peer's statement contradicts an earlier one of its own."""
        kind = type(signed.statement).__name__
        try:
            signer = signed.signer(self.domain)
        except BadSignature:
            return None
        known = self._first.get(signer)
        if known is None or kind not in KINDS:
            return None
        before = known.setdefault((kind, signed.statement.sid), signed)  # type: ignore[arg-type]
        while len(known) > REMEMBERED:
            known.popitem(last=False)
        if before.statement == signed.statement or (signer, kind) in self._told:
            return None
        self._told.add((signer, kind))
        return evidence_of(self.domain, before, signed)  # type: ignore[arg-type]


def artefact_of(evidence: Equivocation[S]) -> bytes:
    """The 32-byte name of the evidence in a store."""
    return sha256(encode(evidence))
