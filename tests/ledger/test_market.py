"""The market, from Python's digests and sealed keys to the EVM's verdicts; the auditor reads each transaction alike."""

import random
from dataclasses import astuple

import pytest

from market_twin import CHAIN, CONTENT_KEY, DELIVERY, PRICE, Twin, account, one_time
from peerage_crypto.agreement import BadKey, BadSeal
from peerage_crypto.keysale import OneTimeKey, decrypt, encrypt, is_key, open_key, seal_key
from peerage_ledger.market.statements import delisting_digest, dust_of, share_of


@pytest.fixture
def twin():
    return Twin()


def secret_of(name):
    return int.from_bytes(one_time(name).secret, "big")


def test_a_sale_pays_those_who_contributed_to_the_last_unit(twin):
    listing = twin.listed()
    sale = twin.bought(listing, 1)
    twin.delivered(sale, 1)
    receipt = twin.view("ModelMarket", "receiptOf", sale)
    assert open_key(receipt[10], sale, one_time(1), receipt[9]) == CONTENT_KEY
    twin.do(twin.buyer, "ModelMarket", "accept", sale)
    twin.do(twin.buyer, "ModelMarket", "collectMany", listing, *twin.claims())
    total = sum(twin.totals.values())
    for account_, cumulative in twin.totals.items():
        assert twin.view("PeerageToken", "balanceOf", account_) == share_of(PRICE, cumulative, total)
    dust = dust_of(PRICE, twin.totals)
    assert 0 < dust < len(twin.totals)
    assert twin.view("PeerageToken", "balanceOf", twin.at["ModelMarket"]) == dust
    assert twin.view("ModelMarket", "owed") == dust
    twin.do(twin.buyer, "ModelMarket", "collectMany", listing, *twin.claims())  # nobody is paid twice
    assert twin.view("ModelMarket", "owed") == dust
    one, cumulative, proof = (column[0] for column in twin.claims())
    assert twin.refusal(twin.buyer, "ModelMarket", "collect", listing, one, cumulative, proof) == "NothingToCollect"
    assert twin.refusal(twin.buyer, "ModelMarket", "collect", listing, one, cumulative + 1, proof) == "BadProof"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"aggregate": b"x" * 32}, "NotTheRecords"),
        ({"record": b"x" * 32}, "NotTheRecords"),
        ({"round": 2}, "NotTheRecords"),
        ({"price": 0}, "BadPrice"),
        ({"price": 1 << 128}, "BadPrice"),
        ({"price": (1 << 256) - 1}, "BadPrice"),
        ({"epoch": 0}, "WrongEpoch"),
        ({"epoch": 2}, "WrongEpoch"),
    ],
)
def test_a_listing_that_is_not_so_is_refused_by_name(twin, change, error):
    assert twin.put(twin.listing(**change)) == error


def test_a_stale_root_splits_no_new_listing_and_serves_the_old_one(twin):
    old = twin.listed()
    twin.totals = {a: n + 7 for a, n in twin.totals.items()}
    before = twin.claims()
    twin.publish(2)
    assert twin.put(twin.listing(price=5)) == "WrongEpoch"
    sale = twin.bought(old, 1)
    twin.delivered(sale, 1)
    twin.do(twin.buyer, "ModelMarket", "accept", sale)
    assert twin.refusal(twin.buyer, "ModelMarket", "collectMany", old, *before) == "BadProof"
    twin.totals = {a: n - 7 for a, n in twin.totals.items()}
    twin.do(twin.buyer, "ModelMarket", "collectMany", old, *twin.claims())


