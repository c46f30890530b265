"""Clusters and the deployment selector: each peer uses the version that suits it, and only sums say so."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from peerage.config_toml import federation_hash, parse_federation
from peerage.launch.selection import Selection, Version, in_words
from peerage.learning.architectures import first_model
from peerage.learning.data import Dataset
from peerage.learning.data_digits import digits
from peerage.learning.model import (
    canonical_bytes,
    from_vector,
    layout,
    layout_hash,
    perceptron,
    personal_entries,
    save_safetensors,
    to_vector,
)
from peerage.learning.parts import frozen_digest, load_own, save_own
from peerage.learning.scoring import path_gradient
from peerage.learning.trainer import TrainSettings, evaluate, train
from peerage.learning.versions import Selector, Versions, load_candidates, sources_of
from peerage.privacy.noise import promised
from peerage.rounds.aggregation import masked_input, metrics, update_of
from peerage.rounds.grid import grid_of
from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import agreed_optimiser
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.errors import InputError
from peerage_ledger.judgement import genesis

UNSCORED = '[scores]\nopenings = "off"\n[privacy]\nlone_versions = true\n'


def parsed(lines, more=UNSCORED):
    return parse_federation(f"peers = 4\n[model]\n{lines}\n{more}", where="f.toml")


@pytest.fixture
def clusters():
    made = first_model(parsed("clusters = 3"), (64,), 10)
    assert isinstance(made, Versions)
    return made


def of_kind(rows, kind):
    """The same rows where the classes have other numbers."""
    return replace(rows, labels=(rows.labels + kind) % 10)


def parts(vector, count):
    return np.split(vector, count)


def test_all_versions_are_in_the_vector_and_the_choice_is_not(clusters):
    one = first_model(parsed("hidden = 64"), (64,), 10)
    assert len(to_vector(clusters)) == 3 * len(to_vector(one))
    assert [name for name, _ in personal_entries(clusters)] == ["choice"]
    first, second, third = parts(to_vector(clusters), 3)
    assert np.array_equal(first, to_vector(one))
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)
    again = first_model(parsed("clusters = 3"), (64,), 10)
    assert np.array_equal(to_vector(again), to_vector(clusters))


def test_an_update_is_zero_in_all_versions_but_the_chosen(clusters):
    rows, before = digits().take(np.arange(60)), to_vector(clusters)
    clusters.choice.fill_(1)
    train(clusters, rows, TrainSettings(epochs=1, proximal=0.1), 0)
    moved = [bool(np.any(part)) for part in parts(to_vector(clusters) - before, 3)]
    assert moved == [False, True, False]


def test_the_first_choice_is_drawn_and_later_ones_are_by_loss(clusters):
    rows = digits().take(np.arange(200))
    first = set()
    for seed in range(20):
        fresh = deepcopy(clusters)
        fresh.choose(rows, seed)
        first.add(fresh.chosen)
    assert first == {0, 1, 2}
    train(clusters.versions[2], rows, TrainSettings(epochs=5), 0)
    train(clusters.versions[1], of_kind(rows, 3), TrainSettings(epochs=5), 0)
    for kind, best in ((0, 2), (3, 1)):
        clusters.choice.fill_(0)
        clusters.choose(of_kind(rows, kind), 0)
        assert clusters.chosen == best


def test_a_version_that_is_no_numbers_any_more_is_nobodys_choice(clusters):
    with torch.no_grad():
        for entry in clusters.versions[0].parameters():
            entry.fill_(float("nan"))
    clusters.choice.fill_(0)
    clusters.choose(digits().take(np.arange(50)), 0)
    assert clusters.chosen != 0


def test_what_a_round_was_worth_to_a_peer_is_measured_on_its_own_version(clusters):
    base = to_vector(clusters)
    step = np.full_like(base, 0.01)
    clusters.choice.fill_(2)
    slopes = path_gradient(clusters, base, step, digits().take(np.arange(100)))
    assert [bool(np.any(part)) for part in parts(slopes, 3)] == [False, False, True]


def test_a_peer_that_was_killed_has_its_choice_again(clusters, tmp_path):
    clusters.choice.fill_(2)
    save_own(clusters, tmp_path / "own")
    again = first_model(parsed("clusters = 3"), (64,), 10)
    load_own(again, tmp_path / "own")
    assert again.chosen == 2


def summed(models, starts, federation):
    """What a round makes of these models, as peers and audit compute it."""
    grid, optimiser = grid_of(federation.masking), agreed_optimiser(federation)
    total = sum(
        masked_input(update_of(to_vector(net), start, grid, tagged("x", bytes([i]))), metrics(5, 0, 0.0), grid)
        for i, (net, start) in enumerate(zip(models, starts, strict=True))
    )
    return Merging(grid, optimiser), total


@pytest.fixture
def candidates(tmp_path):
    """Three finished models: of the digits, of digits with other numbers, and of nothing."""
    rows, paths = digits().take(np.arange(600)), []
    for number, (kind, epochs) in enumerate(((0, 6), (3, 6), (0, 0))):
        net = perceptron((64,), 64, 10)
        torch.manual_seed(number)
        for entry in net.parameters():
            nn.init.normal_(entry, std=0.1)
        train(net, of_kind(rows, kind), TrainSettings(epochs=epochs), 0)
        paths.append(tmp_path / f"{number}.safetensors")
        save_safetensors(paths[-1], layout(net), to_vector(net))
    return paths


def selector(paths):
    listed = ", ".join(f'"{path}"' for path in paths)
    made = first_model(parsed(f"candidates = [{listed}]"), (64,), 10)
    assert isinstance(made, Selector)
    return made


def test_a_tally_names_the_candidates_and_holds_nothing_else(candidates):
    made = selector(candidates)
    names = [sha256(canonical_bytes(to_vector(version))).hex() for version in made.versions]
    assert layout(made) == (("fitting", (1,)), *((f"tally.{name}", (2,)) for name in names))
    assert not to_vector(made).any()
    other = selector(candidates[:2])
    assert layout_hash(layout(other), frozen_digest(other)) != layout_hash(layout(made), frozen_digest(made))


def test_sums_alone_say_how_many_chose_what_and_how_well_it_does(candidates):
    federation = parsed('candidates = ["a", "b"]')
    held = [of_kind(digits().take(np.arange(700 + 50 * i, 750 + 50 * i)), kind) for i, kind in enumerate((0, 0, 3, 0))]
    peers = [selector(candidates) for _ in held]
    start = to_vector(peers[0])
    standing = genesis(b"", start, b"")
    optimiser = agreed_optimiser(federation)
    for _ in range(3):  # momentum or not, a later tally is not mixed with an earlier one
        begin = optimiser.training_start(standing.model, standing.step)
        for peer, rows in zip(peers, held, strict=True):
            from_vector(peer, begin)
            peer.decide(rows)
        merging, total = summed(peers, [begin] * 4, federation)
        merged = merging.merge(standing, [total], [4])
        assert not isinstance(merged, str)
        step = (merged.model.astype(float) - standing.model.astype(float)).astype(np.float32)
        standing = replace(standing, model=merged.model, step=step, state=merged.state)
        both = selector(candidates)
        from_vector(both, standing.model)
        told = both.told()
        assert [round(one.share, 3) for one in told] == [0.75, 0.25, 0.0]
        for one, version in zip(told, both.versions, strict=True):
            mean = np.mean([evaluate(version, rows).accuracy for rows in held])
            assert one.accuracy == pytest.approx(mean, abs=1e-3)
    assert [peer.chosen for peer in peers] == [0, 0, 1, 0]
    assert float(both.fitting) > max(one.accuracy for one in told) + 0.1


def test_a_choice_is_not_judged_by_the_rows_that_it_was_made_by():
    """Among coins the best looks better than a coin; what is told of the choice does not."""
    draws = np.random.default_rng(0)
    flattered, told = [], []
    for seed in range(40):
        torch.manual_seed(seed)
        coins = [nn.Sequential(nn.Flatten(), nn.Linear(6, 2)) for _ in range(8)]
        rows = Dataset(draws.normal(size=(12, 6)).astype(np.float32), draws.integers(0, 2, 12), ("a", "b"))
        chooser = Selector(coins)
        chooser.decide(rows)
        flattered.append(max(one.accuracy for one in chooser.told()))
        told.append(float(chooser.fitting))
    assert np.mean(flattered) > 0.7
    assert abs(np.mean(told) - 0.5) < 0.08


def test_of_equals_the_surer_is_chosen_and_a_broken_one_never(candidates):
    made, rows = selector(candidates), digits().take(np.arange(640, 650))
    exact = made.versions[0]
    with torch.no_grad():
        made.versions[1].load_state_dict(exact.state_dict())
        made.versions[1][-1].weight.mul_(0.5)  # the same answers, less sure
        made.versions[1][-1].bias.mul_(0.5)
        for entry in made.versions[2].parameters():
            entry.fill_(float("nan"))
    assert evaluate(exact, rows).correct == len(rows)
    made.decide(rows)
    assert made.chosen == 0
    assert "right in 10 of 10" in made.words(rows)


def test_versions_of_clusters_are_candidates_each(candidates, clusters, tmp_path):
    file = tmp_path / "clusters.safetensors"
    save_safetensors(file, layout(clusters), to_vector(clusters))
    made = selector([candidates[0], file])
    assert len(made.versions) == 4
    third = parts(to_vector(clusters), 3)[2]
    assert np.array_equal(to_vector(made.versions[3]), third)
    assert sources_of([candidates[0], file])[1:] == [f"{file}, version {number} of 3" for number in (1, 2, 3)]


def test_candidates_that_cannot_be_chosen_from_are_refused(candidates, tmp_path):
    def make():
        return perceptron((64,), 64, 10)

    with pytest.raises(InputError, match="names 1 models: give 2 to 8"):
        load_candidates(candidates[:1], make)
    with pytest.raises(InputError, match="twice"):
        selector([candidates[0], candidates[0]])
    (tmp_path / "none").write_bytes(b"no")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_candidates([tmp_path / "none", candidates[0]], make)
    with pytest.raises(InputError, match="shape"):
        load_candidates(candidates, lambda: perceptron((64,), 32, 10))


@pytest.mark.parametrize(
    ("lines", "more", "said"),
    [
        ("clusters = 1", UNSCORED, "one model for all"),
        ("clusters = 2", "", "would pay for one version"),
        ("clusters = 2", '[data]\nvalidation = "private"', "of a peer's own rows would show them"),
        ("clusters = 2", '[scores]\nopenings = "off"', "shows that peer's update, though not whose it is"),
        ('clusters = 2\ncandidates = ["a", "b"]', UNSCORED, "run the first"),
        ('clusters = 2\nlocal = ["head"]', UNSCORED, "model.local divide a model in two ways"),
        ("clusters = 2\nadapters = 4", UNSCORED, "model.adapters divide"),
        ('clusters = 2\nquestions = "q.npz"', UNSCORED, "model.questions divide"),
        ('clusters = 2\nkind = "generator"', UNSCORED, "choose another kind"),
        ("clusters = 2", 'exchange = "plain"', "everybody sees who uses which"),
        ("clusters = 2", f"{UNSCORED}[training]\nscaffold = true", "there are several"),
        ("clusters = 2", f'{UNSCORED}[robust]\nrule = "median"\nbuckets = 1', "few change each part|bucket"),
        ('candidates = ["a", "b"]', "", "no model that could be paid for"),
        ('candidates = ["a", "b"]\nstart = "a"', UNSCORED, "trains nothing"),
        ('candidates = ["a", "b"]', f'{UNSCORED}[merge]\noptimiser = "fedadam"', "a tally must be what the peers said"),
        ('candidates = ["a", "b"]', f"{UNSCORED}[merge]\nlearning_rate = 0.5", "a tally must be what the peers said"),
        ('candidates = ["a", "b"]', f"{UNSCORED}[masking]\nrandom_k = 0.5", "part of the tally"),
    ],
)
def test_what_does_not_go_together_is_refused_in_words(lines, more, said):
    text = f"peers = 12\n[model]\n{lines}\n{more}"
    if more.startswith("exchange"):
        text = f"peers = 12\n{more}\n[model]\n{lines}\n"
    with pytest.raises(InputError, match=said):
        parse_federation(text, where="f.toml")


def test_with_clusters_no_more_is_promised_than_the_update_of_one():
    assert promised(parsed("clusters = 2")) == 1
    assert promised(parsed("hidden = 64")) > 1
    noisy = '[masking]\nfrac_bits = 12\n[privacy]\nnoise = 1.0\n[scores]\nopenings = "off"\n'
    assert promised(parsed("clusters = 2", noisy)) == 1


def test_a_federation_without_versions_keeps_the_name_that_it_had(tmp_path: Path):
    assert federation_hash(parsed("hidden = 64")) == federation_hash(parsed("clusters = 0"))
    assert federation_hash(parsed("hidden = 64")) != federation_hash(parsed("clusters = 2"))


def test_the_gain_is_said_in_words():
    def version(name, used, right):
        return Version(name=name * 64, source=f"{name}.safetensors", used_by=used, accuracy=right)

    found = Selection(versions=(version("a", 0.75, 0.7), version("b", 0.25, 0.4)), chosen=0.9)
    first, second, gain = in_words(found)
    assert first.startswith("Version aaaaaaaaaaaaaaaa (a.safetensors): chosen by 75.0 % of the peers, right in 70.0 %")
    assert second.startswith("Version bbbbbbbbbbbbbbbb")
    assert gain.startswith(
        "Each under its own choice: 90.0 %; the best single version, aaaaaaaaaaaaaaaa, for everybody"
    )
    assert "+20.0 points" in gain
