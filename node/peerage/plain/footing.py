"""A plain-exchange engine from the settings: the same ground as a masked one, fewer rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.plain.engine import PlainEngine
from peerage.plain.rules import merge_rule_of
from peerage.plain.state import PlainRules
from peerage.rounds.aggregation import canonical
from peerage_crypto.digest import sha256
from peerage_ledger.judgement import genesis

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peerage.config import Federation
    from peerage_crypto.identity import Account
    from peerage_ledger.judgement import Federation as Ground


def plain_engine_of(
    federation: Federation, ground: Ground, account: Account, initial: NDArray[np.float32]
) -> PlainEngine:
    """An engine at the genesis of its ground."""
    timing = federation.timing
    return PlainEngine(
        rules=PlainRules(federation.rounds, timing.join, timing.stall, merge_rule_of(federation)),
        federation=ground,
        account=account,
        genesis=genesis(ground.genesis, initial, sha256(canonical(initial))),
    )
