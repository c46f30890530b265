"""A whole round judged from its artefacts: what stands, what falls, and on whom each lie falls back."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from cohort import CHAIN, DOMAIN, LEDGER, PARAMS, PARENT, REGISTRY, Cohort, account
from peerage_crypto.digest import sha256
from peerage_crypto.fixedpoint import to_signed
from peerage_crypto.leaf_check import sum_root
from peerage_crypto.opening import open_numbers, products_of, values_digest
from peerage_crypto.secagg_collector import Step
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.statements import Opened, ResultAck, sign
from peerage_ledger.judgement import (
    NO_STATE,
    Evidence,
    Federation,
    Judged,
    Merged,
    Standing,
    genesis,
    joined,
    judge_result,
    judge_round,
    session_terms,
)
from peerage_ledger.transcript import NOTHING, ParentLink, RoundTranscript, Versioned, encode

change = msgspec.structs.replace
LENGTH = 6
START = genesis(PARENT, np.arange(LENGTH, dtype=np.float32), sha256(b"initial model"))


def merge(parent, sums, counts):
    (total,), (members,) = sums, counts
    update = to_signed(total).astype(np.int64)
    if np.abs(update).max() > 1000 * members:
        return "the sum lies outside what honest peers can add up to"
    return Merged((parent.model.astype(np.float64) + update / (4.0 * members)).astype(np.float32), NO_STATE)


class Round:
    """One honest round of four or more peers, and what an editor may do to it."""

    def __init__(self, count=5, vanish=None):
        draw = np.random.default_rng(count)
        vectors = [draw.integers(-500, 500, LENGTH).astype(np.uint32) for _ in range(count)]
        self.told = told = Cohort(count, length=LENGTH, vectors=vectors, vanish=vanish).run()
        self.proven, self.session = told.proven, told.transcript
        self.federation = Federation(
            CHAIN, REGISTRY, LEDGER, bytes(20), PARENT, PARAMS, told.plan.registered, told.plan.ring, LENGTH
        )
        self.sum_blob = ring_bytes(told.summed.total)
        self.model = merge(START, [told.summed.total], [len(self.proven.u3)]).model
        self.aggregate = sha256(np.asarray(self.model, np.float32).tobytes())
        g = np.array([3, -1, 0, 2, 5, -4], np.int64).astype(np.uint32)
        self.openings = {a: told.openings(a, g) for a in self.proven.u3}
        masked = {a: np.frombuffer(b, "<u4") for a, b in told.masked().items()}
        stated = {a: o.values for a, o in self.openings.items()}
        self.numbers = open_numbers(self.proven, self.session, products_of(masked, g, self.proven), g, stated).numbers
        self.direction = sha256(g.tobytes())

    def acks(self, who=None, **fields):
        ack = change(
            ResultAck(self.told.plan.sid, sum_root(self.sum_blob, self.told.plan.vector_bytes), self.aggregate),
            **fields,
        )
        people = [a for a in self.told.people if a.address in self.proven.u3] if who is None else who
        return tuple(sign(ack, a, DOMAIN) for a in people)

    def transcript(self, **edit):
        fields = {
            "schema": 1,
            "round": 1,
            "sid": self.told.plan.sid,
            "parents": (START.link,),
            "session": sha256(encode(self.session)),
            "sum_artefact": self.session.sum_artefact,
            "base": START.aggregate,
            "aggregate": self.aggregate,
            "versions": tuple(Versioned(a, 1) for a in self.proven.u3),
            "acks": self.acks(),
            "direction": self.direction,
            "exponent": 3,
            "openings": tuple(self.openings[a] for a in self.proven.u3),
            "numbers": tuple(self.numbers[a] for a in self.proven.u3),
        }
        return RoundTranscript(**(fields | edit))

    def judge(self, transcript=None, *, federation=None, parent=START, session=None, total=None):
        t = transcript or self.transcript()
        evidence = Evidence(sha256(encode(t)), t, t.session, session or self.session, total or self.sum_blob)
        return judge_round(federation or self.federation, parent, evidence, merge)

    def faults(self, transcript=None, **how):
        outcome = self.judge(transcript, **how)
        return [] if isinstance(outcome, Judged) else [(f.code, f.culprit) for f in outcome]


ROUND = Round()
U3 = ROUND.proven.u3
OUTSIDER = sign(ROUND.openings[U3[0]].signed.statement, account("outsider"), DOMAIN)
UNSCORED = {"direction": NOTHING, "exponent": 0, "openings": (), "numbers": (None,) * 5}


# -- what stands -------------------------------------------------------------------------------------------------------


def test_an_honest_round_leads_to_its_record_and_standing():
    judged = ROUND.judge()

    assert judged.record.record_hash() == judged.standing.record
    assert (judged.standing.round, judged.record.members, judged.record.sid) == (1, 5, ROUND.told.plan.sid)
    assert judged.standing.versions == dict.fromkeys(U3, 1)
    assert (judged.standing.model == ROUND.model).all()
    assert (judged.standing.step == (ROUND.model - START.model).astype(np.float32)).all()


def test_a_round_with_losses_holds_as_well():
    assert Round(8, {1: Step.SHARES, 4: Step.VECTORS}).faults() == []


def test_a_round_closed_without_scores_holds():
    judged = ROUND.judge(ROUND.transcript(**UNSCORED))

    assert judged.record.score_root == judged.record.emission_root == bytes(32)


def test_a_silent_survivor_needs_no_opening_of_its_own():
    assert ROUND.faults(ROUND.transcript(openings=ROUND.transcript().openings[1:])) == []


# -- what falls --------------------------------------------------------------------------------------------------------


def forged_opening(**fields):
    """The last opening with other contents, signed anew by its owner where the statement changes."""
    last = ROUND.openings[U3[-1]]
    owner = next(a for a in ROUND.told.people if a.address == U3[-1])
    statement = {k: v for k, v in fields.items() if k in {"direction", "sid"}}
    signed = sign(change(last.signed.statement, **statement), owner, DOMAIN) if statement else last.signed
    others = {k: v for k, v in fields.items() if k not in statement}
    return (*ROUND.transcript().openings[:-1], change(last, signed=signed, **others))


@pytest.mark.parametrize(
    ("code", "edit"),
    [
        ("round-schema", {"schema": 2}),
        ("round-session", {"sum_artefact": bytes(32)}),
        ("round-session", {"sid": bytes(32)}),
        ("round-parent", {"parents": ()}),
        ("round-parent", {"parents": (START.link, START.link)}),
        ("round-parent", {"parents": (ParentLink(bytes(32), 0, NOTHING),)}),
        ("round-parent", {"base": bytes(32)}),
        ("round-parent", {"round": 2}),
        ("aggregate", {"aggregate": bytes(32)}),
        ("versions", {"versions": ()}),
        ("versions", {"versions": tuple(Versioned(a, 2) for a in U3)}),
        ("ack-quorum", {"acks": ROUND.acks()[:3]}),
        ("ack-quorum", {"acks": ROUND.acks() + ROUND.acks()[:1]}),
        ("ack-signature", {"acks": (*ROUND.acks()[:4], change(ROUND.acks()[4], signature=bytes(65)))}),
        ("ack-signature", {"acks": (*ROUND.acks(), *ROUND.acks([account("outsider")]))}),
        ("ack-content", {"acks": ROUND.acks(model=bytes(32))}),
        ("ack-content", {"acks": ROUND.acks(sid=bytes(32))}),
        ("opening-shape", {"numbers": ()}),
        ("opening-shape", {"numbers": (*ROUND.transcript().numbers[:4], 2**31)}),
        ("opening-shape", {"numbers": (*ROUND.transcript().numbers[:4], -(2**63))}),
        ("opening-shape", UNSCORED | {"numbers": ()}),
        ("opening-direction", UNSCORED | {"numbers": (1, None, None, None, None)}),
        ("opening-direction", UNSCORED | {"exponent": 4}),
        ("opening-direction", {"direction": bytes(31) + b"\x01"}),
        ("opening-direction", {"openings": forged_opening(direction=bytes(32))}),
        ("opening-direction", {"openings": forged_opening(sid=bytes(32))}),
        ("opening-values", {"openings": forged_opening(values=(1, 2, 3, 4))}),
        ("opening-values", {"openings": forged_opening(values=(1, 2, 3, 2**64))}),
        ("opening-values", {"openings": forged_opening(values=(1, 2))}),
        ("opening-signature", {"openings": ROUND.transcript().openings[:1] * 2}),
        ("opening-signature", {"openings": (change(ROUND.openings[U3[0]], signed=OUTSIDER),)}),
    ],
)
def test_a_round_with_a_lie_in_it_does_not_stand(code, edit):
    assert code in [c for c, _ in ROUND.faults(ROUND.transcript(**edit))]


def test_the_openings_owner_is_convicted_only_of_what_it_signed():
    signed_elsewhere = ROUND.transcript(openings=forged_opening(direction=bytes(32)))
    changed_later = ROUND.transcript(openings=forged_opening(values=(1, 2, 3, 4)))

    assert ROUND.faults(signed_elsewhere) == [("opening-direction", U3[-1])]
    assert ROUND.faults(changed_later) == [("opening-values", None)]


def test_acknowledging_another_model_convicts_who_signed_it():
    acks = (*ROUND.acks()[:4], *ROUND.acks([ROUND.told.people[4]], model=bytes(32)))

    assert ROUND.faults(ROUND.transcript(acks=acks)) == [("ack-content", ROUND.told.people[4].address)]


def test_a_version_goes_into_one_sum_only():
    seen = Standing(**{f: getattr(START, f) for f in START.__slots__} | {"versions": {U3[2]: 1}})

    assert ROUND.faults(parent=seen) == [("version-reused", U3[2])]


def test_a_sum_out_of_bounds_is_nobodys_provable_fault():
    """The masks hide who put it in; the initiator that added it up is not to blame."""
    told = Cohort(5, length=LENGTH).run()  # updates all over the ring
    (fault,) = judge_result(ROUND.federation, START, told.transcript, ring_bytes(told.summed.total), merge)

    assert (fault.code, fault.culprit) == ("sum-bounds", None)


def test_another_sum_than_the_sessions_is_refused():
    (fault,) = judge_result(ROUND.federation, START, ROUND.session, bytes(4 * LENGTH), merge)
    assert (fault.code, fault.culprit) == ("sum-artefact", ROUND.told.plan.initiator)
    assert judge_result(ROUND.federation, START, ROUND.session, b"", merge)[0].code == "sum-artefact"


@pytest.mark.parametrize(
    "other",
    [
        {"chain_id": 1},
        {"registry": bytes(20)},
        {"round_ledger": bytes(20)},
        {"terms": bytes(32)},
        {"registered": frozenset()},
    ],
    ids=lambda o: next(iter(o)),
)
def test_a_round_of_one_federation_is_none_in_another(other):
    assert ROUND.faults(federation=replace(ROUND.federation, **other))


def test_a_session_on_another_parent_does_not_follow():
    elsewhere = replace(START, record=sha256(b"another record"))
    t = ROUND.transcript(parents=(elsewhere.link,))

    assert ROUND.faults(t, parent=elsewhere) == [("session-parent", ROUND.told.plan.initiator)]


# -- plans and terms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["sid", "parent", "nonce", "params", "initiator"])
def test_a_plan_exists_only_for_an_opening_that_names_itself(field):
    honest = ROUND.told.plan.opened
    value = bytes(20) if field == "initiator" else bytes(32)

    assert ROUND.federation.plan(honest) == ROUND.told.plan
    assert ROUND.federation.plan(change(honest, **{field: value})) is None


def test_a_plan_wants_a_registered_initiator():
    assert ROUND.federation.plan(Opened(bytes(32), 1, bytes(20), PARENT, PARAMS, bytes(32))) is None
    alone = replace(ROUND.federation, registered=ROUND.federation.registered - {ROUND.told.plan.initiator})
    assert alone.plan(ROUND.told.plan.opened) is None


def test_terms_that_differ_in_one_part_are_other_terms():
    parts = [bytes([i]) * 32 for i in range(5)]
    others = [session_terms(*parts[:i], bytes(32), *parts[i + 1 :]) for i in range(1, 5)]

    assert len({session_terms(*parts), *others, session_terms(*parts[::-1])}) == 6


def test_version_vectors_join_to_the_newer_of_each():
    a, b, c = b"a" * 20, b"b" * 20, b"c" * 20

    assert joined({a: 3, b: 1}, {b: 2, c: 5}) == {a: 3, b: 2, c: 5} == joined({b: 2, c: 5}, {a: 3, b: 1})


def test_the_digest_of_pair_numbers_is_the_one_that_was_signed():
    opening = ROUND.openings[U3[0]]

    assert opening.signed.statement.values == values_digest(opening.values)
