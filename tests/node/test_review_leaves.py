"""Leaves of a vector that two survivors signed: a copier breaks nobody's check, and makes nobody a liar."""

from types import SimpleNamespace

import msgspec
import pytest

from cohort import Cohort
from peerage import effects as fx
from peerage import messages as m
from peerage.rounds import leaves
from peerage_crypto.buckets import FLAT, Grouping
from peerage_crypto.digest import sha256
from peerage_crypto.leaf_check import piece_of
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.session import Manifest
from peerage_crypto.statements import sign

LENGTH = 600  # three leaves of 32-bit words


def copied(grouping: Grouping, *, same_bucket: bool, root: bytes | None = None) -> tuple[Cohort, bytes, bytes]:
    """A session in which one member signs the vector of another as its own; who it is, and whose."""
    plain = Cohort(12, length=LENGTH, grouping=grouping).run()
    buckets = plain.proven.roster.buckets
    victim = next(m for m in buckets[0] if m != plain.plan.initiator)
    where = buckets[0] if same_bucket else buckets[1]
    copier = next(m for m in reversed(where) if m not in (victim, plain.plan.initiator))
    theirs = next(x.signed.statement for s, _, x in plain.log if s == victim and isinstance(x, Manifest))
    box = SimpleNamespace(told=None)

    def cheat(sender, _receiver, message):
        if sender != copier or not isinstance(message, Manifest):
            return message
        person = next(a for a in box.told.people if a.address == copier)
        s = msgspec.structs.replace(
            message.signed.statement, artefact=theirs.artefact, masked_root=root or theirs.masked_root
        )
        return msgspec.structs.replace(message, signed=sign(s, person, box.told.plan.domain))

    box.told = Cohort(12, length=LENGTH, grouping=grouping, cheat=cheat)
    return box.told.run(), copier, victim


def check_of(told: Cohort, total: bytes) -> leaves.LeafCheck:
    drawn = tuple((group, leaf) for group in range(len(told.proven.groups)) for leaf in range(2))
    sources = leaves._sources(told.proven, told.transcript)
    return leaves.LeafCheck(told.proven, told.transcript, total, None, told.plan.initiator, drawn, sources)


def tell_all(told: Cohort, check: leaves.LeafCheck) -> list[tuple[bytes, str]]:
    """Everybody answers honestly for its own vector; who is called a liar for it."""
    faults: list[tuple[bytes, str]] = []
    outcomes = {None: SimpleNamespace(leaves=check)}
    state = SimpleNamespace(outcomes=outcomes, fault=lambda culprit, why: faults.append((culprit, why)), me=b"", out=[])
    leaves.ask(state, check, 0)
    asked = [e for e in state.out if isinstance(e, fx.Send)]
    for effect in asked:
        question = effect.message
        blob = told.blobs[question.artefact]
        pieces = tuple(piece_of(blob, len(blob), leaf) for leaf in question.leaves)
        leaves.on_told(state, effect.to, m.LeavesTold(question.artefact, question.leaves, pieces))
    return faults


@pytest.mark.parametrize(("grouping", "same"), [(FLAT, True), (Grouping(2), True), (Grouping(2), False)])
def test_a_copied_vector_is_checked_for_both_who_signed_it(grouping, same):
    told, copier, victim = copied(grouping, same_bucket=same)
    artefacts = dict(zip(told.proven.u3, (s.statement.artefact for s in told.transcript.manifests), strict=True))
    assert artefacts[copier] == artefacts[victim]
    check = check_of(told, ring_bytes(told.summed.total))

    assert not tell_all(told, check)
    assert not leaves.verdict_pending(check)
    assert leaves.verdict(None, check) is True


def test_a_copier_with_another_root_makes_no_liar_of_whose_vector_it_is():
    """Only a lying initiator lets it into the sum; the owner's own leaves are good all the same."""
    told, copier, _ = copied(FLAT, same_bucket=True)
    at = told.proven.u3.index(copier)
    manifests = list(told.transcript.manifests)
    person = next(a for a in told.people if a.address == copier)
    wrong = msgspec.structs.replace(manifests[at].statement, masked_root=sha256(b"another"))
    manifests[at] = sign(wrong, person, told.plan.domain)
    transcript = msgspec.structs.replace(told.transcript, manifests=tuple(manifests))
    check = check_of(told, ring_bytes(told.summed.total))
    check.sources = leaves._sources(told.proven, transcript)

    faults = tell_all(told, check)
    assert {culprit for culprit, _ in faults} <= {copier}
    assert leaves.verdict_pending(check), "and nothing is signed"
