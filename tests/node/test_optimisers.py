"""The merge's optimisers: what the papers write, bit for bit, and what they become at the ends of their ranges."""

import re
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from peerage.config import Federation, MergeSettings
from peerage.config_checks import check_federation
from peerage.config_toml import federation_hash, parse_federation, settings_artefact, settings_from, to_toml
from peerage.effects import PrivateState
from peerage.learning.data import Dataset
from peerage.learning.model import build, canonical_bytes, from_vector, to_vector
from peerage.learning.scoring import steepened
from peerage.learning.trainer import TrainSettings, train
from peerage.optimising import learning_words, optimiser_words
from peerage.private_state import load_state, save_state
from peerage.rounds.aggregation import Grid, base_of, canonical, merge
from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import AHEAD, FEDAVG, Optimiser, optimiser_of
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_ledger.judgement import NO_STATE, genesis

SIZE, GRID = 64, Grid(32, 16, 8.0)
DRAW = np.random.default_rng(7)
FIRST = (DRAW.integers(-(2**20), 2**20, SIZE) / 2**20).astype(np.float32)
MEANS = [DRAW.integers(-(2**12), 2**12, SIZE) / (5 * 2**16) for _ in range(6)]
ALL = [Optimiser(kind) for kind in ("fedavg", "momentum", "nesterov", "fedadam", "fedyogi")]


def play(optimiser, means=MEANS):
    """(where training starts, model, state) after each round."""
    model, step, state, path = FIRST, np.zeros_like(FIRST), NO_STATE, []
    for mean in means:
        found, state = optimiser.follow(model, step, state, mean)
        step = (found.astype(np.float64) - model.astype(np.float64)).astype(np.float32)
        model = found
        path.append((optimiser.training_start(model, step), model, state))
    return path


def models(optimiser, means=MEANS):
    return b"".join(canonical(model) for _, model, _ in play(optimiser, means))


@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_without_momentum_it_is_fedavg_bit_for_bit(kind):
    still = Optimiser(kind, momentum=0.0)
    assert models(still) == models(FEDAVG) == models(Optimiser("fedavg"))
    assert models(still) != models(Optimiser(kind, momentum=0.5))
    assert all(np.array_equal(start, model) for start, model, _ in play(still))


def test_the_default_is_what_federations_had_before_there_was_a_choice():
    assert optimiser_of(MergeSettings()) == AHEAD
    model, step = FIRST, np.zeros_like(FIRST)
    units = [np.rint(mean * 5 * 2**16).astype(np.int64) for mean in MEANS]
    for total, (start, found, _) in zip(units, play(AHEAD), strict=True):
        then = merge(base_of(model, step, 0.9), total, 5, GRID)
        step, model = (then.astype(np.float64) - model.astype(np.float64)).astype(np.float32), then
        assert np.array_equal(found, then)
        assert np.array_equal(start, base_of(model, step, 0.9))


@pytest.mark.parametrize("rate", [1.0, 0.7])
@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_momentum_is_torchs_sgd_on_the_mean_as_gradient(kind, rate):
    """DiLoCo's outer optimiser moves the point where training starts; FedAvgM's is the model itself."""
    theta = torch.tensor(FIRST.astype(np.float64), requires_grad=True)
    outer = torch.optim.SGD([theta], lr=rate, momentum=0.9, nesterov=kind == "nesterov")
    for mean, (start, _, _) in zip(MEANS, play(Optimiser(kind, rate=rate)), strict=True):
        theta.grad = torch.from_numpy(-mean)
        outer.step()
        assert np.allclose(start, theta.detach().numpy(), atol=1e-6)


def scalars(kind, rate, beta1, beta2, tau, means):
    """Reddi et al. 2021, algorithm 2, one coordinate at a time in Python's own doubles; state kept as float32."""
    models, m, v = [float(x) for x in FIRST], [0.0] * SIZE, [tau * tau] * SIZE
    single = np.float32
    for mean in means:
        for k in range(SIZE):
            q = float(single(mean[k]))
            first = beta1 * m[k] + (1 - beta1) * q
            sign = (v[k] > q * q) - (v[k] < q * q)
            second = beta2 * v[k] + (1 - beta2) * (q * q) if kind == "fedadam" else v[k] - (1 - beta2) * (q * q) * sign
            models[k] = float(single(models[k] + rate * first / (sqrt(second) + tau)))
            m[k], v[k] = float(single(first)), float(single(second))
        yield np.array(models, np.float32)


