"""One whole run on one machine: chain, contracts, peers as processes, and at the end the model and its accounts.

The order is the story: settle the settings, start what takes long, give everybody keys and money, let them train, read
what is left. Whatever ends the run, every process that it started ends with it; what was written stays and resumes.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from msgspec.structs import replace as replace_struct

from peerage.config import Federation
from peerage.config_checks import check_federation
from peerage.config_toml import load_federation, to_toml
from peerage.keys import DEPLOYER, keys_of_run, load_account, password_file, read_password
from peerage.launch.agree import agreed
from peerage.launch.cast import Cast, announced, played
from peerage.launch.chain_side import DevnetWatch, engine_sentence, open_chain, with_engine
from peerage.launch.crew import Crew, kill_hard
from peerage.launch.live import Screen, View
from peerage.launch.outcome import Ended, close_host, gather, sampling
from peerage.launch.overhead import cpu
from peerage.launch.processes import PRELOAD, RUN_PEER, PeerLauncher
from peerage.launch.runlog import RunLog, merge_into
from peerage.launch.turns import rests
from peerage.regions import with_addresses
from peerage.rundir import RunDir, link_latest, lock_run_dir, open_run_dir, write_whole
from peerage.scheduling.forms import is_synthetic
from peerage.status import PeerSpec
from peerage_crypto.digest import tagged
from peerage_crypto.errors import ChainError, Unreachable
from peerage_ledger.archive.export import ChainExport

if TYPE_CHECKING:
    from peerage.emissions import HostProbe
    from peerage.launch.summary import Summary
    from peerage_crypto.identity import Account

PATIENCE_SECONDS = 60.0  # without any movement, beside the protocol's own deadlines
KEYSTORE_VARIABLE = "PEERAGE_KEYSTORE"
REVIVE_VARIABLE = "PEERAGE_DEVNET_REVIVE_SECONDS"  # tests keep a killed devnet away for longer


@dataclass(frozen=True, slots=True)
class Options:
    out: Path
    force: bool = False
    resume: bool = False
    hello: tuple[str, ...] = ()  # what to say once nothing stands in the way
    baselines: bool = True
    preload: tuple[str, ...] = PRELOAD
    runner: str = RUN_PEER


def run_federation(federation: Federation, options: Options, screen: Screen) -> "tuple[Summary, RunDir]":
    """Train to the end. InputError for what cannot start; KeyboardInterrupt after everything has stopped."""
    started, began = time.monotonic(), cpu()
    if not options.resume:
        federation = agreed(federation)  # a missing file is told before a folder is made
    run = open_run_dir(options.out, force=options.force, resume=options.resume)
    log = RunLog(run.log)

    def say(sentence: str) -> None:
        screen.say(sentence)
        log.say(sentence)

    with contextlib.ExitStack() as stack:
        stack.enter_context(lock_run_dir(run))
        stack.enter_context(_terminated_like_interrupted())
        for sentence in options.hello:
            say(sentence)
        launcher = PeerLauncher(options.preload, options.runner)
        launcher.warm_up()
        if launcher.note:
            say(launcher.note)
        federation = _settle(federation, run, options)
        for name, part in announced(federation).items():
            say(f"CAST: {name} {part}.")
        probing = stack.enter_context(_probe(federation.emissions.country))
        accounts = _accounts(federation, run)
        addresses = {name: account.address for name, account in accounts.items()}
        federation = with_addresses(federation, addresses)
        revive = float(os.environ.get(REVIVE_VARIABLE, "1"))
        deployer = _deployer(federation, run)
        devnet, deployment = open_chain(federation, run, deployer, list(addresses.values()), revive)
        stack.callback(devnet.stop)
        export = ChainExport(deployment, run.chain / "chain.jsonl")
        stack.callback(_sealed, export, say)
        say(engine_sentence(devnet, federation.ledger.engine))
        federation = with_engine(federation, devnet.engine)
        write_whole(run.federation, to_toml(federation).encode())
        probe = _of_this_session(probing.result(), run)
        write_whole(run.host_probe, probe.to_json().encode())
        stack.callback(merge_into, run, federation.peer_names())
        from peerage.emissions import HostMeter, devices_of  # noqa: PLC0415 - after the slow starts are under way

        meter = HostMeter(probe, gpu_uj=devices_of(probe))
        crew = _crew(federation, addresses, run, options, launcher, log)
        try:
            with _stopped(crew, say):
                crew.start()
                crew.run(screen, sampling(meter, DevnetWatch(devnet)))
        finally:
            close_host(run, meter, probe.host_id)  # also of a session that was cut short: its records are in the rounds
        link_latest(run)

        def end_chain() -> None:
            _sealed(export, say)
            devnet.stop()

        ended = Ended(
            federation=federation,
            run=run,
            deployment=deployment,
            engine=devnet.engine,
            accounts=addresses,
            view=crew.view,
            lost=crew.lost,
            times=replace(crew.times, started=started),
            began=began,
        )
        return gather(ended, launcher, end_chain, say, baselines=options.baselines), run


def _settle(federation: Federation, run: RunDir, options: Options) -> Federation:
    """The settings of this run. A resumed run keeps its own: other settings would be another federation."""
    settled = load_federation(run.federation) if options.resume else federation
    check_federation(settled)
    write_whole(run.federation, to_toml(settled).encode())
    return settled


def _accounts(federation: Federation, run: RunDir) -> "dict[str, Account]":
    """Each peer's account; in secrets/ with random passwords. From deployment on the contracts know it."""
    begun = run.deployment.exists()
    return {name: keys_of_run(run.secrets, name, begun=begun).account for name in federation.peer_names()}


