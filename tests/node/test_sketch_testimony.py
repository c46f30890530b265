"""Two sketches, or two approvals, of one session prove a lie to whoever sees both."""

from cohort import DOMAIN, Cohort, account
from peerage import testimony
from peerage_crypto.equivocation import judge_equivocation
from peerage_crypto.sketch_messages import Approval, Cleared, Screened, Sketched
from peerage_crypto.statements import Screening, Signed, Sketch, Statement, sign

SID, LIAR = b"s" * 32, account("liar")


def signed(statement: Statement) -> Signed:
    return sign(statement, LIAR, DOMAIN)


def sketched(what: bytes) -> Sketched:
    return Sketched(SID, signed(Sketch(SID, b"u" * 32, what * 32)), b"numbers")


def test_two_sketches_convict_whether_broadcast_or_shown_by_the_initiator() -> None:
    for second in (sketched(b"b"), Screened(SID, b"\1", b"\0", (sketched(b"b"),))):
        witness = testimony.Witness(DOMAIN, frozenset([LIAR.address]))
        assert testimony.found_in(witness, sketched(b"a")) == []
        assert testimony.found_in(witness, sketched(b"a")) == []
        (evidence,) = testimony.found_in(witness, second)
        assert judge_equivocation(DOMAIN, evidence) == LIAR.address


def test_two_approvals_convict_whether_sent_or_in_a_certificate() -> None:
    one, other = (signed(Screening(SID, what * 32)) for what in (b"a", b"b"))
    for second in (Approval(SID, other), Cleared(SID, b"\1", b"b" * 32, (other,))):
        witness = testimony.Witness(DOMAIN, frozenset([LIAR.address]))
        assert testimony.found_in(witness, Approval(SID, one)) == []
        (evidence,) = testimony.found_in(witness, second)
        assert judge_equivocation(DOMAIN, evidence) == LIAR.address


def test_an_honest_session_convicts_nobody() -> None:
    told = Cohort(4)
    witness = testimony.Witness(DOMAIN, frozenset(told.addresses))
    assert [e for _, _, m in told.run().log for e in testimony.found_in(witness, m)] == []
