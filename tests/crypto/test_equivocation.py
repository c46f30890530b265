"""Two contradicting signatures convict, one statement sent twice does not, and nobody is convicted for another."""

import json
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from cohort import DOMAIN, account
from peerage_crypto.equivocation import (
    KINDS,
    REMEMBERED,
    Witness,
    artefact_of,
    decode,
    encode,
    evidence_of,
    judge_equivocation,
)
from peerage_crypto.statements import Abstention, ResultAck, Vote, sign, signing_domain

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "equivocation.json").read_text())
THEIRS = signing_domain(VECTORS["federation"]["chain_id"], bytes.fromhex(VECTORS["federation"]["round_ledger"]))


def name(text):
    return sha256(text.encode()).digest()


def vote(who, what, session="s"):
    return sign(Vote(name(session), name(what)), account(who), DOMAIN)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["why"])
def test_the_evidence_alone_says_who_and_why_not(case):
    evidence = decode(case["evidence"].encode())
    verdict = judge_equivocation(THEIRS, evidence)

    assert artefact_of(evidence).hex() == case["artefact"]
    assert (verdict.hex() if isinstance(verdict, bytes) else verdict) == (case["culprit"] or case["why_not"])


def test_every_kind_of_statement_that_is_signed_once_has_a_vector():
    convicted = {json.loads(case["evidence"])["equivocation"] for case in VECTORS["cases"] if case["culprit"]}

    assert convicted == set(KINDS)


def test_whoever_finds_the_two_writes_down_the_same_bytes():
    one, other = vote("a", "one"), vote("a", "other")

    assert encode(evidence_of(DOMAIN, one, other)) == encode(evidence_of(DOMAIN, other, one))


@pytest.mark.parametrize(
    "edit",
    [
        lambda e: e | {"equivocation": "JoinIntent"},
        lambda e: e | {"equivocation": "ResultAck"},
        lambda e: e | {"more": 1},
        lambda e: {k: e[k] for k in ("equivocation", "schema", "first", "second")},
        lambda e: e | {"first": None},
    ],
    ids=["a kind that may be signed again", "another kind", "a field more", "another order", "nothing"],
)
def test_bytes_that_are_not_the_one_form_are_no_evidence(edit):
    evidence = json.loads(VECTORS["cases"][1]["evidence"])

    with pytest.raises(ValueError, match="equivocation"):
        decode(msgspec.json.encode(edit(evidence)))


def test_a_witness_tells_once_of_each_liar():
    witness = Witness(DOMAIN, frozenset({account("a").address}))

    assert witness.hear(vote("a", "one")) is None
    evidence = witness.hear(vote("a", "other"))
    assert judge_equivocation(DOMAIN, evidence) == account("a").address
    assert witness.hear(vote("a", "a third")) is None


def test_a_witness_hears_no_fault_in_what_honest_peers_say():
    witness = Witness(DOMAIN, frozenset({account("a").address, account("b").address}))
    said = [
        vote("a", "one"),
        vote("a", "one"),  # sent again after a restart
        vote("b", "other"),
        vote("a", "other", session="t"),
        sign(ResultAck(name("s"), name("sum"), name("model")), account("a"), DOMAIN),
        sign(Abstention(name("s"), 1), account("a"), DOMAIN),
        vote("stranger", "one"),
        vote("stranger", "other"),
    ]

    assert [witness.hear(signed) for signed in said] == [None] * len(said)


def test_who_signs_for_a_thousand_sessions_pushes_out_nobody_elses_statement():
    witness = Witness(DOMAIN, frozenset({account("a").address, account("b").address}))
    witness.hear(vote("a", "one"))
    for number in range(REMEMBERED + 10):
        witness.hear(vote("b", "one", session=f"{number}"))

    assert judge_equivocation(DOMAIN, witness.hear(vote("a", "other"))) == account("a").address
    assert witness.hear(vote("b", "other", session="0")) is None  # forgotten: bounded memory
