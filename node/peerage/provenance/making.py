"""The manifests that a peer signs with every update: which code, which machine, which data.

Made once before training. What they say is public (docs/provenance.md lists it): no row, no exact count, no name of the
machine. With noise a peer states no data at all, since epsilon accounts for nothing but the noisy sums.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from peerage.config_toml import federation_hash
from peerage.learning.factory import is_factory
from peerage.learning.learner import validation_blob
from peerage.rounds.aggregation import canonical
from peerage_crypto.digest import sha256, tagged
from peerage_ledger.provenance.manifests import (
    NOT_STATED,
    AgreedTerms,
    CodeManifest,
    DataManifest,
    EnvironmentManifest,
    Source,
    TensorShape,
    rows_commitment,
)

if TYPE_CHECKING:
    from peerage.config import Federation
    from peerage.learning.learner import Learner, Rows
    from peerage_crypto.identity import Account

# the sources that decide what an update is
DECIDING: Final = (
    "learning/architectures.py",
    "learning/balancing.py",
    "learning/learner.py",
    "learning/scoring.py",
    "learning/trainer.py",
    "robust/rules.py",
    "rounds/aggregation.py",
    "rounds/merging.py",
)
NUMERICAL: Final = ("numpy", "scikit-learn", "torch")
NAMED_SOURCES: Final = ("csv", "digits", "folder", "mnist", "npz")  # of others the name may hold a path
OURS: Final = Source("", NOT_STATED)  # no file of the user's stands behind it


@dataclass(frozen=True)
class Stated:
    """What a peer states of itself. `data` and `code` are the digests it signs, `artefacts` what they stand for."""

    data: bytes
    code: bytes
    artefacts: tuple[bytes, ...]


def stated_by(federation: Federation, account: Account, learner: Learner, agreed: bytes) -> Stated:
    """`agreed` is the standardiser as an artefact (empty: the data need none)."""
    terms = agreed_terms(federation, learner, agreed).encoded()
    environment = environment_manifest().encoded()
    code = code_manifest(federation, sha256(environment), sha256(terms)).encoded()
    if federation.privacy.noise:
        return Stated(NOT_STATED, sha256(code), (terms, environment, code))
    data = data_manifest(federation, learner.rows, data_salt(account, federation_hash(federation))).encoded()
    return Stated(sha256(data), sha256(code), (terms, environment, code, data))


def agreed_terms(federation: Federation, learner: Learner, agreed: bytes) -> AgreedTerms:
    """The layout with the hashes beside it that every session is bound to: a model file is checked against it."""
    validation = validation_blob(learner.rows.validation)
    return AgreedTerms(
        settings=federation_hash(federation),
        layout=tuple(TensorShape(name, tuple(shape)) for name, shape in learner.layout),
        model=sha256(canonical(learner.initial)),
        validation=sha256(validation) if validation else bytes(32),
        standardiser=sha256(agreed) if agreed else bytes(32),
    )


def environment_manifest() -> EnvironmentManifest:
    packages = tuple((name, _version(name)) for name in NUMERICAL)
    return EnvironmentManifest(platform.python_version(), platform.system(), platform.machine(), packages)


def code_manifest(federation: Federation, environment: bytes, terms: bytes) -> CodeManifest:
    here = Path(__file__).parents[1]
    return CodeManifest(
        peerage=_version("peerage"),
        sources=tuple(Source(name, sha256((here / name).read_bytes())) for name in DECIDING),
        model=_own_source(federation.model.factory),
        training=_own_source(federation.training.function),
        environment=environment,
        terms=terms,
    )


def data_manifest(federation: Federation, rows: Rows, salt: bytes) -> DataManifest:
    own = rows.own
    schema, kind = rows.schema, federation.data.source.partition(":")[0]
    return DataManifest(
        source=kind if kind in NAMED_SOURCES else "own",
        columns=() if schema is None else (*(c.name for c in schema.numeric), *(c.name for c in schema.categorical)),
        shape=tuple(own.input_shape),
        classes=own.classes,
        rows_up_to=1 << (len(own) - 1).bit_length() if len(own) else 0,
        commitment=rows_commitment(salt, own.features.astype("<f4").tobytes(), own.labels.astype("<i8").tobytes()),
    )


def data_salt(account: Account, federation: bytes) -> bytes:
    """32 bytes that only the peer can compute, at any time again; showing them opens one federation's commitment."""
    return tagged("peerage/data-salt/v1", account.secret, federation)


def _own_source(name: str) -> Source:
    """The file in which a `module:factory` or `file.py:factory` of the user's stands."""
    if not is_factory(name):
        return OURS
    module = name.rpartition(":")[0]
    path = Path(module) if module.endswith(".py") else _file_of(module)
    try:
        return Source(name, sha256(path.read_bytes()) if path else NOT_STATED)
    except OSError:
        return Source(name, NOT_STATED)


def _file_of(module: str) -> Path | None:
    loaded = sys.modules.get(module)
    try:
        found = loaded.__spec__ if loaded else importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found and found.origin else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