def _deployer(federation: Federation, run: RunDir) -> "Account":
    """Whoever pays for contracts and stakes: on a devnet a new account, on another chain the user's."""
    named = os.environ.get(KEYSTORE_VARIABLE)
    if named and "://" in federation.ledger.engine:
        return load_account(Path(named), read_password(None))
    return keys_of_run(run.secrets, DEPLOYER, begun=False).account  # an earlier session may have named the user's


def _crew(
    federation: Federation,
    addresses: Mapping[str, bytes],
    run: RunDir,
    options: Options,
    launcher: PeerLauncher,
    log: RunLog,
) -> Crew:
    specs = [
        PeerSpec(
            name=name,
            index=index,
            run_dir=str(run.root),
            secrets_dir=str(run.secrets),
            password_file=str(password_file(run.secrets, name)),
            deployment=str(run.deployment),
            host_probe=str(run.host_probe),
            seed=federation.seed,
            resume=options.resume,
            behaviour=federation.part(name).behaviour,
            slow=federation.part(name).slow,
        )
        for index, name in enumerate(federation.peer_names())
    ]
    view = View(
        names=federation.peer_names(),
        rounds=federation.rounds,
        statuses={},
        behaviours={spec.name: spec.behaviour for spec in specs},
        rests=_rests(federation, addresses),
        synthetic=frozenset(
            name
            for name, address in addresses.items()
            for entry in federation.energy
            if entry.peer == f"0x{address.hex()}" and is_synthetic(entry.profile)
        ),
    )
    timing = federation.timing
    patience = PATIENCE_SECONDS + 5 * (timing.join + timing.step + timing.stall)
    cast = played(federation.cast) if options.resume else Cast(federation.cast)  # a resumed run does not kill again
    return Crew(launcher, specs, view, cast, log.say, patience_seconds=patience)


def _rests(federation: Federation, accounts: Mapping[str, bytes]) -> dict[str, frozenset[int]]:
    """The rounds in which each peer has no turn, by its name."""
    named = {name: f"0x{address.hex()}" for name, address in accounts.items()}
    found = rests(federation, named)
    return {name: found[address] for name, address in named.items()}


def _sealed(export: ChainExport, say: Callable[[str], None]) -> None:
    """The archive of the chain is closed while the chain still answers; a second time does nothing."""
    try:
        export.finish()
    except (Unreachable, ChainError) as error:
        say(f"the archive of the chain in chain/ ends early: {error}")


def _of_this_session(probe: "HostProbe", run: RunDir) -> "HostProbe":
    """A host record covers one session of a launcher; a resumed run meters the host under a name of its own."""
    from peerage.emissions import probe_from_json  # noqa: PLC0415 - as above

    if not run.host_probe.exists():
        return probe
    earlier = probe_from_json(run.host_probe.read_bytes()).host_id
    return replace_struct(probe, host_id=tagged("peerage/host-session/1", earlier.encode())[:8].hex())


@contextlib.contextmanager
def _stopped(crew: Crew, say: Callable[[str], None]) -> Generator[None]:
    """However the block ends, no peer is left: asked first, killed after the grace period or a second Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        say("Stopping: peers finish what they write (Ctrl-C again kills them at once).")
        raise
    finally:
        try:
            crew.stop()
        except KeyboardInterrupt:
            kill_hard(crew)
            raise


@contextlib.contextmanager
def _terminated_like_interrupted() -> Generator[None]:
    """SIGTERM cleans up as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _probe(country: str) -> "Generator[Future[HostProbe]]":
    """CodeCarbon's look at the hardware: once a host, and beside the other things that take seconds."""

    def look() -> "HostProbe":
        from peerage.emissions.codecarbon_door import probe_host  # noqa: PLC0415 - pandas comes with it

        return probe_host(country or None)

    with ThreadPoolExecutor(1, "host-probe") as pool:
        yield pool.submit(look)
