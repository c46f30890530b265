"""What an audit reads, from a run directory or from afar: gathered and hashed, nothing judged yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from peerage.audit.remote import Stores, patient
from peerage.audit.store import Shelves, shelve
from peerage.config_toml import load_federation, settings_from, settings_name
from peerage.launch.prune import already_pruned
from peerage_crypto.errors import InputError
from peerage_ledger.archive.discover import discover
from peerage_ledger.archive.export import export_all
from peerage_ledger.archive.reader import ChainArchive, parse, read_export
from peerage_ledger.deployment import Deployment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from peerage.config import Federation
    from peerage.rundir import RunDir
    from peerage_ledger.audit.findings import Notebook

    Heard = Callable[[str, int, int], None]

NEWLINE = b"\n"


class Hints(msgspec.Struct, frozen=True):
    """What of summary.json guides an audit: who the peers say they are, who was lost. Proves nothing."""

    accounts: dict[str, str] = {}
    lost: dict[str, str] = {}


@dataclass(frozen=True)
class Sources:
    """Everything read, before anything is judged. `chain` is the record of the chain as bytes of its file."""

    federation: Federation
    deployment: Deployment
    archive: ChainArchive
    chain: bytes
    shelves: Shelves
    journals: Mapping[str, bytes]
    hints: Hints
    pruned: frozenset[bytes]
    live: bool = False  # the chain was read from its node just now


def from_run(run: RunDir, book: Notebook, heard: Heard) -> Sources:
    """A finished (or still growing) run. InputError when there is nothing that could be audited."""
    if not run.store.is_dir():
        raise InputError(f"{run.root} is no run directory: it has no store/")
    names = [path.name for path in run.store.iterdir()]
    read = 0

    def artefact(name: str) -> bytes:
        nonlocal read
        read += 1
        heard("artefacts", min(read, len(names)), len(names))
        return (run.store / name).read_bytes()

    shelves = shelve(names, artefact, book)
    peers = run.root / "peers"
    folders = sorted(peers.iterdir()) if peers.is_dir() else []
    files = {folder.name: folder / "journal.jsonl" for folder in folders if folder.is_dir()}
    chain = _chain_in(run.chain / "chain.jsonl", book)
    return Sources(
        federation=load_federation(run.federation),
        deployment=Deployment.read(run.deployment),
        archive=parse(chain),
        chain=chain,
        shelves=shelves,
        journals={name: path.read_bytes() for name, path in files.items() if path.is_file()},
        hints=_hints(run.summary),
        pruned=frozenset(bytes.fromhex(name) for name in already_pruned(run)),
    )


@dataclass(frozen=True)
class Address:
    """What an outsider has: a node, stores, and `deployment.json` or the address of the round ledger.

    `settings` is a federation file, where the store has none or a machine's own places are needed (data, a factory).
    """

    rpc: str
    stores: tuple[str, ...]
    deployment: Path | None = None
    contract: bytes | None = None
    settings: Path | None = None


def from_afar(address: Address, kept: Path, book: Notebook, heard: Heard) -> Sources:
    """A node and artefact stores. `kept` keeps what was read, so that an interrupted audit goes on."""
    if address.deployment is not None:
        placed = Deployment.read(address.deployment)
    elif address.contract is not None:
        placed = discover(address.rpc, address.contract)
    else:
        raise InputError("which federation? Give --deployment or --contract")
    path = kept / f"chain-{placed.ledger.hex()}-{placed.chain_id}.jsonl"
    export_all(placed, path, address.rpc, told=lambda done, of: heard("blocks", done, of))
    (kept / "store").mkdir(parents=True, exist_ok=True)
    stores = Stores(address.stores, kept / "store", heard, patient)
    shelves = shelve(stores.names, stores.read, book)
    book.note("journals are not here: what peers wrote down is not compared with what they signed")
    return Sources(
        federation=_settings(address, placed, shelves),
        deployment=placed,
        archive=read_export(path),
        chain=path.read_bytes(),
        shelves=shelves,
        journals={},
        hints=Hints(),
        pruned=frozenset(),
        live=True,
    )


def _settings(address: Address, placed: Deployment, shelves: Shelves) -> Federation:
    """The file that was named, the one beside deployment.json, or the artefact whose hash the ledger was built with."""
    beside = address.deployment.parent / "federation.toml" if address.deployment else None
    file = address.settings or (beside if beside and beside.is_file() else None)
    if file is not None:
        return load_federation(file)
    for blob in shelves.settings.values():
        if settings_name(blob) == placed.federation:
            return settings_from(blob)
    raise InputError(
        f"the store has no settings with the hash {placed.federation.hex()[:16]}... that the round ledger was built "
        "with: ask a peer for its federation.toml and give it as --settings"
    )


def _chain_in(path: Path, book: Notebook) -> bytes:
    """The run's own record of its chain. Bytes that are no text at all are a fault of one line, not of the audit."""
    if not path.is_file():
        read_export(path)  # says what is missing
    raw = path.read_bytes()
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        book.find("chain-archive", f"chain.jsonl: line {raw[: error.start].count(NEWLINE) + 1} is no text")
        raw = raw.decode(errors="replace").encode()
    return raw


def _hints(path: Path) -> Hints:
    if not path.exists():
        return Hints()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Hints)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Hints()  # check_summary says what is wrong with it
