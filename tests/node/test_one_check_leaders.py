"""What a region's leader says is checked where it is heard; each check is met alone."""

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from simulator import Simulation
from test_regions import a_leader, first_initiator, regional

from peerage import effects as fx
from peerage import messages as m
from peerage_crypto.session import Gathered
from peerage_crypto.statements import sign

change = msgspec.structs.replace


def heard(kind: type) -> tuple[Simulation, m.Message]:
    """The first initiator just before its leader's message of this kind arrives."""
    sim = regional(rounds=1)
    kept: list[m.Message] = []
    leader = a_leader(sim)

    def swallow(_s: Simulation, _h: object, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Send) and isinstance(effect.message, kind):
            kept.append(effect.message)
            return []
        return [effect]

    sim.cheats[leader.account.address] = swallow
    sim.start()
    while not kept or (kind is m.Products and first_initiator(sim).engine.scoring is None):
        sim.run(sim.now + 0.0005)
        assert sim.now < 60
    return sim, kept[0]


@pytest.fixture(scope="module")
def scoring() -> tuple:
    sim, products = heard(m.Products)
    return first_initiator(sim).engine.scoring, a_leader(sim).account.address, products


def test_a_leaders_numbers_are_as_many_as_its_vectors_and_add_up(scoring: tuple) -> None:
    found, leader, products = scoring
    numbers = products.numbers
    assert "do not add up" in found.on_products(leader, change(products, numbers=(numbers[0] + 1, *numbers[1:])))
    assert "not those of the vectors" in found.on_products(leader, change(products, numbers=(*numbers, 0)))
    before = dict(found.products)
    assert not found.on_products(leader, change(products, direction=bytes(32)))
    assert found.products == before, "numbers for another direction are nobody's fault, and no numbers"
    assert not found.on_products(leader, products)
    assert len(found.products) > len(before)


def test_a_leaders_word_is_signed_by_it() -> None:
    sim, gathered = heard(Gathered)
    initiator, leader = first_initiator(sim), a_leader(sim).account.address
    collector = initiator.engine.session.collector
    forged = change(gathered, signed=sign(gathered.signed.statement, initiator.account, sim.federation.domain))
    blames = [e.culprit for e in collector.on_gathered(leader, forged) if hasattr(e, "culprit")]
    assert blames == [leader]
    assert leader not in collector.gathering._words
