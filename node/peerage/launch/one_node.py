"""One peer in the foreground: the same `run_peer` as under the launcher, with this terminal at the pipe's other end."""

import contextlib
import importlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
from eth_utils.address import to_checksum_address
from msgspec.structs import replace as with_

from peerage import keys
from peerage.config_toml import load_federation, to_toml
from peerage.launch.admission import may_register, read_invitation
from peerage.launch.live import amount, percent
from peerage.launch.node_file import NodeFile, listening, read_node_file
from peerage.launch.processes import PRELOAD, RUN_PEER, Runner, reseed
from peerage.launch.turns import made_up
from peerage.rundir import RunDir, open_run_dir, write_whole
from peerage.status import PeerSpec, receive_status
from peerage_crypto.errors import ChainError, InputError, Unreachable
from peerage_ledger.archive.export import ChainExport
from peerage_ledger.deployment import Deployment
from peerage_ledger.fees import GWEI
from peerage_ledger.rpc import connect


def run_node(file: Path, *, resume: bool, runner: str = RUN_PEER) -> int:
    """Blocks until the federation is done or Ctrl-C; the peer's exit code."""
    importlib.import_module(PRELOAD[0])  # one thread, before torch computes anything
    from peerage.emissions.codecarbon_door import probe_host  # noqa: PLC0415 - pandas
    from peerage.learning.factory import load_factory  # noqa: PLC0415 - with the runner

    settings = read_node_file(file)
    spec = _prepare(settings, file.absolute().parent, resume=resume)
    federation = load_federation(Path(spec.run_dir) / "federation.toml")
    for sentence in made_up(federation):
        print(sentence, file=sys.stderr, flush=True)  # noqa: T201
    probe = probe_host(federation.emissions.country or None)
    write_whole(Path(spec.host_probe), probe.to_json().encode())
    reseed(federation.seed, spec.index)
    ours, theirs = multiprocessing.Pipe(duplex=True)

    def stop(_number: int, _frame: object) -> None:
        # EOF for the peer, which finishes what it writes and returns; its last words are still read
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(ours.fileno())) as mine:
            mine.shutdown(socket.SHUT_WR)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=_print, args=(ours,), name="status", daemon=True).start()
    run: Runner = load_factory(runner)
    deployment = Deployment.read(Path(spec.deployment))
    archive = ChainExport(deployment, RunDir(Path(spec.run_dir)).chain / "chain.jsonl")  # what this peer was shown
    try:
        return run(spec, theirs)
    finally:
        _seal(archive)


def _seal(archive: ChainExport) -> None:
    """Without its chain an archive ends where it stood, and says nothing wrong."""
    try:
        archive.finish()
    except (Unreachable, ChainError, InputError) as error:
        print(f"chain/chain.jsonl ends early: {error}", file=sys.stderr, flush=True)  # noqa: T201


def _prepare(settings: NodeFile, folder: Path, *, resume: bool) -> PeerSpec:
    secrets = folder / settings.secrets
    secret = folder / settings.password_file if settings.password_file else None
    account = keys.load_keys(secrets, settings.name, keys.read_password(secret)).account  # says a wrong password first
    host = listening(settings, account.address)
    federation = load_federation(folder / settings.federation)
    if not 0 <= settings.index < federation.peers:
        raise InputError(f"index = {settings.index} is none of this federation's 0 to {federation.peers - 1}")
    data = with_(
        federation.data,
        source=settings.data_source or federation.data.source,
        data_dir=settings.data_dir or federation.data.data_dir,
    )
    deployment = Deployment.read(folder / settings.deployment)
    if settings.rpc:
        deployment = replace(deployment, rpc=settings.rpc)
    _check_gas_money(deployment, account.address)
    invitation = _invitation(settings, folder, deployment, account.address)
    run = open_run_dir(folder / settings.run_dir, force=False, resume=resume)
    run.peer(settings.name).mkdir(exist_ok=True)
    write_whole(run.federation, to_toml(with_(federation, data=data)).encode())
    deployment.write(run.deployment)
    return PeerSpec(
        name=settings.name,
        index=settings.index,
        run_dir=str(run.root),
        secrets_dir=str(secrets),
        password_file=str(secret or ""),
        deployment=str(run.deployment),
        host_probe=str(run.host_probe),
        listen_host=host,
        seed=federation.seed,
        own_rows=bool(settings.data_source),
        resume=resume,
        invitation=tuple(blob.hex() for blob in invitation),
        most_fee=settings.most_fee_gwei * GWEI,
        threads=settings.threads,
        alone=True,
    )


def _invitation(settings: NodeFile, folder: Path, deployment: Deployment, me: bytes) -> list[bytes]:
    """What this peer brings to the register. InputError when it would not be let in, and would wait for ever."""
    blobs: list[bytes] = []
    if settings.invitation:
        path = folder / settings.invitation
        invitation = read_invitation(path, deployment)
        if invitation.account != me:
            raise InputError(f"{path} invites {to_checksum_address(invitation.account)}, not this peer's account")
        blobs = invitation.blobs()
    try:
        admitted = may_register(deployment, me, blobs)
    except Unreachable:
        return blobs  # it waits for its chain, as it does later on
    if not admitted:
        why = "its invitation is not signed by a quorum of its active peers, or is over" if blobs else "it needs one"
        raise InputError(
            f"this federation admits {to_checksum_address(me)} by invitation only, and {why}: ask its members "
            "(`peerage invite`), and name the file as invitation = ... in the node file"
        )
    return blobs


def _check_gas_money(deployment: Deployment, address: bytes) -> None:
    """A peer without ether would wait for its own registration in silence. InputError too for a chain that is none."""
    try:
        have = int(
            connect(deployment.rpc, deployment.chain_id).call("eth_getBalance", f"0x{address.hex()}", "latest"), 16
        )
    except Unreachable:
        return  # it waits for its chain, as it does later on
    if have == 0:
        raise InputError(
            f"{to_checksum_address(address)} has no ether on {deployment.rpc}, so it cannot pay for gas: send it some "
            "(`peerage deploy --fund` does)"
        )


def _print(pipe: Connection) -> None:
    said = ("", 0, "")
    while True:
        try:
            status = receive_status(pipe)
        except (EOFError, OSError, msgspec.DecodeError):
            return
        now = (status.state, status.round, status.note)
        if now != said:
            said = now
            line = f"{status.peer} {status.state}, round {status.round}, version {status.version}"
            line += f", accuracy {percent(status.accuracy) or 'unknown'}, earned {amount(status.earned)}"
            print(f"{line}{f': {status.note}' if status.note else ''}", file=sys.stderr, flush=True)  # noqa: T201
