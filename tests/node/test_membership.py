"""Who is there, who is fresh, whose turn it is."""

from peerage.messages import Fresh
from peerage.rounds.membership import Membership

PEERS = [bytes([i]) * 20 for i in range(1, 6)]
RECORD, OLD = b"r" * 32, b"o" * 32


def news(record: bytes = RECORD, *, ready: bool = True) -> Fresh:
    return Fresh(record, 3, bytes(32), 4, ready)


def view() -> Membership:
    membership = Membership(PEERS[0], frozenset(PEERS))
    for peer in PEERS[:4]:
        membership.heard(peer, news())
    return membership


def test_fresh_are_those_who_stand_on_my_record_with_a_free_version() -> None:
    membership = view()
    membership.heard(PEERS[1], news(OLD))
    membership.heard(PEERS[2], news(ready=False))
    assert membership.fresh(RECORD) == {PEERS[0], PEERS[3]}


def test_a_lost_peer_is_not_waited_for_until_it_is_heard_again() -> None:
    membership = view()
    membership.lost(PEERS[3])
    assert PEERS[3] not in membership.live() | membership.fresh(RECORD)
    membership.heard(PEERS[3], news())
    assert PEERS[3] in membership.fresh(RECORD)


def test_a_peer_never_heard_of_counts_as_on_its_way() -> None:
    assert PEERS[4] in view().live()


def test_enough_follows_the_size_rule_of_the_registered() -> None:
    membership = view()
    assert membership.enough(frozenset(PEERS[:4]))
    assert not membership.enough(frozenset(PEERS[:3]))


def test_everybody_agrees_on_turns_and_ranks() -> None:
    views = [Membership(p, frozenset(PEERS)) for p in PEERS]
    assert len({v.turn(RECORD, frozenset(PEERS)) for v in views}) == 1
    assert sorted(v.rank(RECORD) for v in views) == list(range(5))
    assert next(v.me for v in views if v.rank(RECORD) == 0) == views[0].turn(RECORD, frozenset(PEERS))
