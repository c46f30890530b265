"""`peerage contrast` on records made of numbers: what is counted, and when an order counts as reproduced."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from peerage.cli.main import app
from peerage.config import MergeSettings
from peerage.contrast import orderings as o
from peerage.contrast.amounts import COMPONENTS, Component, Metered, metered
from peerage.contrast.contrast import Contrast, Example, concluded
from peerage.contrast.decisions import Verdict, Weighed, agreed, exactly, less
from peerage.contrast.grid import Plan, built, checked, federation_of, merge_of
from peerage.contrast.measuring import by_round, side_of
from peerage.contrast.page import page
from peerage.contrast.side import Cell, Side, stop
from peerage.contrast.words import example_words, in_words
from peerage.emissions import HostProbe, Label
from peerage.emissions.factors import Factor
from peerage.emissions.labels import RAM_SPREAD, Band, spread, widen
from peerage.emissions.network import PRESETS
from peerage.emissions.record import Labels, PhaseUse, Power, complete
from peerage.metrics import RoundMetrics
from peerage_crypto.errors import InputError, OurError

if TYPE_CHECKING:
    from pathlib import Path

    from peerage.emissions import EmissionRecord

HOST = ("ab" * 8, 1480, 2_760_000)
YES, NO, OPEN = Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.UNDECIDED


def factor(country: str, low: int, mid: int, high: int) -> Factor:
    return Factor(
        country=country, low_mg=low, mid_mg=mid, high_mg=high, year=2023, source="a table", label=Label.MODELLED
    )


FRANCE = factor("FRA", 31_000, 56_000, 79_000)
PROBE = HostProbe(
    host_id=HOST[0],
    cpu_model="made up",
    tdp_mw=0,
    milli_cores=64_000,
    idle_mw=1480,
    rate_uw=2_760_000,
    cap_mw=700_000,
    ram_bytes=64 << 30,
    cpu_label=Label.MODELLED,
    factor=FRANCE,
    tool="test",
    wall_us=0,
    mono_us=0,
)
GRIDS = {("p", "FRA"): FRANCE, ("p", "CHN"): factor("CHN", 485_000, 582_000, 975_000)}


def used(
    dynamic: int, idle: int = 0, ram: int = 0, label: Label = Label.MODELLED, power: tuple[Any, ...] = (HOST,)
) -> Metered:
    """Joules."""
    uj = {"cpu_dyn": dynamic * 10**6, "idle": idle * 10**6, "ram": ram * 10**6, "gpu": 0}
    parts = {name: Component(uj[name], Label.MODELLED if name == "ram" else label) for name in COMPONENTS}
    ends = [widen(part.uj, part.ends(name)) for name, part in parts.items()]
    whole = Band(*(sum(getattr(end, side) for end in ends) for side in ("low", "mid", "high")))
    return Metered(
        **parts,
        energy_uj=whole,
        label=label,
        co2e_ug=whole,
        co2e_label=label,
        place="FRA",
        source="a table",
        by_phase_uj={"train": uj["cpu_dyn"]},
        power=power,
        records=1,
    )


def weighed(amount: Metered, weight: Band = exactly(1), *, whole: bool = True) -> Weighed:  # noqa: B008 - frozen
    return Weighed(amount, weight, whole)


def test_bands_that_do_not_touch_decide_and_bands_that_do_say_so() -> None:
    apart = less(weighed(used(10)), weighed(used(50)))  # 5..20 and 25..100
    assert (apart.own, apart.common, apart.why) == (YES, YES, "")
    assert less(weighed(used(50)), weighed(used(10))).own is NO
    near = less(weighed(used(10)), weighed(used(39)))  # 5..20 and 19.5..78
    assert (near.own, near.common, near.common_known) == (OPEN, YES, True)
    assert near.why == "the bands overlap"
    assert less(weighed(used(39)), weighed(used(10))).common is NO


def test_a_common_error_is_none_where_the_parts_differ_in_both_directions() -> None:
    busy, idle = used(10, idle=3), used(4, idle=11)  # 13 J and 15 J, and either may be the more
    assert less(weighed(busy), weighed(idle)).common is OPEN
    assert less(weighed(idle), weighed(busy)).common is OPEN
    assert less(weighed(used(10, idle=3)), weighed(used(11, idle=4))).common is YES


def test_two_hosts_or_a_counters_share_have_no_common_error() -> None:
    other = (("cd" * 8, 1480, 2_760_000),)
    found = less(weighed(used(10)), weighed(used(20, power=other)))
    assert (found.own, found.common, found.common_known) == (OPEN, OPEN, False)
    shares = less(weighed(used(10, label=Label.ATTRIBUTED)), weighed(used(14, label=Label.ATTRIBUTED)))
    assert (shares.own, shares.common) == (OPEN, OPEN)  # 8..12 and 11.2..16.8: each share has an error of its own
    moving = (HOST, (HOST[0], HOST[1], HOST[2] + 1))
    assert not less(weighed(used(10, power=moving)), weighed(used(11, power=moving))).common_known


def test_what_did_not_get_there_is_a_lower_bound_and_proves_only_that_it_is_more() -> None:
    cut, whole = weighed(used(50), whole=False), weighed(used(10))
    assert less(whole, cut).own is YES
    assert less(cut, whole).own is NO
    assert less(weighed(used(10), whole=False), weighed(used(50))).own is OPEN
    assert less(weighed(used(50)), weighed(used(10), whole=False)).own is OPEN
    assert "lower bound" in less(whole, cut).why
    both = less(weighed(used(10), whole=False), weighed(used(50), whole=False))
    assert (both.own, both.why) == (OPEN, "neither reached the target")


energies = st.integers(0, 1000)
factors = st.fractions(0, 1)


@given(
    a=st.tuples(energies, energies, energies), b=st.tuples(energies, energies, energies), f=st.tuples(*[factors] * 3)
)
def test_whatever_the_model_is_off_by_a_decided_order_holds(
    a: tuple[int, int, int], b: tuple[int, int, int], f: tuple[Any, ...]
) -> None:
    """Any factor within the bands, drawn: the true energies keep the order that was said."""
    found = less(weighed(used(*a)), weighed(used(*b))).common
    ends = [spread(Label.MODELLED), spread(Label.MODELLED), RAM_SPREAD]
    gap = sum((y - x) * (low + share * (high - low)) for x, y, share, (low, high) in zip(a, b, f, ends, strict=True))
    if found is YES:
        assert gap > 0
    if found is NO:
        assert gap < 0
    mirrored = less(weighed(used(*b)), weighed(used(*a))).common
    assert {found, mirrored} in ({YES, NO}, {OPEN})


def record(number: int, cpu_s: int, sent: int = 0, factor: Factor = FRANCE) -> EmissionRecord:
    return complete(
        peer=bytes(20),
        host_id=HOST[0],
        session_us=0,
        index=number - 1,
        round=number,
        start_us=(number - 1) * 10**7,
        end_us=number * 10**7,
        resolution_us=0,
        power=Power(milli_cores=2000, idle_mw=1480, rate_uw=2_760_000, reserved_ppm=1_000_000),
        labels=Labels(cpu_dyn=Label.MODELLED, idle=Label.MODELLED, ram=Label.MODELLED, gpu=Label.ASSUMED),
        use=tuple(
            PhaseUse(phase=phase, wall_us=10**7 * (phase == "train"), cpu_us=cpu_s * 10**6 * (phase == "train"))
            if phase != "exchange"
            else PhaseUse(phase=phase, bytes_out=sent)
            for phase in ("wait", "train", "mask", "exchange", "unmask", "score", "ledger")
        ),
        factor=factor,
    )


CELL = Cell(data="digits", partition="iid", optimiser="fedavg")


def test_energy_counts_until_the_round_that_first_reached_the_target() -> None:
    records = [record(number, 5, sent=1000) for number in (1, 2, 3, 4)]
    curve = (0.1, 0.7, 0.92, 0.89, 0.95)
    found = side_of(CELL, 0.9, curve, records, ())
    assert (found.reached, found.rounds, found.accuracy, found.metered.records) == (True, 2, 0.92, 2)
    assert found.metered.energy_uj == records[0].energy_uj + records[1].energy_uj
    assert found.metered.label is Label.MODELLED
    assert found.metered.by_phase_uj["train"] == found.metered.energy_uj.mid
    assert (found.bytes_out, found.seconds) == (2000, 20.0)
    assert found.joules_per_point == pytest.approx(found.metered.joules / 82)
    short = side_of(CELL, 0.99, curve, records, ())
    assert (short.reached, short.rounds, short.metered.records) == (False, 4, 4)
    assert stop((0.95, 0.2, 0.91), 0.9) == (2, True)  # the first model is nobody's training
    worse = side_of(CELL, 0.99, (0.5, 0.4, 0.4, 0.4, 0.4), records, ())
    assert worse.joules_per_point is None


def test_grams_are_those_of_the_sum_and_no_record_is_no_zero() -> None:
    crumbs = [msgspec.structs.replace(record(n, 0), energy_uj=Band(10_000, 20_000, 40_000)) for n in range(1, 101)]
    assert metered(crumbs[:1]).co2e_ug.mid == 0
    assert metered(crumbs).co2e_ug.mid == 31  # 2 J at 56 g/kWh
    with pytest.raises(InputError, match="its energy is unknown"):
        metered([])


def side(amount: Metered, rounds: int = 3, *, sent: int = 0, reached: bool = True, **cell: Any) -> Side:
    named = {"data": "digits", "partition": "iid", "optimiser": "fedavg"} | cell
    return Side(
        cell=Cell(**named),
        target=0.9,
        reached=reached,
        rounds=rounds,
        curve=(0.1, *(0.5,) * (rounds - 1), 0.91 if reached else 0.6),
        metered=amount,
        seconds=1.0,
        bytes_out=sent,
        findings=0,
    )


def asked(claim: str, *sides: Side, pue: int = 1000) -> list[o.Statement]:
    return [one for one in o.orderings(sides, pue, GRIDS) if one.claim == claim]


def test_a_the_networks_share_is_compared_without_any_figure_for_a_byte() -> None:
    one, five = side(used(10), sent=4000), side(used(9), sent=1000, epochs=5)
    (found,) = asked(o.SHARE, one, five)
    assert (found.own, found.common) == (OPEN, YES)
    assert "ccf" in found.figures
    for preset in PRESETS.values():
        shares = [p.mid / (p.mid + s.metered.energy_uj.mid) for s in (one, five) for p in [preset.energy(s.bytes_out)]]
        assert shares[0] > shares[1]
    (other,) = asked(o.SHARE, side(used(40), sent=4000), side(used(9), sent=1000, epochs=5))
    assert other.common is NO


def test_b_federated_against_one_place_with_what_its_building_adds() -> None:
    centre, run = side(used(10), optimiser=""), side(used(15))
    assert asked(o.MORE, centre, run)[0].common is YES
    assert asked(o.MORE, centre, run, pue=1600)[0].common is NO
    assert asked(o.WITHIN, centre, run)[0].own is YES
    assert asked(o.WITHIN, centre, side(used(5000)))[0].own is NO
    assert asked(o.MORE, run) == []  # nothing is said without the other side


def test_c_france_against_a_dirtier_grid_with_both_factors_bands() -> None:
    claim = o.abroad("CHN", "p")
    centre = side(used(10), optimiser="")
    assert asked(claim, centre, side(used(10)))[0].common is YES  # 31..79 g against 485..975 g
    assert asked(claim, centre, side(used(62)))[0].common is OPEN  # 62 x 79 > 10 x 485, and 62 x 31 < 10 x 975
    assert asked(claim, centre, side(used(400)))[0].common is NO
    assert asked(claim, centre, side(used(10)))[0].own is YES


def test_d_optimisers_local_epochs_and_rounds() -> None:
    plain, adam = side(used(20)), side(used(15), optimiser="fedadam")
    assert [one.common for one in asked(o.ALIKE, plain, adam)] == [YES]
    skewed = [side(used(20), partition="dirichlet:0.3"), side(used(15), partition="dirichlet:0.3", optimiser="fedadam")]
    assert [one.common for one in asked(o.SKEWED, *skewed)] == [NO]
    assert asked(o.LOCAL, side(used(20)), side(used(9), epochs=5))[0].common is YES
    alike = side(used(1), rounds=4)
    for rounds, reached, verdict in ((5, True, YES), (4, True, NO), (4, False, YES), (3, False, OPEN)):
        (found,) = asked(o.ROUNDS, alike, side(used(1), rounds=rounds, reached=reached, partition="dirichlet:0.3"))
        assert found.own is verdict, (rounds, reached)
    nobody = side(used(1), rounds=4, reached=False)
    assert asked(o.ROUNDS, nobody, side(used(1), rounds=5, partition="dirichlet:0.3"))[0].own is OPEN


def test_seeds_that_disagree_decide_nothing_and_what_was_not_run_says_so() -> None:
    seeds = [
        side(used(20), seed=0),
        side(used(9), epochs=5, seed=0),
        side(used(9), seed=1),
        side(used(20), epochs=5, seed=1),
    ]
    (told,) = o.over_the_grid(asked(o.LOCAL, *seeds), {o.LOCAL: ""})
    assert (told.common, told.split) == ({OPEN: 1}, 1)
    (alike,) = o.over_the_grid(asked(o.LOCAL, *seeds[:2]), {o.LOCAL: ""})
    assert (alike.common, alike.split) == ({YES: 1}, 0)
    (absent,) = o.over_the_grid([], {o.ALIKE: "FedAdam is not built"})
    assert (absent.own, absent.why) == ({Verdict.NOT_RUN: 1}, "FedAdam is not built")
    assert agreed([]) is Verdict.NOT_RUN


def grid() -> Contrast:
    sides = (
        side(used(1), optimiser=""),
        side(used(20), sent=4000),
        side(used(9), sent=900, epochs=5),
        side(used(30), reached=False, sent=10, partition="<b>dirichlet"),
    )
    return concluded(Plan(), (1.67, "a source"), sides, GRIDS)


def test_words_page_and_document_say_the_same_with_label_band_and_source() -> None:
    told = grid()
    text = in_words(told)
    assert "modelled" in text
    assert "90 %: not reached" in text
    assert "10.0 to 40.0" in text  # the band of 20 J
    assert "FRA, location-based, a table" in text
    assert "green" not in text.lower()
    for claim in (o.SHARE, o.MORE, o.WITHIN, o.LOCAL, o.ALIKE, o.SKEWED, o.ROUNDS):
        assert claim in text
    html = page(told)
    assert html.count("<svg") == 2
    assert "by phase" in html
    assert "<script" not in html
    assert "<b>dirichlet" not in html
    assert escape("<b>dirichlet") in html
    again = msgspec.json.decode(msgspec.json.encode(told), type=Contrast)
    assert again == told
    assert {one["claim"] for one in json.loads(msgspec.json.encode(told))["orderings"]} == {
        one.claim for one in told.orderings
    }


def test_seeds_that_disagree_are_said_to() -> None:
    seeds = [side(used(20)), side(used(9), epochs=5), side(used(9), seed=1), side(used(20), epochs=5, seed=1)]
    text = in_words(concluded(Plan(), (1.67, "a source"), tuple(seeds), GRIDS))
    line = next(line for line in text.splitlines() if line.startswith(o.LOCAL))
    assert line.endswith("not decidable 1 of 1 (seeds disagree at 1)")


def test_a_side_with_findings_is_said_to_prove_nothing() -> None:
    bad = msgspec.structs.replace(side(used(20)), findings=1)
    text = in_words(concluded(Plan(), (1.67, "a source"), (bad,), GRIDS))
    assert "Found fault with: digits, iid, FedAvg, 1 local epoch, seed 0" in text
    assert "passed" not in text


def test_the_chapters_figure_is_set_beside_ours_and_not_claimed() -> None:
    for joules, words in ((100, "not within an order"), (7_000, "this is within an order")):
        amount = msgspec.structs.replace(used(joules), co2e_ug=Band(1, joules * 15, 2 * joules * 15))
        told = example_words(Example(example="MLP", rows=60_000, side=side(amount, optimiser="")))
        assert words in told
        assert "0.000106 kg" in told


def test_the_model_of_a_round_is_the_one_that_most_peers_adopted() -> None:
    lines = {
        "a": [RoundMetrics(round=1, aggregate="x"), RoundMetrics(round=2, aggregate="z")],
        "b": [RoundMetrics(round=1, aggregate="x"), RoundMetrics(round=2, aggregate="y")],
        "c": [RoundMetrics(round=1, aggregate="w"), RoundMetrics(round=2, aggregate="y")],
    }
    assert by_round(lines) == ("x", "y")
    with pytest.raises(OurError, match="no model of some round"):
        by_round({"a": [RoundMetrics(round=2, aggregate="z")]})


def test_the_grid_has_both_sides_of_every_cell_and_names_what_is_not_built() -> None:
    plan = checked(Plan())
    cells = list(plan.cells())
    known = [name for name in plan.optimisers if built(name)]
    assert len(cells) == 2 * 2 * len(known)
    assert {(c.data, c.partition, c.seed) for c in cells} == {(c.data, c.partition, c.seed) for c in plan.centres()}
    assert set(plan.missing) == set(plan.optimisers) - set(known)
    settings = federation_of(cells[0], plan)
    assert (settings.exchange, settings.training.epochs, settings.rounds) == ("masked", 1, plan.rounds)
    if "optimiser" in MergeSettings.__struct_fields__:
        assert merge_of("fedavg") != merge_of("fedadam")
    else:
        assert merge_of("fedavg").momentum == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "cifar"], "'cifar' is not among the data sets here: use digits or mnist"),
        (["--data", "mnist"], "mnist needs --data-dir"),
        (["--full"], "mnist needs --data-dir"),
        (["--target", "1.5"], "--target 1.5 is no share of the test rows"),
        (["--optimiser", "sgd"], "'sgd' is no optimiser that is contrasted"),
        (["--pue", "0.5"], "--pue"),
        (["--pue", "iowa"], "--pue 'iowa' is not known"),
        (["--example", "cifar"], "--example 'cifar' is not known"),
        (["--example", "mnist"], "mnist needs --data-dir"),
    ],
)
def test_what_cannot_be_contrasted_is_refused_in_a_sentence(options: list[str], words: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["contrast", *options, "--out", str(tmp_path / "o")])
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception)
    assert not (tmp_path / "o").exists()


def test_a_grid_that_is_stopped_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peerage.contrast import contrast as module

    def one(cell: Cell, *_: Any) -> tuple[Side, None]:
        return msgspec.structs.replace(side(used(1), optimiser=""), cell=cell), None

    def stopped(*_: Any) -> Side:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "in_one_place", one)
    monkeypatch.setattr(module, "federated", stopped)
    monkeypatch.setattr(module, "grid_factors", lambda: GRIDS)
    kept: list[Contrast] = []
    with pytest.raises(KeyboardInterrupt):
        module.contrast(Plan(), (1.67, "a source"), PROBE, tmp_path, lambda _: None, kept.append)
    assert [len(one.sides) for one in kept] == [1, 2]
    assert {verdict for told in kept[-1].orderings for verdict in told.own} == {Verdict.NOT_RUN}


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    done = CliRunner().invoke(app, ["contrast", "--out", str(tmp_path)])
    assert "is not empty" in str(done.exception)


def test_one_place_trains_exactly_the_rows_of_the_peers_and_its_meter_adds_up() -> None:
    from peerage.contrast.jobs import Alone, AloneTold, asked
    from peerage.contrast.worker import pooled_rows
    from peerage.emissions import check_run, decode_host_record, decode_record
    from peerage.learning.data import load
    from peerage.learning.learner import rows_of

    federation = federation_of(CELL, Plan(peers=3))
    whole = pooled_rows(federation, load("digits", 0))
    parts = [rows_of(federation, index, "honest").own for index in range(3)]
    assert np.array_equal(whole.features, np.concatenate([part.features for part in parts]))
    assert np.array_equal(whole.labels, np.concatenate([part.labels for part in parts]))

    job = Alone(federation=federation, probe=PROBE.to_json(), target=0.5, most_epochs=3)
    told = asked(job, AloneTold)
    again = asked(job, AloneTold)
    assert told.curve == again.curve  # accuracies are the seed's; joules are not
    assert (told.rows, told.parameters) == (len(whole), 4810)
    records = [decode_record(raw.encode()) for raw in told.records]
    assert len(records) == len(told.curve) - 1 == stop(told.curve, 0.5)[0]
    assert [one.power.reserved_ppm for one in records] == [1_000_000] * len(records)
    assert check_run(records, [decode_host_record(told.host.encode())]) == ()
    assert {row.phase for one in records for row in one.use if row.cpu_us} >= {"train", "score"}
    with pytest.raises(InputError, match="IDX files"):
        asked(
            msgspec.structs.replace(
                job, federation=federation_of(Cell(data="mnist", partition="iid"), Plan(data_dir="/no"))
            ),
            AloneTold,
        )


def test_adam_learns_the_same_for_the_same_seed_and_keeps_its_moments() -> None:
    from peerage.learning.adam import adam
    from peerage.learning.data import load
    from peerage.learning.model import build, to_vector
    from peerage.learning.trainer import TrainSettings, evaluate

    rows = load("digits", 0).train
    settings = TrainSettings(1, 32, 0.001)

    def after(calls: int, *, anew: bool = False) -> tuple[Any, float]:
        net, tune = build((64,), 10, 0), adam()
        for call in range(calls):
            if anew:
                tune = adam()
            tune(net, rows, settings, call)
        return to_vector(net), evaluate(net, rows).accuracy

    once, kept, fresh = after(1), after(2), after(2, anew=True)
    assert np.array_equal(once[0], after(1)[0])
    assert kept[1] > once[1] > 0.2
    assert not np.array_equal(kept[0], fresh[0])
