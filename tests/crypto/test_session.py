import json
from dataclasses import replace
from hashlib import sha256
from hmac import digest as hmac
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from cohort import DOMAIN, WIRE, Cohort, account, accounts, plan_of
from peerage_crypto.agreement import SessionKeys
from peerage_crypto.secagg_collector import Step
from peerage_crypto.secagg_member import Member
from peerage_crypto.session import (
    Dealt,
    Frozen,
    Manifest,
    Packet,
    Revealed,
    RevealedShare,
    Roster,
    RosterMessage,
    RosterRefused,
    SessionTranscript,
    is_delivery,
    join_fault,
    manifest_fault,
)
from peerage_crypto.statements import sign

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "session.json").read_text())
PEOPLE = accounts(5)
PLAN = plan_of(PEOPLE)
LOW_ORDER = [bytes(32), b"\x01" + bytes(31), (2**255 - 19).to_bytes(32, "little"), b"\xff" * 32]


def joins(plan=PLAN, people=PEOPLE):
    empty = np.zeros(plan.length, plan.ring.dtype)
    return tuple(
        Member(plan, a.address, a.sign, sha256(a.address).digest(), empty).join(
            version=1, update=bytes(32), data_manifest=bytes(32), code_manifest=bytes(32)
        )
        for a in people
    )


def changed(join, who=PEOPLE[0], **fields):
    """The same join with other fields, signed anew."""
    return sign(msgspec.structs.replace(join.statement, **fields), who, DOMAIN)


# -- rosters -----------------------------------------------------------------------------------------------------------


def test_a_roster_lists_its_members_by_address():
    roster = Roster.assemble(PLAN, joins())

    assert roster.members == tuple(a.address for a in PEOPLE)
    assert roster.limits.quorum == 4


@pytest.mark.parametrize(
    ("why", "make"),
    {
        "sorted": lambda j: (j[1], j[0], *j[2:]),
        "distinct": lambda j: (j[0], j[0], *j[1:4]),
        "signed by nobody": lambda j: (msgspec.structs.replace(j[0], signature=bytes(65)), *j[1:]),
        "registry": lambda j: (sign(j[0].statement, account("outsider"), DOMAIN), *j[1:]),
        "another session": lambda j: (changed(j[0], sid=bytes(32)), *j[1:]),
        "another session ": lambda j: (changed(j[0], round=2), *j[1:]),
        "one key for": lambda j: (changed(j[0], mask_key=j[0].statement.channel_key), *j[1:]),
        "no X25519 key": lambda j: (changed(j[0], mask_key=bytes(32)), *j[1:]),
        "legal 4 to 5": lambda j: j[:3],
        "outside the legal": lambda j: j * 200,
    }.items(),
)
def test_a_roster_that_breaks_a_rule_is_refused(why, make):
    with pytest.raises(RosterRefused, match=why.strip()):
        Roster.assemble(PLAN, make(joins()))


def test_a_federation_larger_than_one_session_refuses_its_roster_in_words():
    plan = plan_of(PEOPLE, strangers=95)

    with pytest.raises(RosterRefused, match="outside the legal 28"):
        Roster.assemble(plan, joins(plan))


@pytest.mark.parametrize("key", LOW_ORDER, ids=["zero", "one", "the field's size", "ones"])
@pytest.mark.parametrize("field", ["channel_key", "mask_key"])
def test_a_key_without_a_secret_keeps_its_join_out(field, key):
    assert join_fault(PLAN, changed(joins()[0], **{field: key})) == "a key of a join is no X25519 key"


def test_copying_somebodys_keys_keeps_nobody_out():
    honest, other, *rest = joins()
    copied = changed(other, PEOPLE[1], channel_key=honest.statement.channel_key, mask_key=honest.statement.mask_key)

    assert Roster.assemble(PLAN, (honest, copied, *rest)).members[0] == PEOPLE[0].address


def test_rosters_that_differ_in_one_version_have_different_digests():
    first, *rest = joins()

    other = Roster.assemble(PLAN, (changed(first, version=2), *rest))
    assert other.digest != Roster.assemble(PLAN, (first, *rest)).digest


