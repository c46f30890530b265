"""Who takes part in a green bonus, what the audit says of it, and the transfers that pay it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from peerage.audit.bonus import Reckoning, reckon
from peerage.audit.paying import check_payable, send_owed
from peerage.cli.bonus import bonus
from peerage.config import Federation, RewardSettings, ScoreSettings
from peerage.config_checks import check_federation
from peerage.config_toml import federation_hash, parse_federation
from peerage.emissions import Label
from peerage.emissions.factors import Factor
from peerage.emissions.record import PHASES, EmissionRecord, Labels, PhaseUse, Power, complete
from peerage_crypto.errors import ChainError, InputError
from peerage_crypto.identity import Account
from peerage_ledger.archive.export import export_all
from peerage_ledger.archive.reader import read_export
from peerage_ledger.audit.findings import Finding
from peerage_ledger.blueprint import DeployTerms
from peerage_ledger.bonus import BonusRule
from peerage_ledger.deploy import deploy
from peerage_ledger.devnets import devnet
from peerage_ledger.rpc import connect

if TYPE_CHECKING:
    from pathlib import Path

CREDIT = 10**18
SECOND = 1_000_000
COUNTED = Labels(cpu_dyn=Label.ATTRIBUTED, idle=Label.ATTRIBUTED, ram=Label.MODELLED, gpu=Label.ASSUMED)
FRANCE = Factor(
    country="FRA", low_mg=31_000, mid_mg=56_039, high_mg=79_000, year=2023, source="test", label=Label.MODELLED
)
GREEN = Federation(peers=4, rounds=2, rewards=RewardSettings(green_bonus=1000, green_pool=str(100 * CREDIT)))
PEERS = tuple(bytes([n] * 20) for n in (1, 2, 3, 4))


def record(who: bytes, cpu_s: int, labels: Labels = COUNTED, factor: Factor = FRANCE) -> EmissionRecord:
    train = PhaseUse(phase="train", wall_us=100 * SECOND, cpu_us=cpu_s * SECOND)
    return complete(
        peer=who,
        host_id=who.hex()[:16],
        session_us=SECOND,
        index=0,
        round=1,
        start_us=SECOND,
        end_us=101 * SECOND,
        resolution_us=0,
        power=Power(milli_cores=2000, idle_mw=0, rate_uw=3_000_000, reserved_ppm=250_000),
        labels=labels,
        use=tuple(train if phase == "train" else PhaseUse(phase=phase) for phase in PHASES),
        factor=factor,
    )


def run_of(
    records: list[EmissionRecord], *, earned: dict[bytes, int] | None = None, found: tuple[Finding, ...] = (), settled=2
) -> Any:
    """A judged run of two rounds in which these records stand under the roots of the second."""
    empty = SimpleNamespace(emissions=(), record_hash=b"\x01" * 32)
    last = SimpleNamespace(emissions=tuple((r.address, r.digest()) for r in records), record_hash=b"\x02" * 32)
    due = dict.fromkeys(PEERS, 100 * CREDIT) if earned is None else earned
    epochs = (SimpleNamespace(document=None),) if settled else ()
    accounts = SimpleNamespace(line=(empty, last), due=due, epochs=epochs, settled_rounds=settled)
    return SimpleNamespace(accounts=accounts, history=SimpleNamespace(registered=set(PEERS)), findings=found)


def reckoned(records: list[EmissionRecord], **more: Any) -> Reckoning:
    made = reckon(GREEN, bytes(32), run_of(records, **more), {r.digest(): r for r in records}, ())
    assert made is not None
    return made


HONEST = [record(peer, seconds) for peer, seconds in zip(PEERS, (50, 100, 150, 200), strict=True)]


def test_those_that_emit_less_for_their_pay_get_more_and_others_nothing() -> None:
    made = reckoned(HONEST)
    assert made.amounts == {PEERS[0]: 5 * CREDIT, PEERS[1]: 0, PEERS[2]: 0, PEERS[3]: 0}
    assert made.final
    assert made.owed == {PEERS[0]: 5 * CREDIT}
    assert made.reasons == {}
    assert "no bonus exceeds 10 % of what was earned" in made.in_words({})[0]
    line = made.told().peers[0]
    assert (line.bonus, line.paid, line.why) == (str(5 * CREDIT), "0", "")


def test_a_federation_without_one_has_none() -> None:
    assert reckon(Federation(), bytes(32), run_of(HONEST), {}, ()) is None


MODELLED = msgspec.structs.replace(COUNTED, cpu_dyn=Label.MODELLED)
NOWHERE = msgspec.structs.replace(FRANCE, label=Label.ASSUMED, country="")
OUT = {
    "implausible": (HONEST[0], (Finding("emission-floor", 1, PEERS[0], ""),), "do not hold (emission-floor)"),
    "modelled": (record(PEERS[0], 50, MODELLED), (), "its energy is modelled"),
    "no country": (record(PEERS[0], 50, factor=NOWHERE), (), "country is not given"),
}


@pytest.mark.parametrize(("first", "found", "why"), OUT.values(), ids=OUT)
def test_who_takes_no_part_is_told_why_and_counts_for_nobody(
    first: EmissionRecord, found: tuple[Finding, ...], why: str
) -> None:
    made = reckoned([first, *HONEST[1:]], found=found)
    assert why in made.reasons[PEERS[0]]
    assert made.amounts == {PEERS[1]: 10 * CREDIT // 3, PEERS[2]: 0, PEERS[3]: 0}
    assert any(why in line for line in made.in_words({PEERS[0]: "peer-01"}))
    assert why in made.of(PEERS[0])


def test_a_finding_of_another_kind_or_peer_costs_nothing() -> None:
    found = (Finding("journal-missing", None, PEERS[0], ""), Finding("emission-cap", 1, None, ""))
    assert reckoned(HONEST, found=found).amounts == reckoned(HONEST).amounts


def test_records_that_no_root_names_do_not_count_and_none_is_a_reason() -> None:
    stray = record(PEERS[0], 1)
    made = reckon(GREEN, bytes(32), run_of(HONEST[1:]), {r.digest(): r for r in [stray, *HONEST[1:]]}, ())
    assert made is not None
    assert "stands under a root" in made.reasons[PEERS[0]]
    gone = reckon(GREEN, bytes(32), run_of(HONEST), {r.digest(): r for r in HONEST[1:]}, ())
    assert gone is not None
    assert "is gone" in gone.reasons[PEERS[0]]


def test_who_earned_nothing_gets_nothing() -> None:
    made = reckoned(HONEST, earned=dict.fromkeys(PEERS[1:], CREDIT))
    assert made.reasons == {PEERS[0]: "it earned nothing"}


def test_nothing_is_owed_before_all_rounds_are_settled_nor_on_a_run_that_does_not_hold() -> None:
    early = reckoned(HONEST, settled=1)
    assert early.owed == {}
    assert "final when" in early.in_words({})[0]
    for made, found in ((early, ()), (reckoned(HONEST), (Finding("pay", 1, None, ""),))):
        with pytest.raises(InputError, match="nothing is paid"):
            check_payable(SimpleNamespace(findings=found, bonus=made))  # type: ignore[arg-type]
    check_payable(SimpleNamespace(findings=(Finding("emission-floor", 1, None, ""),), bonus=reckoned(HONEST)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rewards", "scores", "exchange", "match"),
    [
        (RewardSettings(green_bonus=500), ScoreSettings(), "masked", "without a pool"),
        (RewardSettings(green_pool="5"), ScoreSettings(), "masked", "never paid"),
        (RewardSettings(green_bonus=500, green_pool="5"), ScoreSettings(openings="off"), "masked", "nobody is paid"),
        (RewardSettings(green_bonus=500, green_pool="5"), ScoreSettings(), "plain", "nobody is paid"),
    ],
)
def test_settings_that_pay_nobody_are_refused(rewards, scores, exchange, match) -> None:
    with pytest.raises(InputError, match=match):
        check_federation(Federation(rewards=rewards, scores=scores, exchange=exchange))


def test_the_settings_are_in_the_federations_name_only_where_they_are_used() -> None:
    assert federation_hash(GREEN) != federation_hash(msgspec.structs.replace(GREEN, rewards=RewardSettings()))
    again = parse_federation('[rewards]\ngreen_bonus = 500\ngreen_pool = "7"\n', where="here")
    assert (again.rewards.green_bonus, again.rewards.green_pool) == (500, "7")
    with pytest.raises(InputError, match="green_bonus"):
        parse_federation('[rewards]\ngreen_bonus = 2001\ngreen_pool = "7"\n', where="here")


def test_transfers_on_a_chain_bear_the_tag_and_are_not_sent_twice(tmp_path: Path) -> None:
    funder = Account.from_secret(b"\x11" * 32)
    chain = devnet.start("embedded", tmp_path / "chain", accounts={funder.address: 100 * CREDIT})
    try:
        place, _ = deploy(chain.rpc_url, funder, b"\x01" * 32, DeployTerms(pool=CREDIT))
        rpc, log = connect(place.rpc, place.chain_id), tmp_path / "chain.jsonl"

        def again() -> Reckoning:
            export_all(place, log, place.rpc, told=lambda _done, _all: None)
            records = {r.digest(): r for r in HONEST}
            made = reckon(GREEN, place.federation, run_of(HONEST), records, read_export(log).transactions)
            assert made is not None
            return made

        first = again()
        assert (first.paid, send_owed(first, rpc, place, funder)) == ({}, 1)
        second = again()
        assert second.paid == {PEERS[0]: 5 * CREDIT}
        assert (second.owed, send_owed(second, rpc, place, funder)) == ({}, 0)
        assert "5.00 paid" in second.of(PEERS[0])
        rich = msgspec.structs.replace(GREEN.rewards, green_pool=str(10**40))
        many = dict.fromkeys(PEERS, 10**30 * CREDIT)
        made = reckon(
            msgspec.structs.replace(GREEN, rewards=rich),
            place.federation,
            run_of(HONEST, earned=many),
            {r.digest(): r for r in HONEST},
            (),
        )
        assert made is not None
        with pytest.raises(ChainError, match="fund it first"):
            send_owed(made, rpc, place, funder)
        assert made.rule == BonusRule(10**40, 1000)
    finally:
        chain.stop()


def test_the_command_needs_a_run_with_a_bonus(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run directory"):
        bonus(tmp_path)
    with pytest.raises(InputError, match="no run directory"):
        bonus(tmp_path, pay=True)