def test_forged_short_and_malleable_signatures_list_nothing(twin):
    listing = twin.listing()
    digest = listing.digest(CHAIN, twin.at["ModelMarket"])
    good = twin.signed(digest)
    stranger = account("stranger").sign(digest)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = int.from_bytes(good[0][32:64], "big")
    high = good[0][:32] + (order - s).to_bytes(32, "big") + bytes([55 - good[0][64]])
    elsewhere = [peer.sign(listing.digest(CHAIN + 1, twin.at["ModelMarket"])) for peer in twin.peers[:3]]
    for signatures in (good[:2], good[:1] * 3, good[::-1], [good[0][:64], *good[1:]], [high, *good[1:]]):
        assert twin.refusal(twin.buyer, "ModelMarket", "list", astuple(listing), twin.record.as_tuple(), signatures)
    for signatures in ([stranger, *good], elsewhere):
        assert twin.refusal(twin.buyer, "ModelMarket", "list", astuple(listing), twin.record.as_tuple(), signatures)
    twin.do(twin.buyer, "ModelMarket", "list", astuple(listing), twin.record.as_tuple(), good)
    assert twin.put(listing) == "AlreadyListed"


def test_money_comes_back_when_no_key_comes(twin):
    sale = twin.bought(twin.listed(), 1)
    assert twin.refusal(twin.buyer, "ModelMarket", "refund", sale) == "TooEarly"
    twin.do(twin.peers[0], "ModelMarket", "refund", sale, wait=DELIVERY + 1)
    assert twin.view("PeerageToken", "balanceOf", twin.buyer.address) == 10 * PRICE
    assert twin.refusal(twin.buyer, "ModelMarket", "refund", sale) == "WrongState"


def test_buying_and_delivering_twice_and_a_refund_after_delivery_are_refused(twin):
    listing = twin.listed()
    sale = twin.bought(listing, 1)
    assert twin.refusal(twin.buyer, "ModelMarket", "buy", listing, one_time(1).public) == "AlreadyBought"
    assert twin.refusal(twin.buyer, "ModelMarket", "buy", listing, (5).to_bytes(32, "big")) == "BadKey"
    assert twin.refusal(twin.buyer, "ModelMarket", "buy", b"n" * 32, one_time(2).public) == "NotListed"
    assert twin.refusal(twin.buyer, "ModelMarket", "deliver", sale, one_time(3).public, bytes(32)) == "NotAPeer"
    twin.delivered(sale, 1)
    late = twin.refusal(twin.peers[2], "ModelMarket", "deliver", sale, one_time(3).public, bytes(32))
    assert late == "WrongState"
    assert twin.refusal(twin.buyer, "ModelMarket", "refund", sale, wait=2 * DELIVERY) == "WrongState"
    twin.do(twin.peers[3], "ModelMarket", "settle", sale)
    assert twin.refusal(twin.buyer, "ModelMarket", "accept", sale) == "WrongState"


def test_a_wrong_key_is_proven_and_a_right_one_is_not(twin):
    listing = twin.listed()
    wrong, right = twin.bought(listing, 1), twin.bought(listing, 2)
    twin.delivered(wrong, 1, b"w" * 32)
    twin.delivered(right, 2)
    assert twin.refusal(twin.buyer, "ModelMarket", "complain", wrong, secret_of(2)) == "WrongSecret"
    assert twin.refusal(twin.buyer, "ModelMarket", "complain", right, secret_of(2)) == "KeyIsRight"
    assert twin.refusal(twin.buyer, "ModelMarket", "complain", wrong, 0) == "WrongSecret"
    twin.do(twin.peers[0], "ModelMarket", "complain", wrong, secret_of(1))
    assert twin.view("PeerageToken", "balanceOf", twin.buyer.address) == 9 * PRICE
    assert twin.refusal(twin.buyer, "ModelMarket", "complain", wrong, secret_of(1)) == "WrongState"


def test_what_is_off_the_market_is_not_bought(twin):
    listing = twin.listed()
    digest = delisting_digest(listing, CHAIN, twin.at["ModelMarket"])
    assert twin.refusal(twin.buyer, "ModelMarket", "delist", listing, twin.signed(digest, 2)) == "QuorumMissing"
    twin.do(twin.buyer, "ModelMarket", "delist", listing, twin.signed(digest))
    assert twin.refusal(twin.buyer, "ModelMarket", "buy", listing, one_time(1).public) == "NotListed"


