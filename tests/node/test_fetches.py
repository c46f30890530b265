"""A fetch ends once, and a lost owner ends its fetches."""

from peerage.fetches import Fetches

A, B, X, Y = b"a" * 20, b"b" * 20, b"x" * 32, b"y" * 32


def test_a_lost_owner_fails_what_was_asked_of_it_and_nothing_else():
    fetches = Fetches()
    assert all(fetches.ask(owner, artefact) for owner, artefact in ((A, X), (A, Y), (B, X)))
    assert fetches.ended(A, X)
    assert fetches.down(A) == [Y]
    assert not fetches.ended(A, Y), "it has failed already"
    assert fetches.ended(B, X)


def test_nobody_asks_a_lost_owner_until_it_is_back():
    fetches = Fetches()
    fetches.down(A)
    assert not fetches.ask(A, X)
    fetches.up(A)
    assert fetches.ask(A, X)
