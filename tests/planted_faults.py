"""One fault for each check of the protocol: what to change, and which tests must turn red. `scripts/planted` runs them.

Each takes one check out and leaves everything else as it is. tests/planted/ has them by what they are of.
"""

from __future__ import annotations

from planted.audit_faults import FAULTS as AUDIT
from planted.crypto_faults import FAULTS as CRYPTO
from planted.dispute_faults import FAULTS as DISPUTES
from planted.fault import Fault, planted
from planted.gradient_faults import FAULTS as GRADIENTS
from planted.ledger_faults import FAULTS as LEDGER
from planted.market_faults import FAULTS as MARKET
from planted.optimiser_faults import FAULTS as OPTIMISERS
from planted.pair_audit_faults import FAULTS as PAIRS
from planted.round_faults import FAULTS as ROUNDS
from planted.schedule_faults import FAULTS as SCHEDULES
from planted.session_faults import FAULTS as SESSION
from planted.sketch_faults import FAULTS as SKETCH
from planted.transport_faults import FAULTS as TRANSPORT

FAULTS = (
    *SESSION,
    *CRYPTO,
    *ROUNDS,
    *GRADIENTS,
    *PAIRS,
    *SKETCH,
    *LEDGER,
    *AUDIT,
    *TRANSPORT,
    *MARKET,
    *DISPUTES,
    *SCHEDULES,
    *OPTIMISERS,
)

__all__ = ["FAULTS", "Fault", "planted"]
