"""How often a chain is asked: less where nothing happens, at once where this peer wishes something."""

from types import SimpleNamespace

import pytest

from peerage_ledger.chain import BUSY_SECONDS, IDLE_SECONDS, QUIET_LOOKS, ChainLedger


def pace(quiet: int, *, pending: int = 0, busy: bool = False) -> tuple[float, int]:
    """Without a thread or a node: the pause, and how many quiet looks are counted after it."""
    ledger = SimpleNamespace(
        _sender=SimpleNamespace(busy=busy), pending=lambda: pending, _quiet=quiet, _idle=IDLE_SECONDS
    )
    return ChainLedger._pace(ledger), ledger._quiet


@pytest.mark.parametrize(
    ("quiet", "times"), [(0, 1), (QUIET_LOOKS - 1, 1), (QUIET_LOOKS, 2), (2 * QUIET_LOOKS, 4), (1000, 4)]
)
def test_a_quiet_chain_is_asked_less_and_less(quiet: int, times: int) -> None:
    assert pace(quiet) == (times * IDLE_SECONDS, quiet)


def test_what_is_pending_is_asked_for_at_once() -> None:
    assert pace(1000, pending=1) == (0.1, 0)
    assert pace(1000, busy=True)[0] == BUSY_SECONDS