@pytest.mark.parametrize("kind", ["fedadam", "fedyogi"])
@pytest.mark.parametrize("numbers", [(0.03, 0.9, 0.99, 1e-3), (0.1, 0.0, 0.5, 1e-2), (1.0, 0.5, 0.0, 1e-6)])
def test_adaptive_ones_are_their_papers_algorithm_bit_for_bit(kind, numbers):
    rate, beta1, beta2, tau = numbers
    found = [model for _, model, _ in play(Optimiser(kind, beta1, rate, beta2, tau))]
    for mine, theirs in zip(found, scalars(kind, rate, beta1, beta2, tau, MEANS), strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_fedadam_without_memory_scales_each_coordinate_by_itself():
    model = play(Optimiser("fedadam", 0.0, 0.1, 0.0, 1e-3), MEANS[:1])[0][1]
    q = MEANS[0].astype(np.float32).astype(np.float64)
    assert np.array_equal(model, (FIRST + 0.1 * q / (np.abs(q) + 1e-3)).astype(np.float32))


@pytest.mark.parametrize("kind", ["fedadam", "fedyogi"])
def test_with_a_large_tau_and_no_memory_they_are_fedavg(kind):
    """sqrt(v) is about tau at first, so a rate of 2 tau makes steps of the mean."""
    slow = Optimiser(kind, 0.0, 2e6, 0.999999999, 1e6)
    for (_, mine, _), (_, plain, _) in zip(play(slow), play(FEDAVG), strict=True):
        assert np.allclose(mine, plain, atol=1e-6)


@pytest.mark.parametrize("optimiser", ALL, ids=lambda o: o.kind)
def test_the_same_integers_give_the_same_bits_on_every_machine(optimiser):
    golden = {
        "fedavg": "f9ae279cd3cd08ca",
        "momentum": "b2d7fa1be4aa3fe1",
        "nesterov": "b2d7fa1be4aa3fe1",
        "fedadam": "d8260907eccf1948",
        "fedyogi": "d48c5b4ec207af11",
    }
    assert sha256(models(optimiser)).hex()[:16] == golden[optimiser.kind]


@pytest.mark.parametrize("optimiser", ALL, ids=lambda o: o.kind)
def test_a_zero_update_leads_to_the_start_of_the_path(optimiser):
    path = play(optimiser)
    model, state = path[-1][1], path[-1][2]
    step = (model.astype(np.float64) - path[-2][1].astype(np.float64)).astype(np.float32)
    start = optimiser.path_start(model, step, state)
    assert np.array_equal(start, optimiser.follow(model, step, state, np.zeros(SIZE))[0])
    assert np.array_equal(start, model) == (optimiser.kind == "fedavg")


@pytest.mark.parametrize("kind", ["fedadam", "fedyogi"])
def test_shares_under_an_adaptive_optimiser_add_up_to_the_way_of_the_model(kind):
    """sum of <delta_i, slope * gbar> / n = <W' - W0, gbar>, whatever gbar is: Aumann-Shapley's completeness."""
    optimiser, gbar = Optimiser(kind), DRAW.normal(size=SIZE)
    deltas = [DRAW.normal(scale=0.01, size=SIZE) for _ in range(5)]
    for delta in deltas:
        delta[:9] = 0
    model, state = play(optimiser)[-1][1:]
    step = np.zeros(SIZE, np.float32)
    found, after = optimiser.follow(model, step, state, sum(deltas) / 5)
    along = steepened(gbar, optimiser.slope(state, after))
    way = found.astype(np.float64) - optimiser.path_start(model, step, state).astype(np.float64)
    assert sum(float(delta @ along) for delta in deltas) / 5 == pytest.approx(float(way @ gbar), abs=1e-5)
    near = optimiser.follow(model, step, state, np.where(np.arange(SIZE) < 9, 1e-3, sum(deltas) / 5))
    ratio = (near[0] - found)[:9] / (optimiser.slope(state, after)[:9] * 1e-3)
    assert np.allclose(ratio, 1, atol=0.2)  # at zero the slope is the derivative


def test_one_rate_for_all_coordinates_shares_nothing_out():
    assert all(o.slope(NO_STATE, NO_STATE) is None for o in ALL if not o.adaptive)
    assert steepened(FIRST, None) is FIRST


@given(st.integers(0, 2**32 - 1), st.sampled_from(["fedadam", "fedyogi"]))
def test_no_update_within_the_clip_makes_anything_but_numbers(seed, kind):
    draw = np.random.default_rng(seed)
    means = [draw.normal(size=SIZE) * 10.0 ** draw.integers(-12, 6) for _ in range(4)]
    means[1][:] = 0
    wild = Optimiser(kind, float(draw.choice([0.0, 0.999])), 1000.0, float(draw.choice([0.0, 0.999])), 1e-12)
    before = NO_STATE
    for _, model, state in play(wild, means):
        assert np.isfinite(model).all()
        assert (state[1] >= 0).all()
        assert np.isfinite(wild.slope(before, state)).all()
        before = state


def test_merging_carries_the_state_and_another_state_is_another_model():
    merging = Merging(GRID, Optimiser("fedadam"))
    counts = np.array([3, 3, 3, 0, 0, 0], "<u8").view(np.uint32)
    total = np.concatenate([counts, np.rint(MEANS[0] * 2**16).astype(np.int64).astype(np.uint32)])
    first = merging.merge(genesis(b"", FIRST, b""), [total], [3])
    here = replace(genesis(b"", FIRST, b""), model=first.model, state=first.state)
    second, forgot = (merging.merge(parent, [total], [3]) for parent in (here, replace(here, state=NO_STATE)))
    assert not np.array_equal(second.model, forgot.model)
    assert np.array_equal(here.told[-1], first.state[-1])
    assert len(here.told) == 2
    assert len(genesis(b"", FIRST, b"").told) == 1


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('exchange = "plain"\n[merge]\noptimiser = "fedadam"', 'exchange = "masked", or optimiser = "fedavg"'),
        ('exchange = "plain"\n[merge]\nlearning_rate = 0.5', 'exchange = "masked"'),
        ('[merge]\noptimiser = "fedavg"\nmomentum = 0.5', 'optimiser = "momentum"'),
        ("[merge]\ntau = 0.1", 'has no tau: choose optimiser = "fedadam"'),
        ('[merge]\noptimiser = "scaffold"', "takes fedavg or momentum or nesterov or fedadam or fedyogi"),
        ("[merge]\nbeta2 = 1.0", "merge.beta2"),
        ("[training]\nproximal = 20.0", "choose proximal = 5 or less"),
        ('[training]\nproximal = 0.1\nfunction = "mine:train"', "choose proximal = 0"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(table, says):
    with pytest.raises(InputError, match=re.escape(says)):
        parse_federation(table, where="here")


def test_each_is_one_line_and_carried_in_the_name_of_the_federation():
    names = set()
    for optimiser in ALL:
        federation = parse_federation(f'[merge]\noptimiser = "{optimiser.kind}"\n', where="here")
        check_federation(federation)
        assert parse_federation(to_toml(federation), where="again") == federation
        assert settings_from(settings_artefact(federation)).merge == federation.merge
        names.add(federation_hash(federation))
    names.add(federation_hash(parse_federation("[training]\nproximal = 0.1", where="here")))
    assert len(names) == 6


def test_a_federation_that_chooses_nothing_keeps_its_older_name():
    words = settings_artefact(Federation()).decode()
    assert not any(name in words for name in ("optimiser", "tau", "beta2", "proximal"))
    assert "tau" in to_toml(Federation())


def test_words_say_which_optimiser_it_is():
    said = [optimiser_words(MergeSettings(optimiser=optimiser.kind)) for optimiser in ALL]
    assert len(set(said)) == 5
    assert said[2] == "fedavg with momentum 0.9"
    assert "rate 0.1" in said[3]
    all_of_it = parse_federation("[training]\nscaffold = true\nproximal = 0.5", where="here")
    assert learning_words(all_of_it) == "fedavg with momentum 0.9, SCAFFOLD, proximal term 0.5"
    assert learning_words(Federation()) == "fedavg with momentum 0.9"


# -- FedProx -----------------------------------------------------------------------------------------------------------


def rows():
    draw = np.random.default_rng(3)
    features = draw.normal(size=(40, 6)).astype(np.float32)
    return Dataset(features, (features[:, 0] > 0).astype(np.int64), ("no", "yes"))


def tuned(settings, mu):
    model = build((6,), 2, 0, hidden=4)
    train(model, rows(), replace(settings, proximal=mu), 5)
    return model


def test_without_mu_it_is_plain_training_bit_for_bit():
    settings = TrainSettings(epochs=2, batch_size=8, learning_rate=0.2)
    assert canonical_bytes(to_vector(tuned(settings, 0.0))) == canonical_bytes(to_vector(tuned(settings, 1e-30)))
    first = to_vector(build((6,), 2, 0, hidden=4))
    away = [float(np.linalg.norm(to_vector(tuned(settings, mu)) - first)) for mu in (0.0, 0.5, 2.0)]
    assert away[0] > away[1] > away[2] > 0


def test_it_is_the_gradient_of_the_loss_with_the_proximal_term():
    settings, mu = TrainSettings(epochs=3, batch_size=40, learning_rate=0.2), 0.7
    data, model = rows(), build((6,), 2, 0, hidden=4)
    start = [entry.detach().clone() for entry in model.parameters()]
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(data.features)), torch.from_numpy(data.labels))
        loss = loss + mu / 2 * sum(((e - s) ** 2).sum() for e, s in zip(model.parameters(), start, strict=True))
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for entry, gradient in zip(model.parameters(), gradients, strict=True):
                entry.sub_(0.2 * gradient)
    assert np.allclose(to_vector(tuned(settings, mu)), to_vector(model), atol=1e-6)
    assert not np.allclose(to_vector(tuned(settings, 0.0)), to_vector(model), atol=1e-4)


