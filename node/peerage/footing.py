"""What a peer's sessions rest on, from its settings, its model and its contracts: the terms, the rules, the engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.config_toml import federation_hash
from peerage.greeting import Greeting
from peerage.keys import random_secret
from peerage.learning.learner import validation_blob
from peerage.plain.topology import near_of
from peerage.privacy.noise import noise_bound, noise_of
from peerage.regions import grouping_of
from peerage.rounds.aggregation import canonical
from peerage.rounds.grid import check_grid, check_scores, grid_of
from peerage.rounds.optimisers import agreed_optimiser
from peerage.rounds.round import Engine, Manifests, Rules
from peerage.rounds.sampling import sampling_of
from peerage.schedule import fedau_of, over_all, turns_of, whole_rosters
from peerage.sketching import sketching_of
from peerage.validation import check_peers, check_vectors, is_private
from peerage_crypto.digest import sha256, tagged
from peerage_ledger.judgement import Federation as Ground
from peerage_ledger.judgement import genesis, session_terms
from peerage_ledger.rewards import Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peerage.config import Federation
    from peerage.learning.learner import Learner
    from peerage.provenance.making import Stated
    from peerage.status import PeerSpec
    from peerage_crypto.identity import Account
    from peerage_ledger.deployment import Deployment

STAGGER_SECONDS = 0.5


def public_artefacts(learner: Learner, agreed: bytes, stated: Stated) -> tuple[bytes, ...]:
    """What an auditor needs beside the rounds: initial model, validation rows, standardiser (where there are any), and
    the manifests behind the digests that this peer signs.
    """
    ours = (canonical(learner.initial), validation_blob(learner.rows.validation), agreed)
    return (*(blob for blob in ours if blob), *stated.artefacts)


def ground_of(
    federation: Federation, deployment: Deployment, learner: Learner, registered: frozenset[bytes], agreed: bytes
) -> Ground:
    """`agreed` is the standardiser as an artefact (empty: the data need none). InputError: the ring is too small."""
    validation = validation_blob(learner.rows.validation)
    exchanged = sampling_of(federation).exchanged(learner.initial.size)
    grid = grid_of(federation.masking, noise_bound(federation, exchanged))
    if federation.exchange == "masked":
        check_grid(grid, len(registered))
        if federation.scores.openings == "round" and (is_private(federation) or learner.rows.validation is not None):
            check_scores(grid, exchanged)
        if is_private(federation):
            check_peers(len(registered))
            check_vectors(len(registered), exchanged)
    return Ground(
        chain_id=deployment.chain_id,
        registry=deployment.registry,
        round_ledger=deployment.ledger,
        vault=deployment.vault,
        genesis=deployment.federation,
        terms=session_terms(
            federation_hash(federation),
            learner.layout_hash,
            sha256(canonical(learner.initial)),
            *(sha256(blob) if blob else bytes(32) for blob in (validation, agreed)),
        ),
        registered=registered,
        ring=grid.ring,
        length=grid.length(exchanged),
        grouping=grouping_of(federation),
        sketches=sketching_of(federation, exchanged),
        crossfit=is_private(federation),
        audited=federation.scores.pair_audits,
        turns=turns_of(federation, registered),
        whole=whole_rosters(federation),
        near=near_of(federation, registered),
    )


def greeting_of(federation: Federation, learner: Learner) -> Greeting:
    """The same, hash by hash, for the others to compare."""
    validation = validation_blob(learner.rows.validation)
    return Greeting(
        settings=federation_hash(federation),
        genesis=sha256(canonical(learner.initial), learner.frozen),
        validation=sha256(validation) if validation else bytes(32),
        layout=tuple((name, tuple(shape)) for name, shape in learner.layout),
    )


def engine_of(
    spec: PeerSpec, ground: Ground, rules: Rules, account: Account, stated: Stated, initial: NDArray[np.float32]
) -> Engine:
    """An engine at the genesis of its ground.

    Rounding follows the run's seed, so that a seeded run repeats; it hides nothing and need not be secret.
    """
    seed, index = spec.seed.to_bytes(8, "little"), spec.index.to_bytes(4, "little")
    return Engine(
        rules=rules,
        federation=ground,
        account=account,
        genesis=genesis(ground.genesis, initial, sha256(canonical(initial))),
        manifests=Manifests(stated.data, stated.code),
        draw=random_secret,
        dither=lambda version: tagged("peerage/dither/v1", seed, index, version.to_bytes(8, "little")),
    )


def rule_of(federation: Federation) -> Rule:
    """What pay follows from."""
    return Rule(int(federation.rewards.pool), federation.rounds, federation.scores.cap, federation.scores.window)


def rules_of(federation: Federation, parameters: int) -> Rules:
    """The engine's numbers from the settings. InputError: the noise does not fit a model of so many parameters."""
    timing, noise = federation.timing, noise_of(federation, parameters)
    return Rules(
        rounds=federation.rounds,
        optimiser=agreed_optimiser(federation),
        grid=grid_of(federation.masking, noise.bound if noise else 0),
        novelty=federation.scores.novelty,
        cap=federation.scores.cap,
        window=federation.scores.window,
        pool=int(federation.rewards.pool),
        epoch=federation.rewards.epoch,
        patience=timing.join,
        step_seconds=timing.step,
        stall_seconds=timing.stall,
        stagger=STAGGER_SECONDS,
        leaves=federation.masking.leaves,
        rule=federation.robust.rule,
        byzantine=federation.robust.byzantine,
        openings=federation.scores.openings == "round",
        noise=noise,
        batch=federation.ledger.batch,
        over=over_all(federation),
        fedau=fedau_of(federation),
        sampling=sampling_of(federation),
        open_at=timing.open_at,
        least_roster_change=federation.privacy.least_roster_change,
    )
