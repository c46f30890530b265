"""Two ends and everything a relay may try between them: keys, counters, replays, other names."""

import hashlib

import pytest

from peerage.transport import sealed
from peerage.transport.sealed import BadSeal, Channel, Ends, Replayed, as_callee, as_caller
from peerage_crypto.agreement import BadKey, SessionKeys, shared

CALLER, CALLEE, OTHER = (bytes([n]) * 20 for n in (1, 2, 3))
STATIC = {name: SessionKeys.from_secret(hashlib.sha256(name).digest()) for name in (CALLER, CALLEE, OTHER)}
ENDS = Ends(CALLER, CALLEE, STATIC[CALLER].public, STATIC[CALLEE].public)
HERS, HIS = (SessionKeys.from_secret(bytes([n]) * 32) for n in (8, 9))
SESSION = b"s" * 16


def both(session=SESSION):
    return (
        as_caller(ENDS, STATIC[CALLER].secret, session, HERS, HIS.public),
        as_callee(ENDS, STATIC[CALLEE].secret, session, HIS, HERS.public),
    )


def test_texts_go_both_ways():
    caller, callee = both()
    for n in range(3):
        assert callee.open(*caller.seal(b"there %d" % n)) == b"there %d" % n
        assert caller.open(*callee.seal(b"back %d" % n)) == b"back %d" % n


def test_the_same_text_is_never_the_same_bytes():
    caller, _ = both()
    assert len({caller.seal(b"text")[1] for _ in range(10)}) == 10


def test_a_replay_is_refused_and_so_is_what_comes_after_a_later_one():
    caller, callee = both()
    first, second = caller.seal(b"1"), caller.seal(b"2")
    assert callee.open(*second) == b"2"
    for old in (first, second):
        with pytest.raises(Replayed):
            callee.open(*old)
    assert callee.open(*caller.seal(b"3")) == b"3"


def test_a_changed_text_or_counter_does_not_open_and_moves_nothing():
    caller, callee = both()
    counter, body = caller.seal(b"text")
    for wrong in ((counter, body[:-1] + bytes([body[-1] ^ 1])), (counter + 1, body), (2**62, body), (1, b"")):
        with pytest.raises(BadSeal):
            callee.open(*wrong)
    assert callee.open(counter, body) == b"text"


def test_a_text_sent_back_to_its_sender_does_not_open():
    caller, callee = both()
    for one in (caller, callee):
        with pytest.raises(BadSeal):
            one.open(*one.seal(b"text"))


def test_a_text_of_another_session_does_not_open():
    caller, callee = both()
    elsewhere, _ = both(b"t" * 16)
    with pytest.raises(BadSeal):
        callee.open(*elsewhere.seal(b"text"))
    callee.session = b"t" * 16  # the name alone is bound too
    with pytest.raises(BadSeal):
        callee.open(*caller.seal(b"text"))


@pytest.mark.parametrize("what", ["caller", "callee", "caller_key", "callee_key"])
def test_the_keys_are_those_of_the_two_peers_by_address_and_key(what):
    names = {"caller": OTHER, "callee": OTHER, "caller_key": STATIC[OTHER].public, "callee_key": STATIC[OTHER].public}
    wrong = Ends(**({name: getattr(ENDS, name) for name in Ends.__slots__} | {what: names[what]}))
    caller, _ = both()
    with pytest.raises(BadSeal):
        as_callee(wrong, STATIC[CALLEE].secret, SESSION, HIS, HERS.public).open(*caller.seal(b"text"))


def without(secret):
    """The keys that a party computes that has all secrets but this one (a wrong one in its place)."""
    wrong = STATIC[OTHER]
    match secret:
        case "static of the caller":
            return as_caller(ENDS, wrong.secret, SESSION, HERS, HIS.public)
        case "ephemeral of the caller":
            forged = SessionKeys(HERS.public, wrong.secret)
            return as_caller(ENDS, STATIC[CALLER].secret, SESSION, forged, HIS.public)
        case "static of the callee":
            return as_callee(ENDS, wrong.secret, SESSION, HIS, HERS.public)
        case _:
            return as_callee(ENDS, STATIC[CALLEE].secret, SESSION, SessionKeys(HIS.public, wrong.secret), HERS.public)


