"""What a leader's word proves, and whom a leader may name."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from cohort import Cohort
from peerage_crypto.buckets import Grouping
from peerage_crypto.digest import sha256
from peerage_crypto.secagg_collector import Blame
from peerage_crypto.secagg_judge import Proven, judge_session
from peerage_crypto.secagg_leader import Leader
from peerage_crypto.secagg_sum import add_masked, ring_bytes
from peerage_crypto.session import gathered_root
from peerage_crypto.statements import BucketSum, sign

change = msgspec.structs.replace


@pytest.fixture(scope="module")
def told() -> Cohort:
    members = Cohort(12).addresses
    regions = (frozenset(members[:6]), frozenset(members[6:]))
    return Cohort(12, length=6, grouping=Grouping(regions=regions)).run()


def led(told: Cohort):
    """The same session's plan with a leader of the second region; and that leader."""
    leader = told.people[-1]
    grouping = replace(told.plan.grouping, leaders=frozenset({leader.address}))
    return replace(told.plan, grouping=grouping), leader


def word(told: Cohort, **lies) -> BucketSum:
    """What its honest leader says of the second region."""
    proven, t = told.proven, told.transcript
    group = proven.roster.buckets[1]
    manifests = dict(zip(proven.u3, t.manifests, strict=True))
    vectors = {p: told.masked()[p] for p in group}
    total = add_masked(proven.roster, {p: np.frombuffer(v, "<u4") for p, v in vectors.items()})[1]
    honest = BucketSum(
        sid=told.plan.sid,
        bucket=1,
        members=proven.roster.bitmap(frozenset(group)).ljust(32, b"\0"),
        masked_root=gathered_root(proven.roster, (manifests[p] for p in group)),
        artefact=sha256(ring_bytes(total)),
    )
    return change(honest, **lies)


def judged(told: Cohort, statement: BucketSum):
    plan, leader = led(told)
    return judge_session(plan, change(told.transcript, gathered=(sign(statement, leader, plan.domain),)))


def test_an_honest_word_stands(told):
    assert isinstance(judged(told, word(told)), Proven)


@pytest.mark.parametrize(
    "lies",
    [
        {"masked_root": sha256(b"other manifests")},
        {"members": bytes(32)},
        {"members": b"\0\xff" + bytes(30)},
        {"members": b"\xff\x0f" + bytes(30)},
    ],
    ids=["other manifests", "nobody", "beyond the roster", "of another bucket too"],
)
def test_a_word_for_other_vectors_is_its_initiators_fault(told, lies):
    """An honest initiator would not have taken it: whatever a leader saw, it does not convict the leader."""
    faults = judged(told, word(told, **lies))
    assert [(f.code, f.culprit) for f in faults] == [("session-gathered", told.plan.initiator)]


def test_a_leader_names_nobody_for_another_view_that_its_initiator_may_have_shown(told):
    plan, leader = led(told)
    roster = replace(told.proven.roster, plan=plan)
    owner = told.proven.roster.buckets[1][0]
    signed = told.members[owner].manifests[owner]
    person = next(a for a in told.people if a.address == owner)

    def heard(**lies) -> list:
        machine = Leader(roster, told.proven.u2, leader.address, leader.sign)
        return machine.on_manifest(owner, sign(change(signed.statement, **lies), person, plan.domain))

    assert not any(isinstance(e, Blame) for e in heard(u2=sha256(b"another U2")))
    assert [e.culprit for e in heard(length=4) if isinstance(e, Blame)] == [owner]
    assert [e.culprit for e in heard(rand=bytes(32)) if isinstance(e, Blame)] == [owner]
