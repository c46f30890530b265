"""DrawJudge in Python: was a member put into another bucket than the one it was drawn into?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from peerage_crypto.buckets import Grouping
from peerage_crypto.digest import tagged
from peerage_crypto.sketch_terms import late_commitment
from peerage_ledger.disputes import shown
from peerage_ledger.disputes.shown import need, word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage_ledger.records import RoundRecord

_ROBUST = re.compile(rb"\n\[robust\]\nrule = [^\n]*\nbuckets = (\d+)\nbyzantine = \d+\nsketches = (\d+)\n?")
_JOIN_BYTES, _JOIN_RAND, _UPDATE_U2, _UPDATE_BUCKET = 320, 9, 1, 2


def check_draw(domain: bytes, federation: bytes, record: RoundRecord, draw: Sequence[Any]) -> None:
    """NotShown unless the evidence of `proveWrongDraw` proves a wrong draw; the session's name is checked already."""
    settings, at, parent, members, joins, accused, update = draw
    members = [shown.account(m) for m in members]
    need(shown.root_of(members, joins) == record.join_root, "NotATable")
    owner, value, _ = leaf = shown.leaf(accused)
    shown.check_leaf(record.masked_root, leaf)
    need(shown.digest(domain, "MaskedUpdate", update) == value, "NotThisStatement")
    need(word(update, 0) == record.sid, "OtherSession")
    buckets, sketched = _robust(settings, federation, at)
    need(buckets > 1 and len(record.parents) == 1, "NotDrawn")
    seed = record.parents[0]
    if seed != federation:
        need(shown.record(parent[0]).record_hash() == seed, "NotThisStatement")
        seed = _seed(domain, parent, sketched=sketched)
    drawn = next((i for i, b in enumerate(Grouping(buckets).split(tuple(members), seed)) if owner in b), None)
    need(drawn is not None and int.from_bytes(word(update, _UPDATE_BUCKET), "big") != drawn, "HonestDraw")


def _robust(settings: bytes, federation: bytes, at: int) -> tuple[int, bool]:
    need(tagged("peerage/federation/1", settings) == federation, "NotTheSettings")
    found = _ROBUST.match(settings, at)
    if found is None:
        raise shown.NotShown("NotTheSettings")
    return 1 if b"\n[[" in settings else int(found[1]), int(found[2]) > 0


def _seed(domain: bytes, parent: Sequence[Any], *, sketched: bool) -> bytes:
    told, members, fields, signatures, u2, rands, survivors, masked, at, update = parent
    record = shown.record(told)
    members, survivors = [shown.account(m) for m in members], [shown.account(m) for m in survivors]
    need(len(fields) == _JOIN_BYTES * len(members), "ListsDiffer")
    each = [fields[_JOIN_BYTES * i : _JOIN_BYTES * (i + 1)] for i in range(len(members))]
    joins = [shown.digest(domain, "JoinIntent", one) for one in each]
    need(shown.root_of(members, joins) == record.join_root, "NotATable")
    need(shown.root_of(survivors, masked) == record.masked_root, "NotATable")
    need(masked[at] == shown.digest(domain, "MaskedUpdate", update), "NotThisStatement")
    need(shown.roster_view(record.sid, joins, signatures, u2) == word(update, _UPDATE_U2), "NotThisStatement")
    dealt = [i for i in range(len(members)) if shown.is_set(u2, i)]
    alive = [members[i] for i in dealt if members[i] in survivors]
    need(alive == survivors and len(dealt) == len(rands), "ListsDiffer")
    for i, rand in zip(dealt, rands, strict=True):
        put_in = late_commitment(rand) if sketched and members[i] not in survivors else rand
        commitment = shown.rand_commitment(record.sid, members[i], put_in)
        need(commitment == word(each[i], _JOIN_RAND), "NotCommitted")
    return shown.seed_of(record.sid, rands)
