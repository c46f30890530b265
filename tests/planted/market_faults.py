"""Checks of the market and of the watch that Python makes: the auditor's reading, sealed keys, the masked sum."""

from __future__ import annotations

from planted.fault import Fault, unheeded

MARKET = "ledger/peerage_ledger/audit/market.py"
STATEMENTS = "ledger/peerage_ledger/market/statements.py"
KEYSALE = "crypto/peerage_crypto/keysale.py"
SESSION = "node/peerage/watching/session.py"
AT_MARKET, AT_WATCH = ("tests/ledger/test_market.py",), ("tests/ledger/test_watch.py",)

FAULTS = (
    unheeded(
        "a listing of the record's model", MARKET, "named == (terms.record, terms.aggregate, terms.round)", AT_MARKET
    ),
    unheeded("the newest rewards split the price", MARKET, "terms.epoch == published.epoch", AT_MARKET),
    unheeded("peers alone deliver", MARKET, "self.registry.is_active(sender)", AT_MARKET),
    unheeded("a purchase comes once", MARKET, "name not in self.sales", AT_MARKET),
    unheeded(
        "the secret of the buyer's key", MARKET, "mine.public == sale.buyer_key and mine.secret == shown", AT_MARKET
    ),
    unheeded(
        "no complaint of a right key", MARKET, "key_commitment(key) != sale.offer.listing.key_commitment", AT_MARKET
    ),
    unheeded("periods follow each other", MARKET, "sums.period == watched.last + 1", AT_WATCH),
    unheeded("a least number of watchers", MARKET, "sums.watchers >= watched.terms.watchers", AT_WATCH),
    Fault(
        "shares are rounded down",
        STATEMENTS,
        "return revenue * cumulative // total",
        "return -(-revenue * cumulative // total)",
        AT_MARKET,
    ),
    Fault("hysteresis", STATEMENTS, "return 0 if right >= terms.recovery * total else bad", "return 0", AT_WATCH),
    Fault(
        "a pad for one sale",
        KEYSALE,
        "return keccak256(sale + keccak256",
        "return keccak256(bytes(32) + keccak256",
        AT_MARKET,
    ),
    Fault(
        "a name in the sealed artefact",
        KEYSALE,
        "return unseal(content_key, bytes(12), ciphertext, _PURPOSE + aggregate)",
        "return unseal(content_key, bytes(12), ciphertext, ciphertext[:0] + _PURPOSE)",
        AT_MARKET,
    ),
    Fault("the proven sum", SESSION, "    if faults:\n", "    if False:\n", AT_WATCH),
)
