"""What the digests in a signed JoinIntent stand for: artefacts that say which code, machine and data made an update.

A `CodeManifest` names the sources that decide what an update is, the environment that they ran in and the agreed terms;
a `DataManifest` describes a peer's rows without showing one. Each is canonical JSON in the public store, named by its
SHA-256; the JoinIntent carries that name, so a manifest is signed with every update that it was made by.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec

from peerage_crypto.digest import tagged
from peerage_crypto.statements import Bytes32

MAX_MANIFEST_BYTES: Final = 1 << 20
NOT_STATED: Final = bytes(32)  # where a JoinIntent names no manifest

Words = Annotated[str, msgspec.Meta(max_length=1000)]
Names = Annotated[tuple[Words, ...], msgspec.Meta(max_length=10_000)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**48)]


class Source(msgspec.Struct, frozen=True, array_like=True):
    """A source file by its name inside the package, and its SHA-256."""

    name: Words
    sha256: Bytes32


class TensorShape(msgspec.Struct, frozen=True, array_like=True):
    """One tensor of the shared model, in the order of the canonical bytes."""

    name: Words
    shape: tuple[Size, ...]


class _Manifest(msgspec.Struct, frozen=True, tag_field="manifest", forbid_unknown_fields=True):
    def encoded(self) -> bytes:
        """Canonical JSON; the manifest's name is its SHA-256."""
        return msgspec.json.encode(self, order="deterministic")


class AgreedTerms(_Manifest, frozen=True, tag="terms/1"):
    """The five hashes that every session is bound to, and the layout behind one of them.

    Proves itself: `digest` must be the `params` of a session, which its name is a hash of.
    """

    settings: Bytes32
    layout: Annotated[tuple[TensorShape, ...], msgspec.Meta(max_length=10_000)]
    model: Bytes32
    validation: Bytes32
    standardiser: Bytes32

    def digest(self) -> bytes:
        """As `judgement.session_terms` has it, with the layout's hash made from its names and shapes."""
        parts = (f"{t.name}:{','.join(map(str, t.shape))}".encode() for t in self.layout)
        layout = tagged("peerage/layout/1", *parts)
        return tagged("peerage/terms/v1", self.settings, layout, self.model, self.validation, self.standardiser)


class EnvironmentManifest(_Manifest, frozen=True, tag="environment/1"):
    """The machine as far as it can change a number: interpreter, system, processor family, numerical packages."""

    python: Words
    system: Words
    machine: Words
    packages: Annotated[tuple[tuple[Words, Words], ...], msgspec.Meta(max_length=100)]


class CodeManifest(_Manifest, frozen=True, tag="code/1"):
    """What decides an update: the package and its deciding sources, the user's own model and training function.

    `model` and `training` are the factories' names in the settings (empty: ours), with the SHA-256 of the file that
    each stands in (zeros where there is none). `environment` and `terms` name the artefacts of those manifests.
    """

    peerage: Words
    sources: Annotated[tuple[Source, ...], msgspec.Meta(max_length=1000)]
    model: Source
    training: Source
    environment: Bytes32
    terms: Bytes32


class DataManifest(_Manifest, frozen=True, tag="data/1"):
    """A peer's training rows, described by what is agreed anyhow, and bound by a commitment.

    `rows_up_to` is the next power of two: the count itself stays at home. `classes` are the agreed ones, not those that
    the peer has. `commitment` is salted, so that nobody can confirm a guessed row; `opens` says who can show it.
    """

    source: Words
    columns: Names
    shape: tuple[Size, ...]
    classes: Names
    rows_up_to: Size
    commitment: Bytes32

    def opens(self, salt: bytes, features: bytes, labels: bytes) -> bool:
        """Whether these rows (float32 and int64, little-endian) under this salt are the committed ones."""
        return rows_commitment(salt, features, labels) == self.commitment


Manifest = AgreedTerms | EnvironmentManifest | CodeManifest | DataManifest
M = TypeVar("M", AgreedTerms, EnvironmentManifest, CodeManifest, DataManifest)


def rows_commitment(salt: bytes, features: bytes, labels: bytes) -> bytes:
    """32 bytes that bind the rows and, without the salt, tell nothing of them."""
    return tagged("peerage/data/v2", salt, features, labels)


def decode_manifest(blob: bytes) -> Manifest:
    """A manifest from exactly its canonical bytes; ValueError otherwise."""
    if len(blob) > MAX_MANIFEST_BYTES:
        raise ValueError("a manifest is larger than any legal one")
    try:
        manifest: Manifest = msgspec.json.decode(blob, type=Manifest)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a manifest: {error}") from error
    if manifest.encoded() != blob:
        raise ValueError("a manifest that is not in its canonical form")
    return manifest


def manifest_in(blob: bytes | None, kind: type[M]) -> M | None:
    """The manifest of that kind in these bytes, if it is one."""
    if blob is None:
        return None
    try:
        manifest = decode_manifest(blob)
    except ValueError:
        return None
    return manifest if isinstance(manifest, kind) else None