def test_a_bitmap_names_members_and_nothing_else_fits():
    roster = Roster.assemble(PLAN, joins())
    some = frozenset({PEOPLE[0].address, PEOPLE[3].address, account("outsider").address})

    assert roster.bitmap(some) == b"\x09"
    assert roster.select(b"\x09") == (PEOPLE[0].address, PEOPLE[3].address)
    for hostile in (b"", b"\x20", b"\xff", b"\x09\x00", b"\x00" * 32):
        with pytest.raises(RosterRefused):
            roster.select(hostile)


# -- packets and manifests ---------------------------------------------------------------------------------------------


def test_a_packet_comes_with_its_dealers_word_for_holder_and_roster():
    told = Cohort(5).run()
    roster, frozen = (
        told.proven.roster,
        next(m for _, to, m in told.log if isinstance(m, Frozen) and to == told.addresses[2]),
    )
    first, second, holder = told.addresses[0], told.addresses[1], told.addresses[2]
    delivery = frozen.deliveries[0]
    forged = Packet(delivery.packet.sealed[:-1] + b"\x00", delivery.packet.commitments)

    assert is_delivery(roster, delivery, first, holder)
    assert not is_delivery(roster, delivery, second, holder)
    assert not is_delivery(roster, delivery, first, second)
    assert not is_delivery(roster, msgspec.structs.replace(delivery, packet=forged), first, holder)
    elsewhere = replace(roster, joins=(changed(roster.joins[0], told.people[0], version=9), *roster.joins[1:]))
    assert not is_delivery(elsewhere, delivery, first, holder)


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("manifest-view", {"u2": bytes(32)}),
        ("manifest-view", {"length": 4}),
        ("manifest-view", {"bucket": 1}),
        ("manifest-rand", {"rand": bytes(32)}),
        ("manifest-signature", {"sid": bytes(32)}),
        ("manifest-signature", {"bucket": 1 << 20}),
    ],
)
def test_a_manifest_that_does_not_fit_says_how(code, fields):
    told = Cohort(4).run()
    good, owner = told.transcript.manifests[1], told.people[1]
    roster, view = told.proven.roster, good.statement.u2
    statement = msgspec.structs.replace(good.statement, **fields)
    try:
        bad = sign(statement, owner, DOMAIN)
    except ValueError:
        bad = msgspec.structs.replace(good, statement=statement)

    assert manifest_fault(roster, view, owner.address, good) == ""
    assert manifest_fault(roster, view, told.people[2].address, good) == "manifest-signature"
    assert manifest_fault(roster, view, owner.address, bad) == code


# -- the wire ----------------------------------------------------------------------------------------------------------


def hostile_messages():
    told = Cohort(4).run()
    roster, dealt = told.said(RosterMessage)[0], told.said(Dealt)[0]
    frozen, revealed = told.said(Frozen)[0], told.said(Revealed)[0]
    manifest, change = told.said(Manifest)[0], msgspec.structs.replace
    key, statement = roster.joins[0], roster.joins[0].statement
    packet, update = dealt.packets[0], manifest.signed.statement
    yield "short sid", change(roster, sid=bytes(31))
    yield "long signature", change(roster, joins=(change(key, signature=bytes(66)),))
    yield "long key", change(roster, joins=(change(key, statement=change(statement, mask_key=bytes(33))),))
    yield "negative version", change(roster, joins=(change(key, statement=change(statement, version=-1)),))
    yield "giant version", change(roster, joins=(change(key, statement=change(statement, version=2**63)),))
    yield "long packet", change(dealt, packets=(change(packet, sealed=bytes(116)),))
    yield "two commitments", change(dealt, packets=(change(packet, commitments=packet.commitments[:2]),))
    yield "empty bitmap", change(frozen, u2=b"")
    yield "long bitmap", change(frozen, u2=bytes(33))
    yield "long proof", change(frozen, deliveries=(change(frozen.deliveries[0], proof=(bytes(32),) * 9),))
    yield "giant vector", change(manifest, signed=change(manifest.signed, statement=change(update, length=2**32)))
    yield "long share", change(revealed, shares=(RevealedShare(bytes(20), bytes(34), None, None),))
    yield "no address", change(revealed, shares=(RevealedShare(bytes(19), bytes(33), None, None),))


@pytest.mark.parametrize("case", [pytest.param(m, id=name) for name, m in hostile_messages()])
def test_a_message_with_a_hostile_length_does_not_pass_the_door(case):
    with pytest.raises(msgspec.ValidationError):
        WIRE.decode(msgspec.msgpack.encode(case))


