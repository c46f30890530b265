"""The merge's optimiser from the settings: which do not go together, and what a federation's is called in words."""

from __future__ import annotations

from peerage.config import Federation, MergeSettings
from peerage_crypto.errors import InputError

ADAPTIVE = ("fedadam", "fedyogi")
ADAPTIVE_RATE = 0.1  # where none is given: the best of those tried on digits (`scripts/bench patterns --rates`)


def rate_of(merge: MergeSettings) -> float:
    """The merge's learning rate, its optimiser's own where none is given."""
    return merge.learning_rate or (ADAPTIVE_RATE if merge.optimiser in ADAPTIVE else 1.0)


def learning_words(federation: Federation) -> str:
    """For people: "fedavg with momentum 0.9, SCAFFOLD"."""
    training, said = federation.training, [optimiser_words(federation.merge)]
    if training.scaffold:
        said.append("SCAFFOLD")
    if federation.merge.graph != "all":
        said.append(f"graph {federation.merge.graph}")
    if federation.masking.random_k < 1:
        said.append(f"{100 * federation.masking.random_k:.3g} % of the coordinates a round")
    if training.proximal:
        said.append(f"proximal term {training.proximal:g}")
    return ", ".join(said)


def optimiser_words(merge: MergeSettings) -> str:
    """Of the merge alone: "fedavg with momentum 0.9"."""
    rate = rate_of(merge)
    match merge.optimiser:
        case "fedavg":
            what = "without momentum"
        case "momentum":
            what = f"with server momentum {merge.momentum}"
        case "nesterov":
            what = f"with momentum {merge.momentum}"
        case _:
            name = {"fedadam": "FedAdam", "fedyogi": "FedYogi"}[merge.optimiser]
            return f"{merge.rule} with {name} (rate {rate:g}, {merge.momentum}, {merge.beta2}, tau {merge.tau:g})"
    return f"{merge.rule} {what}" + (f", rate {rate:g}" if rate != 1 else "")


def _check_scaffold(federation: Federation) -> None:
    """SCAFFOLD corrects by the mean of plain, whole updates; without that mean it corrects by something else."""
    if not federation.training.scaffold:
        return
    merge, rule = federation.merge, federation.robust.rule
    noisy = "with privacy.noise peers hide how they move, and the mean that corrects them is mostly noise"
    scaled = "a schedule scales updates, and a peer would take its scale for its data"
    cases = (
        (federation.exchange == "plain", "plain exchange has no mean that all know", 'exchange = "masked"'),
        (bool(federation.training.function), "training.function replaces the training that it corrects", "no function"),
        (merge.optimiser in ADAPTIVE, f"it was not tried with {merge.optimiser}", 'merge.optimiser = "nesterov"'),
        (rule != "mean", f'robust.rule = "{rule}" gives another vector than the mean', 'rule = "mean"'),
        (federation.privacy.noise > 0, noisy, "noise = 0"),
        (federation.schedule.policy != "none", scaled, "no schedule"),
    )
    for there, why, nearest in cases:
        if there:
            raise InputError(f"training.scaffold = true: {why}: choose {nearest}, or scaffold = false")


def check_optimising(federation: Federation) -> None:
    """InputError where the merge's optimiser or the proximal term would do nothing, or not what they say."""
    merge, default, training = federation.merge, MergeSettings(), federation.training
    chosen = f'merge.optimiser = "{merge.optimiser}"'
    if training.proximal and training.function:
        raise InputError(
            "training.proximal is a term of the built-in training, and training.function takes its place: "
            "choose proximal = 0 and add the term in the function, or leave function empty"
        )
    if training.proximal * training.learning_rate >= 1:
        nearest = 0.5 / training.learning_rate
        raise InputError(
            f"training.proximal = {training.proximal:g} with learning_rate = {training.learning_rate:g} would throw "
            f"every step back beyond its start: choose proximal = {nearest:.2g} or less"
        )
    _check_scaffold(federation)
    if federation.exchange == "plain" and (merge.optimiser not in ("fedavg", "nesterov") or rate_of(merge) != 1):
        raise InputError(
            f"{chosen} (rate {rate_of(merge):g}) needs one model that all peers step from, and in plain exchange each "
            'has its own: choose exchange = "masked", or optimiser = "fedavg" and learning_rate = 0'
        )
    if merge.optimiser == "fedavg" and merge.momentum not in (0, default.momentum):
        raise InputError(
            f'{chosen} has no momentum, and merge.momentum = {merge.momentum:g} is given: choose optimiser = "momentum"'
        )
    unused = [name for name in ("beta2", "tau") if getattr(merge, name) != getattr(default, name)]
    if unused and merge.optimiser not in ADAPTIVE:
        raise InputError(f'{chosen} has no {" and no ".join(unused)}: choose optimiser = "fedadam", or leave them out')
