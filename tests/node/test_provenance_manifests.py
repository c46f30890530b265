"""What a peer states of itself: checked against what it must say, and against what it must not give away."""

from dataclasses import replace
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from peerage.config import Federation, ModelSettings, PrivacySettings
from peerage.learning.data import Dataset
from peerage.learning.data_csv import Categorical, Numeric, Schema
from peerage.learning.learner import Rows
from peerage.learning.model import build, layout, layout_hash, to_vector
from peerage.provenance import making
from peerage.rounds.aggregation import canonical
from peerage_crypto.digest import sha256
from peerage_crypto.identity import Account
from peerage_ledger.judgement import session_terms
from peerage_ledger.provenance import CodeManifest, DataManifest, decode_manifest

ACCOUNT = Account.from_secret(bytes(31) + b"\x07")
OTHER = Account.from_secret(bytes(31) + b"\x08")


def rows_of(count: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, 4)).astype(np.float32)
    own = Dataset(features, rng.integers(0, 2, count), ("no", "yes"))
    return Rows(own, own, own, None, None)


def learner_of(rows: Rows) -> SimpleNamespace:
    model = build((4,), 2, 0, hidden=3)
    return SimpleNamespace(rows=rows, layout=layout(model), initial=to_vector(model))


FEDERATION = Federation()


def test_the_terms_are_those_that_every_session_is_bound_to() -> None:
    learner = learner_of(rows_of(9))
    terms = making.agreed_terms(FEDERATION, learner, b"scale")
    expected = session_terms(
        making.federation_hash(FEDERATION),
        layout_hash(learner.layout),
        sha256(canonical(learner.initial)),
        bytes(32),
        sha256(b"scale"),
    )
    assert terms.digest() == expected
    assert replace_first_shape(terms).digest() != expected


def replace_first_shape(terms):
    first, *rest = terms.layout
    return msgspec.structs.replace(terms, layout=(msgspec.structs.replace(first, shape=first.shape[::-1]), *rest))


def test_every_signed_digest_is_of_an_artefact_that_is_given_out() -> None:
    stated = making.stated_by(FEDERATION, ACCOUNT, learner_of(rows_of(9)), b"")
    by_name = {sha256(blob): decode_manifest(blob) for blob in stated.artefacts}
    code, data = by_name[stated.code], by_name[stated.data]
    assert isinstance(code, CodeManifest)
    assert isinstance(data, DataManifest)
    assert {code.environment, code.terms} <= by_name.keys()
    assert [s.name for s in code.sources] == list(making.DECIDING)
    assert dict(by_name[code.environment].packages)["torch"]


def test_a_changed_deciding_source_or_model_file_changes_the_code_manifest(tmp_path, monkeypatch) -> None:
    own = tmp_path / "net.py"
    own.write_text("def make(shape, classes): ...\n")
    federation = msgspec.structs.replace(FEDERATION, model=ModelSettings(factory=f"{own}:make"))
    before = making.code_manifest(federation, bytes(32), bytes(32))
    assert before.model.sha256 == sha256(own.read_bytes())
    own.write_text("def make(shape, classes): return None\n")
    assert making.code_manifest(federation, bytes(32), bytes(32)) != before
    monkeypatch.setattr(making, "DECIDING", (*making.DECIDING, "peer.py"))
    assert making.code_manifest(federation, bytes(32), bytes(32)).sources[-1].name == "peer.py"


@pytest.mark.parametrize(("rows", "told"), [(1, 1), (2, 2), (3, 4), (128, 128), (129, 256)])
def test_the_number_of_rows_is_told_to_the_next_power_of_two(rows: int, told: int) -> None:
    assert making.data_manifest(FEDERATION, rows_of(rows), bytes(32)).rows_up_to == told


def test_a_peer_can_open_its_commitment_and_nobody_can_confirm_a_guess() -> None:
    rows = rows_of(20)
    features, labels = rows.own.features.astype("<f4").tobytes(), rows.own.labels.astype("<i8").tobytes()
    salt = making.data_salt(ACCOUNT, bytes(32))
    manifest = making.data_manifest(FEDERATION, rows, salt)
    assert manifest.opens(salt, features, labels)
    assert not manifest.opens(making.data_salt(OTHER, bytes(32)), features, labels)
    assert not manifest.opens(making.data_salt(ACCOUNT, b"\1" * 32), features, labels)
    assert not manifest.opens(salt, features[::-1], labels)
    assert manifest != making.data_manifest(FEDERATION, rows, making.data_salt(OTHER, bytes(32)))


def test_the_classes_are_the_agreed_ones_whatever_the_peer_has() -> None:
    rows = rows_of(20)
    one_class = Dataset(rows.own.features, np.zeros(20, np.int64), ("no", "yes"))
    schema = Schema(
        label="ill", classes=("no", "yes"), numeric=(Numeric("age", 6),), categorical=(Categorical("town", ("a", "b")),)
    )
    manifest = making.data_manifest(FEDERATION, replace(rows, own=one_class, schema=schema), bytes(32))
    assert manifest.classes == ("no", "yes")
    assert manifest.columns == ("age", "town")
    assert manifest.source == "digits"


def test_the_place_of_a_table_is_not_told() -> None:
    federation = msgspec.structs.replace(
        FEDERATION, data=msgspec.structs.replace(FEDERATION.data, source="mine.py:rows")
    )
    assert making.data_manifest(federation, rows_of(4), bytes(32)).source == "own"
    federation = msgspec.structs.replace(
        FEDERATION, data=msgspec.structs.replace(FEDERATION.data, source="csv:/home/ann/ward-7.csv")
    )
    assert making.data_manifest(federation, rows_of(4), bytes(32)).source == "csv"


def test_with_noise_nothing_is_stated_of_the_rows() -> None:
    federation = msgspec.structs.replace(FEDERATION, privacy=PrivacySettings(noise=1.0))
    stated = making.stated_by(federation, ACCOUNT, learner_of(rows_of(9)), b"")
    assert stated.data == bytes(32)
    assert not any(isinstance(decode_manifest(blob), DataManifest) for blob in stated.artefacts)


def test_a_manifest_in_another_form_is_refused() -> None:
    blob = making.environment_manifest().encoded()
    for bad in (blob + b" ", b"{}", b"[" * 5000, blob.replace(b'"python"', b'"pyth0n"'), b" " * (2 << 20)):
        with pytest.raises(ValueError, match="manifest"):
            decode_manifest(bad)