# -- a whole session, known by heart -----------------------------------------------------------------------------------


def the_session_of_the_vector():
    case = VECTORS["session"]
    vectors = [np.array(v, np.uint32) for v in case["vectors"]]
    return Cohort(
        5, length=len(vectors[0]), vectors=vectors, vanish={case["vanishes_before_its_vector"]: Step.VECTORS}
    ).run()


def test_a_session_with_fixed_secrets_keeps_every_byte():
    case, told = VECTORS["session"], the_session_of_the_vector()
    t = told.transcript

    assert [a.hex() for a in told.addresses] == case["addresses"]
    assert told.plan.sid.hex() == case["sid"]
    assert told.proven.roster.digest.hex() == case["roster_digest"]
    assert (t.u2.hex(), t.u3.hex()) == (case["u2"], case["u3"])
    assert [told.blobs[m.statement.artefact].hex() for m in t.manifests] == case["masked"]
    assert [s.hex() for s in (*t.self_seeds, *t.mask_secrets, *t.rands)] == case["revealed"]
    assert told.summed.total.tolist() == case["sum"]
    assert sha256(msgspec.json.encode(t, order="deterministic")).hexdigest() == case["transcript"]
    assert told.proven.seed().hex() == case["seed"]


def test_the_masks_of_the_vector_follow_from_the_formula_written_a_second_time():
    case, told = VECTORS["session"], the_session_of_the_vector()
    u2, count = told.transcript.manifests[0].statement.u2, len(case["vectors"][0])

    def hkdf(ikm, salt, info):
        return hmac(hmac(salt or bytes(32), ikm, "sha256"), info + b"\x01", "sha256")

    def words(key):
        stream = Cipher(AES(key), CTR(bytes(16))).encryptor().update(bytes(4 * count))
        return np.frombuffer(stream, "<u4").astype(np.int64)

    roots = {a: sha256(b"root" + a).digest() for a in told.addresses}
    masks = {a: X25519PrivateKey.from_private_bytes(hkdf(r, b"", b"peerage/v1/mask")) for a, r in roots.items()}
    publics = {a: X25519PublicKey.from_public_bytes(key.public_key().public_bytes_raw()) for a, key in masks.items()}
    for i, peer in enumerate(told.proven.u3):
        seed = hkdf(roots[peer], b"", b"peerage/v1/self-seed")
        y = np.array(case["vectors"][told.addresses.index(peer)], np.int64)
        y += words(hkdf(seed, u2, b"peerage/v1/self" + peer + bytes([32])))
        for other in told.proven.u2:
            if other != peer:
                pair = b"peerage/v1/pair" + min(peer, other) + max(peer, other) + bytes([32])
                ends = b"peerage/v1/pair-root" + min(peer, other) + max(peer, other)
                mask = words(hkdf(hkdf(masks[peer].exchange(publics[other]), b"", ends), u2, pair))
                y += mask if other > peer else -mask
        assert (y % 2**32).astype("<u4").tobytes().hex() == case["masked"][i]


@pytest.mark.parametrize("case", VECTORS["bad_helpers"], ids=lambda c: c["why"])
def test_a_bad_helper_of_the_vector_is_named_and_changes_nothing(case):
    def lie(sender, to, message):
        if not isinstance(message, Revealed) or sender.hex() != case["helper"]:
            return message
        shares = [s for s in message.shares if s.owner.hex() not in case["withheld"]]
        wrong = [s for s in shares if s.owner.hex() in case["changed"]]
        return msgspec.structs.replace(
            message,
            shares=tuple(
                msgspec.structs.replace(s, self_seed=bytes.fromhex(case["share"])) if s in wrong else s for s in shares
            ),
        )

    told = Cohort(8, cheat=lie).run()

    assert [(b.culprit.hex(), b.sentence) for b in told.blames] == [(case["helper"], case["sentence"])]
    assert (told.summed.total == told.plain_sum(told.addresses)).all()


def test_a_transcript_reads_back_from_json_as_it_was():
    t = the_session_of_the_vector().transcript

    assert msgspec.json.decode(msgspec.json.encode(t), type=SessionTranscript) == t


def test_two_keys_of_one_peer_are_two_keys():
    join = joins()[0].statement

    assert join.channel_key != join.mask_key
    assert SessionKeys.from_secret(bytes(32)).public != join.mask_key
