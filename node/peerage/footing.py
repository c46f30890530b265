"""What a peer's sessions rest on, from its settings, its model and its contracts: the terms, the rules, the engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peerage.config_toml import federation_hash
from peerage.greeting import Greeting
from peerage.keys import random_secret
from peerage.learning.learner import data_manifest, validation_blob
from peerage.rounds.aggregation import AUXILIARY, Grid, canonical
from peerage.rounds.round import Engine, Manifests, Rules
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.fixedpoint import check_headroom, ring
from peerage_ledger.judgement import Federation as Ground
from peerage_ledger.judgement import genesis, session_terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peerage.config import Federation
    from peerage.learning.learner import Learner
    from peerage.status import PeerSpec
    from peerage_crypto.identity import Account
    from peerage_ledger.deployment import Deployment

STAGGER_SECONDS = 0.5
HASHED_SOURCES = ("rounds/aggregation.py", "learning/trainer.py", "learning/learner.py", "learning/scoring.py")


def public_artefacts(learner: Learner, agreed: bytes) -> tuple[bytes, ...]:
    """What an auditor needs beside the rounds: initial model, validation rows, standardiser (where there are any)."""
    return tuple(b for b in (canonical(learner.initial), validation_blob(learner.rows.validation), agreed) if b)


def ground_of(
    federation: Federation, deployment: Deployment, learner: Learner, registered: frozenset[bytes], agreed: bytes
) -> Ground:
    """`agreed` is the standardiser as an artefact (empty: the data need none). InputError: the ring is too small."""
    masking, validation = federation.masking, validation_blob(learner.rows.validation)
    check_headroom(len(registered), masking.frac_bits, masking.clip, ring(masking.ring_bits))
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
        ring=ring(masking.ring_bits),
        length=AUXILIARY + learner.initial.size,
    )


def greeting_of(federation: Federation, learner: Learner) -> Greeting:
    """The same, hash by hash, for the others to compare."""
    validation = validation_blob(learner.rows.validation)
    return Greeting(
        settings=federation_hash(federation),
        genesis=sha256(canonical(learner.initial)),
        validation=sha256(validation) if validation else bytes(32),
        layout=tuple((name, tuple(shape)) for name, shape in learner.layout),
    )


def engine_of(
    spec: PeerSpec, ground: Ground, rules: Rules, account: Account, learner: Learner, initial: NDArray[np.float32]
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
        manifests=Manifests(data_manifest(learner.rows), code_manifest()),
        draw=random_secret,
        dither=lambda version: tagged("peerage/dither/v1", seed, index, version.to_bytes(8, "little")),
    )


def rules_of(federation: Federation) -> Rules:
    """The engine's numbers from the settings."""
    masking, timing = federation.masking, federation.timing
    return Rules(
        rounds=federation.rounds,
        momentum=federation.merge.momentum,
        grid=Grid(masking.ring_bits, masking.frac_bits, masking.clip),
        novelty=federation.scores.novelty,
        cap=federation.scores.cap,
        window=federation.scores.window,
        pool=int(federation.rewards.pool),
        patience=timing.join,
        step_seconds=timing.step,
        stall_seconds=timing.stall,
        stagger=STAGGER_SECONDS,
    )


def code_manifest() -> bytes:
    """The hash of the sources that decide what an update is."""
    here = Path(__file__).parent
    return sha256(*((here / name).read_bytes() for name in HASHED_SOURCES))