# -- SCAFFOLD ----------------------------------------------------------------------------------------------------------


def by_the_paper(parts, rounds, steps, rate, present):
    """Karimireddy et al. 2020 (arXiv 1910.06378), algorithm 1, option II, whole batches, in double precision."""
    model = build((6,), 2, 0, hidden=4).double()
    x = [entry.detach().clone() for entry in model.parameters()]
    zero = [torch.zeros_like(entry) for entry in x]
    c, own = zero, [zero] * len(parts)
    for number in range(rounds):
        moves, changes = [], []
        for i, data in enumerate(parts):
            if i not in present(number):
                continue
            features, labels = torch.from_numpy(data.features).double(), torch.from_numpy(data.labels)
            with torch.no_grad():
                for entry, value in zip(model.parameters(), x, strict=True):
                    entry.copy_(value)
            for _ in range(steps):
                loss = torch.nn.functional.cross_entropy(model(features), labels)
                gradients = torch.autograd.grad(loss, list(model.parameters()))
                with torch.no_grad():
                    for entry, g, mine, all_ in zip(model.parameters(), gradients, own[i], c, strict=True):
                        entry.sub_(rate * (g - mine + all_))
            y = [entry.detach().clone() for entry in model.parameters()]
            better = [mine - all_ + (a - b) / (steps * rate) for mine, all_, a, b in zip(own[i], c, x, y, strict=True)]
            moves.append([b - a for a, b in zip(x, y, strict=True)])
            changes.append([new - mine for new, mine in zip(better, own[i], strict=True)])
            own[i] = better
        x = [value + sum(move[k] for move in moves) / len(moves) for k, value in enumerate(x)]
        c = [value + sum(change[k] for change in changes) / len(parts) for k, value in enumerate(c)]
    return torch.cat([value.reshape(-1) for value in x]).numpy()