@pytest.mark.parametrize(
    "secret", ["static of the caller", "ephemeral of the caller", "static of the callee", "ephemeral of the callee"]
)
def test_whoever_lacks_one_of_its_ends_two_secrets_opens_and_forges_nothing(secret):
    forger = without(secret)
    honest = both()[1 if "caller" in secret else 0]
    with pytest.raises(BadSeal):
        honest.open(*forger.seal(b"I am it"))
    with pytest.raises(BadSeal):
        forger.open(*honest.seal(b"secret"))


THIEF = b"?" * 32  # a secret that the thief does not have; what it can compute all the same is in its loot


def stolen(monkeypatch, **loot):
    """Let `shared` with the missing secret give what the thief knows by another way, and noise otherwise."""
    known = dict(loot.values())
    real = sealed.shared
    monkeypatch.setattr(
        sealed, "shared", lambda s, p: known.get(p, hashlib.sha256(p).digest()) if s == THIEF else real(s, p)
    )


def test_who_stole_the_called_peers_key_cannot_call_it_in_anothers_name(monkeypatch):
    """Key compromise impersonation: static with static is in the loot, and does not suffice."""
    _, callee = both()
    stolen(monkeypatch, ss=(STATIC[CALLEE].public, shared(STATIC[CALLEE].secret, STATIC[CALLER].public)))
    thief = as_caller(ENDS, THIEF, SESSION, HERS, HIS.public)
    with pytest.raises(BadSeal):
        callee.open(*thief.seal(b"I am the caller"))


def test_who_stole_the_callers_key_cannot_answer_it_in_anothers_name(monkeypatch):
    caller, _ = both()
    stolen(monkeypatch, ss=(STATIC[CALLER].public, shared(STATIC[CALLER].secret, STATIC[CALLEE].public)))
    thief = as_callee(ENDS, THIEF, SESSION, HIS, HERS.public)
    with pytest.raises(BadSeal):
        caller.open(*thief.seal(b"I am the callee"))


def test_who_guesses_the_ephemeral_keys_of_a_bad_generator_forges_nothing(monkeypatch):
    """Then static with static is all that is left."""
    _, callee = both()
    stolen(monkeypatch, se=(HIS.public, shared(HIS.secret, STATIC[CALLER].public)))
    thief = as_caller(ENDS, THIEF, SESSION, HERS, HIS.public)
    with pytest.raises(BadSeal):
        callee.open(*thief.seal(b"I am the caller"))


def test_who_recorded_and_later_steals_both_long_term_keys_reads_nothing(monkeypatch):
    caller, _ = both()
    said = caller.seal(b"secret")
    stolen(monkeypatch, es=(STATIC[CALLEE].public, shared(STATIC[CALLEE].secret, HERS.public)))
    thief = as_caller(ENDS, STATIC[CALLER].secret, SESSION, SessionKeys(HERS.public, THIEF), HIS.public)
    thief.opening = thief.sealing  # what the caller sent
    with pytest.raises(BadSeal):
        thief.open(*said)


@pytest.mark.parametrize("key", [bytes(32), (1).to_bytes(32, "little"), b"\xff" * 32, b"short"])
def test_a_key_of_low_order_or_of_another_encoding_is_refused(key):
    with pytest.raises(BadKey):
        as_callee(ENDS, STATIC[CALLEE].secret, SESSION, HIS, key)
    with pytest.raises(BadKey):
        as_caller(ENDS, STATIC[CALLER].secret, SESSION, HERS, key)


def test_no_key_is_shown():
    caller, _ = both()
    assert caller.sealing.hex() not in repr(caller)
    assert repr(caller.sealing) not in repr(caller)
    assert isinstance(caller, Channel)