@pytest.mark.parametrize("seed", range(3))
def test_evm_and_auditor_agree_on_whatever_people_do(twin, seed):
    draw = random.Random(seed)
    listings = [twin.listed(price=p) for p in (1, 333)]
    sales: list[tuple[bytes, int]] = []
    seen: set[str] = set()
    for step in range(80):
        who, wait = draw.choice([twin.buyer, twin.buyer, *twin.peers]), draw.choice([0] * 7 + [DELIVERY])
        sale, name = draw.choice(sales or [(b"n" * 32, 0)])
        act = draw.choice(["buy", "buy", "deliver", "deliver", "accept", "settle", "refund", "complain", "collect"])
        if act == "buy":
            listing = draw.choice(listings)
            key = one_time(step).public
            if twin.refusal(twin.buyer, "ModelMarket", "buy", listing, key, wait=wait) == "":
                sales.append((twin.mine_sale(listing, key), step))
        elif act == "deliver":
            mine = one_time(("sender", step))
            content = draw.choice([CONTENT_KEY, b"w" * 32])
            sealed = seal_key(content, sale, mine, one_time(name).public)
            seen.add(act + twin.refusal(who, "ModelMarket", "deliver", sale, mine.public, sealed, wait=wait))
        elif act == "complain":
            secret = secret_of(draw.choice([name, name, name + 1]))
            seen.add(act + twin.refusal(who, "ModelMarket", "complain", sale, secret, wait=wait))
        elif act == "collect":
            seen.add(act + twin.refusal(who, "ModelMarket", "collectMany", draw.choice(listings), *twin.claims()))
        else:
            seen.add(act + twin.refusal(who, "ModelMarket", act, sale, wait=wait))
        held = twin.view("PeerageToken", "balanceOf", twin.at["ModelMarket"])
        assert held == twin.view("ModelMarket", "escrowed") + twin.view("ModelMarket", "owed")
    assert {"deliver", "collect"} <= seen
    assert {"settle", "accept", "refund", "complain"} & seen


def test_a_sealed_key_opens_with_either_secret_of_its_pair_and_no_other():
    mine, theirs, sale = one_time("a"), one_time("b"), b"s" * 32
    sealed = seal_key(CONTENT_KEY, sale, mine, theirs.public)
    assert open_key(sealed, sale, theirs, mine.public) == CONTENT_KEY
    assert open_key(sealed, b"t" * 32, theirs, mine.public) != CONTENT_KEY
    assert open_key(sealed, sale, one_time("c"), mine.public) != CONTENT_KEY
    for bad in (bytes(32), (5).to_bytes(32, "big"), b"\xff" * 32, b"short"):
        assert not is_key(bad)
        with pytest.raises(BadKey):
            seal_key(CONTENT_KEY, sale, mine, bad)
    for bad in (bytes(32), b"\xff" * 32, b"short"):
        with pytest.raises(ValueError, match="one-time secret"):
            OneTimeKey.from_secret(bad)
    assert mine.secret.hex() not in repr(mine)


def test_a_changed_or_truncated_artefact_does_not_open():
    sealed = encrypt(CONTENT_KEY, b"a" * 32, b"the model")
    assert decrypt(CONTENT_KEY, b"a" * 32, sealed) == b"the model"
    for key, name, blob in (
        (b"w" * 32, b"a" * 32, sealed),
        (CONTENT_KEY, b"b" * 32, sealed),
        (CONTENT_KEY, b"a" * 32, sealed[:-1]),
        (CONTENT_KEY, b"a" * 32, b""),
        (CONTENT_KEY, b"a" * 32, sealed[:-1] + bytes([sealed[-1] ^ 1])),
    ):
        with pytest.raises(BadSeal):
            decrypt(key, name, blob)
