"""The odd one out stops with a sentence; the others record it and go on."""

from dataclasses import dataclass

import msgspec
import pytest

from peerage.greeting import Greeting, Greetings, decode, difference, encode
from peerage_crypto.errors import PeerError

MINE = Greeting(b"s" * 32, b"g" * 32, b"v" * 32, (("0.weight", (4, 2)), ("0.bias", (4,))))
OTHER = msgspec.structs.replace(MINE, layout=(("0.weight", (8, 2)), ("0.bias", (8,))))


@dataclass(frozen=True)
class Peers:
    a: bytes = b"a" * 20
    b: bytes = b"b" * 20


def test_one_odd_peer_is_recorded_and_two_make_me_the_odd_one():
    greetings = Greetings(MINE)
    assert greetings.on_greeting(Peers.a, MINE) == ""
    assert "0.weight has shape" in greetings.on_greeting(Peers.b, OTHER)
    assert greetings.odd == ""
    alone = Greetings(OTHER)
    alone.on_greeting(Peers.a, MINE)
    assert alone.odd == ""
    alone.on_greeting(Peers.b, MINE)
    assert "cannot take part, 2 others" in alone.odd


def test_the_odd_one_has_explained_itself_once_all_who_differ_have_its_greeting():
    alone = Greetings(OTHER)
    alone.on_greeting(Peers.a, MINE)
    alone.on_greeting(Peers.b, MINE)
    alone.told(Peers.a)
    assert not alone.explained
    alone.told(Peers.b)
    assert alone.explained


@pytest.mark.parametrize(("field", "word"), [("settings", "settings"), ("genesis", "initial"), ("validation", "rows")])
def test_each_difference_has_its_own_words(field, word):
    assert word in difference(MINE, msgspec.structs.replace(MINE, **{field: bytes(32)}))


def test_garbage_is_its_senders_fault():
    assert decode(Peers.a, encode(MINE)) == MINE
    with pytest.raises(PeerError):
        decode(Peers.a, encode(MINE)[:-1])
