"""Frauds of rounds as a poster really builds them: false records with the documents that go with them.

Each takes a court and an honest round that it has not recorded yet, and gives the record and a store's documents.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from courtroom import OTHER_MODEL, STAKE
from peerage.disputes.docket import find
from peerage_crypto.digest import address_root, merkle_root, sha256
from peerage_crypto.statements import sign
from peerage_ledger.disputes.evidence import ack_leaf
from peerage_ledger.transcript import encode, score_leaf

change = msgspec.structs.replace
POSTER, FIFTH = 2, STAKE // 5


def store(*blobs: bytes) -> dict[bytes, bytes]:
    return {sha256(blob): blob for blob in blobs}


def root_of(rows) -> bytes:
    return merkle_root([account + value for account, value in rows])


def joins_left_out(court, two):
    """The whole document leaves a member out; that member acknowledged the round."""
    missing = two.proven.roster.members[5]
    kept = tuple(j for j in two.session.joins if j.signer(court.domain) != missing)
    joins = {a: v for a, v in two.tables.joins.items() if a != missing}
    record = replace(two.record, join_root=address_root(joins))
    return record, store(encode(change(two.session, joins=kept)), encode(two.transcript))


def joins_left_out_of_the_record_alone(court, two):
    missing = two.proven.roster.members[5]
    joins = {a: v for a, v in two.tables.joins.items() if a != missing}
    return replace(two.record, join_root=address_root(joins)), two.documents


def swapped(rows):
    rows = list(rows)
    return (rows[1], rows[0], *rows[2:])


def joins_out_of_order(court, two):
    """Two joins change places: no gap between neighbours says any more who is missing."""
    joins = swapped(two.session.joins)
    rows = [(j.signer(court.domain), j.statement.digest(court.domain)) for j in joins]
    return replace(two.record, join_root=root_of(rows)), store(
        encode(change(two.session, joins=joins)), encode(two.transcript)
    )


def a_join_twice(court, two):
    joins = (two.session.joins[0], *two.session.joins)
    rows = [(j.signer(court.domain), j.statement.digest(court.domain)) for j in joins]
    return replace(two.record, join_root=root_of(rows)), store(
        encode(change(two.session, joins=joins)), encode(two.transcript)
    )


def updates_out_of_order(court, two):
    shown = swapped(two.session.manifests)
    rows = [(m.signer(court.domain), m.statement.digest(court.domain)) for m in shown]
    return replace(two.record, masked_root=root_of(rows)), store(
        encode(change(two.session, manifests=shown)), encode(two.transcript)
    )


def acknowledgements_out_of_order(court, two):
    acks = swapped(sorted(two.acks, key=lambda ack: ack.signer(court.domain)))
    rows = [(ack.signer(court.domain), ack_leaf(ack)) for ack in acks]
    return replace(two.record, ack_root=root_of(rows)), store(encode(two.session), encode(two.shown(acks)))


def scores_out_of_order(court, two):
    """A score table whose first two rows have changed places: the pay rule pays nobody by it."""
    order = swapped(range(len(two.proven.u3)))
    numbers = [two.transcript.numbers[i] for i in order]
    rows = [(two.proven.u3[i], score_leaf(n, two.transcript.exponent)) for i, n in zip(order, numbers, strict=True)]
    shown = change(two.transcript, numbers=tuple(numbers))
    session = change(two.session, manifests=swapped(two.session.manifests))
    return replace(two.record, score_root=root_of(rows)), store(encode(session), encode(shown))


def emissions_out_of_order(court, two):
    openings = swapped(two.transcript.openings)
    rows = [(o.signed.signer(court.domain), o.signed.statement.emissions) for o in openings]
    return replace(two.record, emission_root=root_of(rows)), store(
        encode(two.session), encode(change(two.transcript, openings=openings))
    )


def moved_bucket(court, two):
    owner = two.proven.u3[4]
    person = next(a for a in court.people if a.address == owner)
    honest = two.manifest(owner).statement
    moved = sign(change(honest, bucket=1 - honest.bucket), person, court.domain)
    shown = tuple(moved if m.statement == honest else m for m in two.session.manifests)
    masked = two.tables.masked | {owner: moved.statement.digest(court.domain)}
    record = replace(two.record, masked_root=address_root(masked))
    return record, store(encode(change(two.session, manifests=shown)), encode(two.transcript))


def another_model(court, two):
    return replace(two.record, aggregate=OTHER_MODEL), two.documents


@dataclass(frozen=True)
class Fraud:
    build: Callable
    fault: str
    call: str
    also: tuple[str, ...] = ()  # another roster draws other buckets


PROVEN = [
    Fraud(joins_left_out, "F2", "proveOmission", also=("F4",)),
    Fraud(joins_left_out_of_the_record_alone, "F2", "proveOmission"),
    Fraud(joins_out_of_order, "F2", "proveDisorder"),
    Fraud(a_join_twice, "F2", "proveDisorder"),
    Fraud(updates_out_of_order, "F2", "proveDisorder"),
    Fraud(acknowledgements_out_of_order, "F2", "proveDisorder"),
    Fraud(scores_out_of_order, "F2", "proveDisorder"),
    Fraud(emissions_out_of_order, "F2", "proveDisorder"),
    Fraud(moved_bucket, "F4", "proveWrongDraw"),
    Fraud(another_model, "F5", "proveOtherResult"),
]


def proposed(court, documents, *right):
    return find(court.docket(documents, right))


def balances(court):
    return [court.stake(p.address) for p in court.people], court.purse(court.hunter), court.pool()
