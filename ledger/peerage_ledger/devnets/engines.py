"""The three devnet engines: where each is found, and how each is started."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

ANVIL_STATE: Final = "anvil.json"
MODULES_VARIABLE: Final = "PEERAGE_NODE_MODULES"
_ARCHITECTURES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class Engine(StrEnum):
    ANVIL = "anvil"
    GANACHE = "ganache"
    EMBEDDED = "embedded"


def _module_folders() -> Iterator[Path]:
    named = os.environ.get(MODULES_VARIABLE)
    if named:
        yield Path(named)
    yield Path(__file__).resolve().parents[3] / "contracts" / "node_modules"
    yield Path.cwd() / "contracts" / "node_modules"


def find_anvil() -> list[str] | None:
    """The native binary: npm's wrapper script would stand between us and it when we kill."""
    system = f"{platform.system().lower()}-{_ARCHITECTURES.get(platform.machine().lower(), 'other')}"
    for folder in _module_folders():
        binary = folder / "@foundry-rs" / f"anvil-{system}" / "bin" / "anvil"
        if os.access(binary, os.X_OK):
            return [str(binary)]
    on_path = shutil.which("anvil")
    if on_path is not None:
        with Path(on_path).open("rb") as file:
            if file.read(2) != b"#!":
                return [on_path]
    return None


def find_ganache() -> list[str] | None:
    node = shutil.which("node")
    if node is None:
        return None
    for folder in _module_folders():
        script = folder / "ganache" / "dist" / "node" / "cli.js"
        if script.is_file():
            return [node, str(script)]
    on_path = shutil.which("ganache")
    return None if on_path is None else [on_path]


def find(engine: Engine) -> list[str] | None:
    if engine is Engine.ANVIL:
        return find_anvil()
    if engine is Engine.GANACHE:
        return find_ganache()
    return [sys.executable, "-m", "peerage_ledger.devnets.embedded"]


def choose(wanted: str) -> Engine:
    """`auto` is the first that is there: anvil, ganache, embedded (which always is)."""
    if wanted == "auto":
        return next(engine for engine in Engine if find(engine) is not None)
    try:
        engine = Engine(wanted)
    except ValueError:
        raise InputError(
            f"ledger engine {wanted!r}: say auto, anvil, ganache, embedded or an http:// address"
        ) from None
    if find(engine) is None:
        raise InputError(
            f"ledger engine {wanted!r} is not installed; run scripts/test once with Node.js there, or use embedded"
        )
    return engine


def command(engine: Engine, state: Path, chain_id: int, port: int) -> list[str]:
    """State on disk in each; the Shanghai rules in each, because Ganache stops there."""
    start = find(engine)
    if start is None:
        raise InputError(f"ledger engine {engine} is not installed; run `npm ci` in contracts/")
    if engine is Engine.ANVIL:
        # plain --state writes nothing when killed: the interval does
        options = f"--host 127.0.0.1 --port {port} --chain-id {chain_id} --hardfork shanghai --accounts 1 --quiet"
        return [*start, *options.split(), "--state", str(state / ANVIL_STATE), "--state-interval", "1"]
    if engine is Engine.GANACHE:
        options = (
            f"--server.host 127.0.0.1 --server.port {port} --chain.chainId {chain_id} --chain.networkId {chain_id}"
        )
        options += " --chain.hardfork shanghai --wallet.totalAccounts 1 --logging.quiet true"
        return [*start, *options.split(), "--database.dbPath", str(state / "ganache")]
    return [*start, "--state", str(state), "--chain-id", str(chain_id), "--port", str(port)]
