"""Where the graph of models is read from: a run directory, or a node with its deployment and, if there is one, a store.

What is read is believed as little as the audit believes it: the chain is executed again, artefacts must hash to their
names. Without a store the chain alone speaks: which models there are, not who stands behind them.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import fsspec
import msgspec

from peerage.rundir import RunDir
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError, Unreachable
from peerage_ledger.archive.reader import read_export
from peerage_ledger.deployment import Deployment
from peerage_ledger.provenance.build import Provenance, provenance_of
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = re.compile(r"[0-9a-f]{64}")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


class Store(Protocol):
    """Artefacts by name; `get` gives None for what is not there, is too large for a document, or holds other bytes."""

    def get(self, artefact: bytes, /) -> bytes | None: ...
    def names(self) -> Iterable[bytes]: ...
    def place(self, artefact: bytes, /) -> str: ...


@dataclass(frozen=True, slots=True)
class FolderStore:
    root: Path

    def get(self, artefact: bytes, /) -> bytes | None:
        path = self.root / artefact.hex()
        try:
            blob = path.read_bytes() if path.stat().st_size <= MAX_TRANSCRIPT_BYTES else b""
        except OSError:
            return None
        return blob if sha256(blob) == artefact else None

    def names(self) -> Iterable[bytes]:
        return (bytes.fromhex(p.name) for p in sorted(self.root.iterdir()) if NAME.fullmatch(p.name))

    def place(self, artefact: bytes, /) -> str:
        return (self.root / artefact.hex()).absolute().as_uri()


@dataclass(frozen=True, slots=True)
class UrlStore:
    """Whatever fsspec reaches: a folder, http, s3."""

    url: str

    def get(self, artefact: bytes, /) -> bytes | None:
        try:
            system, root = fsspec.core.url_to_fs(self.url)
            blob = bytes(system.cat_file(f"{root}/{artefact.hex()}", start=0, end=MAX_TRANSCRIPT_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ImportError) as error:
            raise Unreachable(f"the store {self.url} cannot be read: {error}") from None
        return blob if sha256(blob) == artefact else None

    def names(self) -> Iterable[bytes]:
        try:
            system, root = fsspec.core.url_to_fs(self.url)
            paths = system.ls(root, detail=False)
        except (OSError, ValueError, ImportError) as error:
            raise Unreachable(f"the store {self.url} cannot be listed: {error}") from None
        found = (str(path).rstrip("/").rpartition("/")[2] for path in paths)
        return [bytes.fromhex(name) for name in sorted(found) if NAME.fullmatch(name)]

    def place(self, artefact: bytes, /) -> str:
        return f"{self.url.rstrip('/')}/{artefact.hex()}"


@dataclass(frozen=True, slots=True)
class NoStore:
    """The chain alone."""

    def get(self, _artefact: bytes, /) -> bytes | None:
        return None

    def names(self) -> Iterable[bytes]:
        return ()

    def place(self, artefact: bytes, /) -> str:
        return f"urn:sha256:{artefact.hex()}"


@dataclass(frozen=True)
class Opened:
    """`deployment` names the contracts, `told` is what chain and artefacts say, `store` where the artefacts are."""

    told: Provenance
    store: Store
    deployment: Deployment

    @property
    def has_store(self) -> bool:
        return not isinstance(self.store, NoStore)


class _Summary(msgspec.Struct, frozen=True):
    """Whom the run calls what: names for sentences, which prove nothing."""

    accounts: dict[str, str] = {}


def open_sources(run_dir: Path | None, deployment: Path | None, rpc: str | None, store: str | None) -> Opened:
    """InputError when the arguments name no source, or what they name cannot be read."""
    if run_dir is not None and not (deployment or rpc or store):
        return open_run(run_dir)
    if run_dir is None and deployment and rpc:
        return open_chain(deployment, rpc, store)
    raise InputError("whose models? Give RUN_DIR, or --deployment and --rpc (and --store for what went into them)")


def open_run(run_dir: Path) -> Opened:
    run = RunDir(run_dir)
    if not run.store.is_dir() or not run.deployment.is_file():
        raise InputError(f"{run_dir} is no run directory: it has no store/ with a deployment.json beside it")
    deployment, store = Deployment.read(run.deployment), FolderStore(run.store)
    archive = read_export(run.chain / "chain.jsonl")
    return Opened(provenance_of(deployment, archive, store, _names(run.summary)), store, deployment)


def open_chain(deployment: Path, rpc: str, store: str | None) -> Opened:
    # web3 is slow to import, and a run directory does without
    from peerage_ledger.archive.export import ChainExport  # noqa: PLC0415

    placed, artefacts = Deployment.read(deployment), UrlStore(store) if store else NoStore()
    with tempfile.TemporaryDirectory(prefix="peerage-provenance-") as folder:
        path = Path(folder) / "chain.jsonl"
        ChainExport(placed, path, rpc_url=rpc).finish()
        archive = read_export(path)
    return Opened(provenance_of(placed, archive, artefacts), artefacts, placed)


def _names(path: Path) -> dict[bytes, str]:
    try:
        told = msgspec.json.decode(path.read_bytes(), type=_Summary)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    good = {name: text for name, text in told.accounts.items() if ADDRESS.fullmatch(text) and len(name) <= 100}
    return {bytes.fromhex(text[2:]): name for name, text in good.items()}
