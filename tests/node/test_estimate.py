"""The estimator's formulas: the reference's worked numbers, and what must hold for any settings."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerage.emissions.factors import Factor
from peerage.emissions.labels import NOTHING, Label
from peerage.estimate import (
    NO_NETWORK,
    TOPOLOGIES,
    Facility,
    Group,
    PerByte,
    Plan,
    Router,
    centralised,
    device,
    estimate,
    factor_of,
    needs,
    search,
    total,
    traffic,
)
from peerage.estimate.amounts import Spread
from peerage.estimate.centralised import PUES
from peerage.estimate.devices import LISTED
from peerage.estimate.documents import centre_told
from peerage.estimate.inverse import target_of
from peerage.estimate.links import Moved
from peerage_crypto.errors import InputError


def grid(country="FRA", mid=56_000):
    return Factor(
        country=country, low_mg=mid // 2, mid_mg=mid, high_mg=2 * mid, year=2023, source="test", label=Label.MODELLED
    )


def group(count=5, watts="7.5W", factor=None, seconds=30.5):
    return Group(count=count, device=device(watts), factor=factor or grid(), seconds=seconds)


def plan(*groups, topology="fedavg", rounds=10, epochs=10, active=5, model_bytes=0, neighbours=None):
    return Plan(
        topology=topology,
        rounds=rounds,
        epochs=epochs,
        active=active,
        model_bytes=model_bytes,
        groups=groups or (group(),),
        neighbours=neighbours,
    )


def of_2011(country, watts="7.5W", seconds=0.0):
    return plan(group(watts=watts, factor=factor_of(country, "ecometrica-2011"), seconds=seconds))


# reference/carbon.md 2.7: energy and joules per local epoch of 500 that 2.51 g come to, and seconds at 7.5 W and 15 W
@pytest.mark.parametrize(
    ("country", "wh", "joules", "at_7_5", "at_15"),
    [
        ("FRA", "31.77", "228.8", "30.5", "15.3"),
        ("USA", "4.37", "31.5", "4.20", "2.10"),
        ("CHN", "2.58", "18.5", "2.47", "1.24"),
    ],
)
def test_the_inverse_gives_the_worked_numbers(country, wh, joules, at_7_5, at_15):
    slow, fast = needs([of_2011(country), of_2011(country, "15W")], NO_NETWORK, 2.51)

    def printed(value, like):
        return f"{value:.{len(like.partition('.')[2])}f}"

    assert printed(slow.energy_wh, wh) == wh
    assert printed(slow.joules_per_epoch, joules) == joules
    assert (printed(slow.seconds, at_7_5), printed(fast.seconds, at_15)) == (at_7_5, at_15)


def test_five_clients_ten_epochs_ten_rounds_can_print_as_2_51_g():
    there = search([of_2011("FRA", seconds=s) for s in (30.4, 30.5, 31.0)], NO_NETWORK, target_of("2.51"))
    assert [one.plan.groups[0].seconds for one in there.found] == [30.5]
    assert there.found[0].plan.local_epochs == 500
    assert round(there.found[0].whole.co2e_ug.mid / 1e6, 2) == 2.51


def test_a_search_that_finds_nothing_says_what_came_nearest():
    gone = search([of_2011("USA", seconds=s) for s in (10.0, 30.5)], NO_NETWORK, target_of("2.51"))
    assert gone.found == ()
    assert gone.tried == 2
    assert gone.nearest.plan.groups[0].seconds == 10.0


def test_where_the_network_alone_emits_more_nothing_is_found():
    (none,) = needs([plan(group(), model_bytes=10**9)], Router(down_mbit=1, up_mbit=1), 0.01)
    assert none.seconds is None
    assert none.joules_per_epoch is None


@pytest.mark.parametrize(("text", "half"), [("2.51", 0.005), ("3", 0.5), ("0.1063", 0.00005)])
def test_a_figure_is_as_exact_as_it_was_printed(text, half):
    target = target_of(text)
    assert math.isclose(target.half, half)
    assert target.holds(target.grams + half)
    assert not target.holds(target.grams + 1.01 * half)


@pytest.mark.parametrize("text", ["", "-1", "0", "nan", "1e3", "two"])
def test_what_is_no_figure_is_refused(text):
    with pytest.raises(InputError, match="as they were printed"):
        target_of(text)


# reference/carbon.md 2.3: a 7.5 W router at 100/20 Mbit/s is 0.00017 kWh a GB down and 0.00083 up
def test_the_router_costs_a_gigabyte_what_the_reference_derives():
    link = Router(down_mbit=100, up_mbit=20)
    one = estimate(plan(group(count=1, seconds=0.0), rounds=1, epochs=1, active=1, model_bytes=10**9), link)
    assert round(one.communication.energy_uj.mid / 3.6e12, 5) == 0.00017 + 0.00083
    assert one.train.energy_uj == NOTHING


def test_the_idle_power_of_a_device_is_added_to_the_router_only_on_request():
    work = plan(group(count=1, watts="vcpu", seconds=0.0), rounds=1, epochs=1, active=1, model_bytes=10**6)
    alone = estimate(work, Router(down_mbit=8, up_mbit=8)).communication.energy_uj.mid
    both = estimate(work, Router(down_mbit=8, up_mbit=8, idle=True)).communication.energy_uj.mid
    assert (alone, both) == (15_000_000, 16_480_000)  # two seconds of 7.5 W, and of 8.24 W


def test_downloads_take_the_speed_down_and_uploads_the_speed_up():
    link = Router(down_mbit=100, up_mbit=20)
    fetched = link.energy(Moved(sent=0, received=1, paths=1), 10**9, device("7.5W"))
    sent = link.energy(Moved(sent=1, received=0, paths=1), 10**9, device("7.5W"))
    assert (fetched.mid, sent.mid) == (80 * 7_500_000, 400 * 7_500_000)
    assert (round(fetched.mid / 3.6e12, 5), round(sent.mid / 3.6e12, 5)) == (0.00017, 0.00083)


def test_a_group_of_many_has_its_expected_share_of_a_round():
    work = plan(
        group(count=3, watts="10W", seconds=2.0), group(count=1, watts="100W", seconds=1.0), active=2, rounds=10
    )
    told = estimate(work, NO_NETWORK)
    one, other = (part.train.energy_uj.mid for part in told.parts)
    assert one == 10 * 2 * 3 / 4 * 10 * 2 * 10 * 1_000_000  # rounds, active, share, epochs, seconds, watts
    assert other == 10 * 2 * 1 / 4 * 10 * 1 * 100 * 1_000_000


def test_the_comparison_holds_one_low_against_the_other_high():
    told = estimate(plan(), NO_NETWORK)
    centre = centralised(300, 0.1, grid(), Facility(pue=1.2))
    (times,) = centre_told(centre, (told,)).times
    ours, theirs = told.whole.co2e_ug, centre.whole.co2e_ug
    assert times == Spread(ours.low / theirs.high, ours.mid / theirs.mid, ours.high / theirs.low)
    assert times.low < times.mid < times.high


@pytest.mark.parametrize(
    ("topology", "neighbours", "trainers", "models", "messages"),
    [
        ("fedavg", None, 5, 10, 10),
        ("fedadam", None, 5, 10, 10),
        ("braintorrent", None, 1, 5, 48),  # 19 pings, 19 answers, 5 requests, 5 models
        ("gossip", 3, 5, 15, 15),
    ],
)
def test_messages_and_models_of_a_round_by_topology(topology, neighbours, trainers, models, messages):
    one = traffic(topology, 20, 5, neighbours)
    assert (one.trainers, one.models, one.messages) == (trainers, models, messages)
    told = estimate(
        plan(group(count=20), topology=topology, neighbours=neighbours, rounds=7, model_bytes=1000), NO_NETWORK
    )
    assert (told.messages, told.bytes_moved) == (7 * messages, 7 * models * 1000)


def test_a_path_between_two_peers_is_paid_once_and_both_access_links_are():
    each = PerByte(preset="x", low=0.1, mid=1.0, high=10.0, source="test", label=Label.ASSUMED)
    work = plan(group(count=3), topology="braintorrent", active=2, rounds=1, model_bytes=10**9)
    assert estimate(work, each).communication.energy_uj.mid == 2 * 3_600_000_000_000  # 2 GB at 1 kWh
    seconds = 2 * (8000 / 100 + 8000 / 20)
    assert estimate(work, Router(down_mbit=100, up_mbit=20)).communication.energy_uj.mid == seconds * 7.5e6


@pytest.mark.parametrize(
    ("topology", "active", "neighbours"),
    [("ring", 5, None), ("gossip", 5, None), ("gossip", 5, 20), ("fedavg", 5, 2), ("fedavg", 21, None)],
)
def test_a_topology_that_cannot_be_is_refused(topology, active, neighbours):
    with pytest.raises(InputError):
        traffic(topology, 20, active, neighbours)


def test_an_initiator_fetches_from_others_only():
    assert traffic("braintorrent", 20, 19).models == 19
    with pytest.raises(InputError, match="fetches from others only"):
        traffic("braintorrent", 20, 20)


def test_the_data_centre_multiplies_its_building_and_shows_cooling_within_it():
    centre = centralised(300, 2, grid(mid=100_000), Facility(pue=1.67, cooling=0.4))
    assert centre.equipment.energy_uj.mid == 600 * 3_600_000_000
    assert centre.whole.energy_uj.mid == 1002 * 3_600_000_000
    assert centre.whole.co2e_ug.mid == 100_200_000
    assert centre.cooling_uj.mid == round(0.4 * 1002 * 3_600_000_000)


def test_tue_holds_pue_and_is_not_multiplied_with_it():
    facility = Facility(pue=1.2, tue=1.5)
    assert math.isclose(facility.itue, 1.25)
    assert facility.ratio == 1.5


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"pue": 0.9},
        {"pue": 1.5, "tue": 1.2},
        {"pue": 1.2, "cooling": 0.2},  # PUE 1.2 leaves a sixth for everything beside the equipment
        {"pue": math.nan},
        {"cooling": 0.4},
    ],
)
def test_a_building_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError):
        Facility(**wrong)


def test_the_chapters_figures_of_pue():
    assert PUES == {"world-2019": 1.67, "google": 1.11, "amazon": 1.2, "microsoft": 1.125}


def test_the_factors_of_the_preset_and_their_bands():
    known = {code: factor_of(code, "ecometrica-2011") for code in ("FRA", "USA", "CHN")}
    assert {code: factor.mid_mg for code, factor in known.items()} == {"FRA": 79_000, "USA": 574_100, "CHN": 974_600}
    assert all(f.low_mg <= f.mid_mg <= f.high_mg and f.year == 2011 for f in known.values())
    assert factor_of("FRA").mid_mg != 79_000


@pytest.mark.parametrize(
    ("country", "preset", "year", "words"),
    [
        ("DEU", "ecometrica-2011", None, "CHN, FRA, USA"),
        ("XXX", "current", None, "no emission factor"),
        ("", "current", None, "none is assumed"),
        ("FRA", "ember-2030", None, "no preset"),
        ("FRA", "ecometrica-2011", 2019, "the one of 2011"),
        ("FRA", "current", 1999, "has the one of"),
    ],
)
def test_an_unknown_country_preset_or_year_is_refused(country, preset, year, words):
    with pytest.raises(InputError, match=words):
        factor_of(country, preset, year)


def test_every_listed_device_names_its_source():
    assert all(one.source and one.watts > 0 for one in LISTED)
    assert device("client-3w").watts == 3.0
    assert device("vcpu*4").watts == 4 * device("vcpu").watts
    assert device("65 W").watts == 65.0


@pytest.mark.parametrize("name", ["", "toaster", "0W", "-5W", "1e9W", "vcpu*0", "cpu:", "cpu:Abacus 3000", "999999W"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(InputError):
        device(name)


def test_a_cpu_of_codecarbons_list_is_known_by_its_name():
    assert device("cpu:Intel Core i7-8700").watts == 65
    with pytest.raises(InputError, match="near are"):
        device("cpu:Intel Core i7-8701")


GROUPS = st.lists(
    st.builds(
        Group,
        count=st.integers(1, 50),
        device=st.sampled_from([device("7.5W"), device("vcpu"), device("v100")]),
        factor=st.sampled_from([grid("AAA", 31_000), grid("BBB", 475_000), grid("CCC", 0)]),
        seconds=st.floats(0, 1e4),
    ),
    min_size=1,
    max_size=5,
)
NETWORKS = st.sampled_from(
    [
        NO_NETWORK,
        Router(down_mbit=100, up_mbit=20),
        Router(down_mbit=1, up_mbit=0.5, idle=True),
        PerByte(preset="x", low=0.001, mid=0.06, high=0.9, source="test", label=Label.ASSUMED),
    ]
)


@st.composite
def plans(draw):
    groups = tuple(draw(GROUPS))
    devices = sum(one.count for one in groups)
    topology = draw(st.sampled_from(TOPOLOGIES if devices > 1 else TOPOLOGIES[:2]))
    most = devices - 1 if topology == "braintorrent" else devices
    return plan(
        *groups,
        topology=topology,
        rounds=draw(st.integers(1, 500)),
        epochs=draw(st.integers(1, 50)),
        active=draw(st.integers(1, most)),
        model_bytes=draw(st.integers(0, 10**9)),
        neighbours=draw(st.integers(1, devices - 1)) if topology == "gossip" else None,
    )


@given(plans(), NETWORKS)
def test_every_band_runs_from_low_to_high_and_parts_add_up(work, network):
    told = estimate(work, network)
    for amount in (told.train, told.communication, told.whole, *(part.whole for part in told.parts)):
        for band in (amount.energy_uj, amount.co2e_ug):
            assert 0 <= band.low <= band.mid <= band.high
    assert told.whole == total(part.whole for part in told.parts) == told.train + told.communication
    for key in (lambda one: one.device.name, lambda one: one.factor.country):
        assert total(told.by(key).values()) == told.whole


@given(plans(), NETWORKS, st.sampled_from(["rounds", "epochs", "model_bytes"]), st.integers(1, 1000))
def test_more_of_anything_is_never_less(work, network, what, more):
    values = {name: getattr(work, name) for name in work.__struct_fields__}
    larger = Plan(**{**values, what: values[what] + more})
    less, much = estimate(work, network).whole, estimate(larger, network).whole
    for name in ("energy_uj", "co2e_ug"):
        small, large = getattr(less, name), getattr(much, name)
        assert (small.low, small.mid, small.high) <= (large.low, large.mid, large.high)
        assert small.low <= large.low
        assert small.high <= large.high


@given(plans(), NETWORKS, st.floats(0.001, 1e6))
def test_what_the_inverse_finds_gives_the_figure_again(work, network, grams):
    one = Plan(**{**{name: getattr(work, name) for name in work.__struct_fields__}, "groups": (group(count=300),)})
    (need,) = needs([one], network, grams)
    if need.seconds is None:
        assert estimate(one, network).communication.co2e_ug.mid >= grams * 1e6 - 1
    elif need.seconds < 1e7:
        again = Plan(
            **{
                **{name: getattr(one, name) for name in one.__struct_fields__},
                "groups": (group(count=300, seconds=need.seconds),),
            }
        )
        assert math.isclose(estimate(again, network).whole.co2e_ug.mid, grams * 1e6, rel_tol=1e-6, abs_tol=2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rounds": 0},
        {"epochs": 0},
        {"active": 0},
        {"model_bytes": -1},
        {"model_bytes": 10**14},
        {"rounds": 10**9},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match="cannot be"):
        plan(**wrong)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, 1e9])
def test_seconds_that_cannot_be_are_refused(seconds):
    with pytest.raises(InputError, match="cannot be"):
        plan(group(seconds=seconds))


def test_an_energy_beyond_reason_is_refused_instead_of_printed():
    with pytest.raises(InputError, match="check them for a slip"):
        estimate(
            plan(group(count=10**6, watts="90000W", seconds=1e7), active=10**6, rounds=10**6, epochs=10**5), NO_NETWORK
        )
