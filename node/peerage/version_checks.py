"""Settings of clusters and candidates that would do nothing, break, or tell who uses which version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.optimising import ADAPTIVE
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerage.config import Federation


def check_versions(federation: Federation) -> None:
    """InputError for the first thing that does not go together."""
    model = federation.model
    if model.clusters and model.candidates:
        raise InputError(
            "model.clusters trains models and model.candidates chooses among finished ones: run the first, and name "
            "its run's directory among the candidates of the second"
        )
    if model.clusters or model.candidates:
        for refusal in _refusals(federation, "model.clusters" if model.clusters else "model.candidates"):
            raise InputError(refusal)


def _refusals(federation: Federation, chosen: str) -> Iterator[str]:
    model, robust = federation.model, federation.robust.rule
    whole = {"local": model.local, "adapters": model.adapters, "base": model.base, "questions": model.questions}
    for name in [name for name, value in whole.items() if value]:
        yield f"{chosen} and model.{name} divide a model in two ways: leave one of them out"
    if model.kind == "generator":
        yield f'{chosen} chooses by labels, which a generator is given: choose another kind than "generator"'
    if federation.exchange == "plain":
        yield f'{chosen}: in plain exchange everybody sees who uses which: choose exchange = "masked"'
    if federation.training.scaffold:
        yield f"training.scaffold corrects towards one mean, and with {chosen} there are several: leave it out"
    if robust != "mean":
        yield (
            f'robust.rule = "{robust}" takes what few peers change for an attack, and with {chosen} few change each '
            'part: choose rule = "mean"'
        )
    yield from _of_clusters(federation) if model.clusters else _of_candidates(federation)


def _of_clusters(federation: Federation) -> Iterator[str]:
    if federation.model.clusters == 1:
        yield "model.clusters = 1 is one model for all: give 2 or more, or leave it out"
    if federation.scores.openings == "round":
        yield (
            "model.clusters: a direction of all rows would pay for one version, and one of a peer's own rows would "
            'show them where it alone uses a version: set scores.openings = "off"'
        )
    if not federation.privacy.noise and not federation.privacy.lone_versions:
        yield (
            "model.clusters: a version that one peer alone trains in a round shows that peer's update, though not "
            "whose it is: set privacy.noise, or privacy.lone_versions = true where that may be seen"
        )


def _of_candidates(federation: Federation) -> Iterator[str]:
    merge, random_k = federation.merge, federation.masking.random_k
    if federation.model.start:
        yield "model.candidates trains nothing, so nothing begins from model.start: leave one of them out"
    if federation.scores.openings == "round":
        yield 'model.candidates: a choice improves no model that could be paid for: set scores.openings = "off"'
    if merge.optimiser in ADAPTIVE or merge.learning_rate not in {0.0, 1.0}:
        yield (
            "model.candidates: a tally must be what the peers said, and this merge goes another part of the way: leave "
            "merge.optimiser and merge.learning_rate out"
        )
    if random_k < 1:
        yield f"masking.random_k = {random_k:g} would exchange a part of the tally, which is short: leave it out"