def by_one_vector(parts, rounds, steps, rate, present):
    """Ours: the same from updates alone."""
    optimiser = Optimiser("fedavg", 0.0, variates=True, peers=len(parts))
    settings, model = TrainSettings(epochs=steps, batch_size=10**6, learning_rate=rate), build((6,), 2, 0, hidden=4)
    x, state, usual = to_vector(model), NO_STATE, [None] * len(parts)
    step = np.zeros_like(x)
    for number in range(rounds):
        updates = []
        for i in present(number):
            from_vector(model, x)
            train(model, parts[i], settings, 0, optimiser.correction(state, usual[i], x.size))
            updates.append(to_vector(model).astype(np.float64) - x)
            usual[i] = optimiser.moved(state, usual[i], updates[-1])
        x, state = optimiser.follow(x, step, state, sum(updates) / len(updates), len(updates))
    return x


@pytest.mark.parametrize("present", [lambda _: range(4), lambda r: (r % 4, (r + 1) % 4)], ids=["all", "two of four"])
def test_variates_from_updates_alone_are_scaffold(present):
    draw = np.random.default_rng(5)
    parts = []
    for i in range(4):
        features = draw.normal(size=(20 + 5 * i, 6)).astype(np.float32)
        parts.append(Dataset(features, (features[:, i % 3] > 0.3 * i).astype(np.int64), ("no", "yes")))
    ours = by_one_vector(parts, 6, 5, 0.3, present)
    assert np.allclose(ours, by_the_paper(parts, 6, 5, 0.3, present), atol=2e-5)
    first = to_vector(build((6,), 2, 0, hidden=4))
    assert np.abs(ours - first).max() > 0.1


