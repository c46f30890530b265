"""A local chain for a federation: one door for three engines, or somebody's node by its URL.

The engine runs in its own process group behind a guard (`guard.py`), so it never outlives us. A supervisor thread
writes every raw transaction to a journal (fsync) as blocks appear, starts an engine again that died, on the same port,
and sends again what its state on disk had not kept.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Self

import msgspec

from peerage_crypto.errors import ChainError, InputError, OurError, Unreachable
from peerage_ledger.devnets import engines, guard
from peerage_ledger.devnets.engines import Engine
from peerage_ledger.devnets.evm_genesis import write_genesis
from peerage_ledger.devnets.nudge import Nudge
from peerage_ledger.devnets.tx_journal import TransactionJournal
from peerage_ledger.rpc import NotAnEvm, Rpc, connect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

START_SECONDS: Final = 30.0
_ASK_SECONDS: Final = 0.03
_FOLLOW_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 8.0
_FUND: Final = {Engine.ANVIL: "anvil_setBalance", Engine.GANACHE: "evm_setAccountBalance"}


class Devnet:
    """A running devnet; `engine` says which ("url": somebody else's). A context manager, or `stop()` it."""

    def __init__(
        self,
        engine: Engine | None,
        state: Path,
        chain_id: int,
        accounts: Mapping[bytes, int],
        port: int,
        url: str,
        revive_seconds: float | None,
    ) -> None:
        self.engine = "url" if engine is None else engine.value
        self.chain_id, self.port, self.rpc_url, self.state = chain_id, port, url, state
        self.restarts = 0
        self._nudge = Nudge()
        self._kind, self._accounts, self._revive = engine, dict(accounts), revive_seconds
        self._guard: subprocess.Popen[bytes] | None = None
        self.pid: int | None = None  # of the engine itself, not of its guard
        self._lock = threading.RLock()  # one at a time starts, ends or journals
        self._down_on_purpose = False
        self._closing = threading.Event()
        self._journal: TransactionJournal | None = None
        self._thread: threading.Thread | None = None
        self._rpc: Rpc | None = None

    # what a caller does

    def stop(self) -> None:
        """End the engine in order, with its state written. Again does nothing."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            with contextlib.suppress(ChainError, Unreachable, NotAnEvm):
                self._follow()
            self._end(signal.SIGTERM)
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def kill(self) -> None:
        """A kill -9, as a crash would; it stays down until `restart`."""
        with self._lock:
            self._down_on_purpose = True
            self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Up again on the same port with everything it knew."""
        with self._lock:
            self._end(signal.SIGTERM)
            self._start()
            self.restarts += 1
            self._down_on_purpose = False

    def keep(self) -> None:
        """Whatever is on the chain now survives a kill: its transactions are in the journal when this returns."""
        with self._lock:
            self._follow()

    def alive(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # what it takes

    def open(self) -> None:
        """The second half of `start`."""
        if self._kind is None:
            self._rpc = connect(self.rpc_url, self.chain_id)
            return
        self.state.mkdir(parents=True, exist_ok=True)
        if self._kind is Engine.EMBEDDED:
            write_genesis(self.state, self.chain_id, self._accounts)
        else:
            self._journal = TransactionJournal(self.state / "transactions.jsonl")
        self._start()
        self._thread = threading.Thread(target=self._supervise, name="devnet-supervisor", daemon=True)
        self._thread.start()

    def _start(self) -> None:
        assert self._kind is not None
        _check_port(self.port)
        _set_aside_torn(self.state / engines.ANVIL_STATE)
        command = engines.command(self._kind, self.state, self.chain_id, self.port)
        log = self.state / "devnet.log"
        with log.open("ab") as stream:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        line = self._guard.stdout.readline()
        if not line.strip().isdigit():
            raise OurError(f"the {self._kind} devnet could not be started; see {log}")
        self.pid = int(line)
        try:
            self._rpc = self._wait_until_it_answers(log)
            self._fund()
            if self._journal is not None:
                self._journal.replay(self._rpc)
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    def _wait_until_it_answers(self, log: Path) -> Rpc:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.alive():
                raise InputError(f"the {self._kind} devnet ended at its start: {_last_line(log)} (see {log})")
            try:
                return connect(self.rpc_url, self.chain_id)
            except (Unreachable, NotAnEvm):
                self._closing.wait(_ASK_SECONDS)
        raise OurError(f"the {self._kind} devnet gave no answer for {START_SECONDS:.0f} s; see {log}")

    def _fund(self) -> None:
        """Anvil and Ganache take balances over RPC. An account that has acted keeps what it has."""
        method = None if self._kind is None else _FUND.get(self._kind)
        if method is None or not self._accounts or self._rpc is None:
            return
        names = ["0x" + a.hex() for a in self._accounts]
        nonces = self._rpc.batch([("eth_getTransactionCount", (n, "latest")) for n in names])
        held = self._rpc.batch([("eth_getBalance", (n, "latest")) for n in names])
        missing = [
            (name, wei)
            for name, wei, nonce, have in zip(names, self._accounts.values(), nonces, held, strict=True)
            if int(nonce, 16) == 0 and int(have, 16) < wei
        ]
        self._rpc.batch([(method, (name, hex(wei))) for name, wei in missing])
        if self._kind is Engine.GANACHE:
            # it runs a transaction of nonce 0 again each time it is sent; no account of ours has one
            self._rpc.batch([("evm_setAccountNonce", (name, "0x1")) for name, _ in missing])

    def _end(self, how: signal.Signals) -> None:
        process, self._guard = self._guard, None
        if process is None:
            return
        if process.poll() is None and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _supervise(self) -> None:
        died: float | None = None
        while not self._closing.wait(_FOLLOW_SECONDS):
            with self._lock:
                if self._down_on_purpose or self._closing.is_set():
                    died = None
                elif self.alive():
                    with contextlib.suppress(ChainError, Unreachable, NotAnEvm):
                        self._follow()
                elif died is None:
                    died = time.monotonic()
                elif self._revive is not None and time.monotonic() - died >= self._revive:
                    died = None
                    with contextlib.suppress(ChainError, Unreachable, InputError, OurError):
                        self.restart()

    def _follow(self) -> None:
        if self._journal is not None and self._rpc is not None and self.alive():
            self._journal.follow(self._rpc)
            if self._kind is Engine.ANVIL:
                self._nudge.look(self._rpc)


def start(
    engine: str,
    state_dir: Path,
    *,
    chain_id: int = 31337,
    accounts: Mapping[bytes, int] | None = None,
    port: int = 0,
    revive_seconds: float | None = 1.0,
) -> Devnet:
    """Start (or for a URL: check) a chain; `accounts` maps address -> wei; without `revive_seconds` the dead stay dead.

    Raises InputError for a port in use, an unknown or missing engine, a node that is no EVM or has another chain id.
    """
    if "://" in engine:
        devnet = Devnet(None, state_dir, chain_id, {}, 0, engine, None)
    else:
        kind = engines.choose(engine)
        port = port or free_port()
        url = f"http://127.0.0.1:{port}"
        devnet = Devnet(kind, state_dir, chain_id, accounts or {}, port, url, revive_seconds)
    try:
        devnet.open()
    except BaseException:
        devnet.stop()
        raise
    return devnet


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise InputError(f"port {port} needs more rights than this user has; choose one above 1023") from None
        except (OSError, OverflowError):
            raise InputError(f"port {port} is in use; choose another, or 0 for any free one") from None


def _set_aside_torn(path: Path) -> None:
    """Anvil killed while it wrote its state would not start from it: the journal then brings everything back."""
    try:
        msgspec.json.decode(path.read_bytes(), type=msgspec.Raw)
    except FileNotFoundError:
        return
    except msgspec.DecodeError:
        path.replace(path.with_suffix(".torn"))


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