def test_without_a_history_there_is_nothing_to_correct():
    optimiser = Optimiser(variates=True, peers=5)
    assert not optimiser.correction(NO_STATE, None, SIZE).any()
    assert Optimiser().correction(NO_STATE, None, SIZE) is None
    settings = TrainSettings(epochs=1, batch_size=8, learning_rate=0.2)
    plain, corrected = build((6,), 2, 0, hidden=4), build((6,), 2, 0, hidden=4)
    train(plain, rows(), settings, 5)
    train(corrected, rows(), settings, 5, np.zeros(to_vector(plain).size, np.float32))
    assert canonical_bytes(to_vector(plain)) == canonical_bytes(to_vector(corrected))


def test_a_correction_goes_in_whole_whatever_the_number_of_steps():
    for batch in (3, 8, 13, 40):
        model, still = build((6,), 2, 0, hidden=4), TrainSettings(epochs=2, batch_size=batch, learning_rate=1e-30)
        first = to_vector(model)
        correction = np.linspace(-1, 1, first.size, dtype=np.float32)
        train(model, rows(), still, 5, correction)
        assert np.allclose(to_vector(model) - first, correction, atol=1e-5)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('exchange = "plain"\n[training]\nscaffold = true', 'choose exchange = "masked"'),
        ('[training]\nscaffold = true\nfunction = "mine:train"', "choose no function"),
        ('[training]\nscaffold = true\n[merge]\noptimiser = "fedadam"', 'choose merge.optimiser = "nesterov"'),
        ('peers = 20\n[training]\nscaffold = true\n[robust]\nrule = "median"\nbuckets = 3', 'choose rule = "mean"'),
        ("[training]\nscaffold = true\n[privacy]\nnoise = 1.0", "choose noise = 0"),
        ('[training]\nscaffold = true\n[schedule]\npolicy = "best-effort"', "choose no schedule"),
    ],
)
def test_scaffold_without_the_mean_of_whole_updates_is_refused(table, says):
    with pytest.raises(InputError, match=re.escape(says)):
        parse_federation(table, where="here")


def test_how_a_peer_moves_is_on_its_disk(tmp_path):
    path, vector = tmp_path / "state", np.arange(4, dtype=np.float32)
    state = PrivateState(1, "free", b"", b"", b"", 0, vector, vector, (1, 2, 3))
    for usual in (None, vector + 1):
        save_state(path, replace(state, usual=usual))
        found = load_state(path, 4)
        assert found.usual is None if usual is None else np.array_equal(found.usual, usual)
    save_state(path, replace(state, usual=vector[:2]))
    with pytest.raises(InputError, match="another model"):
        load_state(path, 4)
