"""One period of a watch: add up under masks, prove it, sign it as a quorum, report it, and write the decision down."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import msgspec

from peerage.keys import random_secret
from peerage.rundir import write_whole
from peerage.watching.session import Counts, check, encoded, masked_sum, plan_of
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_ledger.market.statements import Performance, Watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage.rundir import RunDir
    from peerage_crypto.identity import Account
    from peerage_ledger.market.door import Door

SCHEMA = 1


class WatchDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which watch this run directory has open."""

    schema: int
    watch: str


class Decision(msgspec.Struct, frozen=True):
    """One period as it is kept beside the chain; hashes in hex. `transcript` names the proof of the sums."""

    schema: int
    watch: str
    predecessor: str
    period: int
    correct: int
    total: int
    watchers: int
    threshold: int
    recovery: int
    periods: int
    bad: int
    task: str
    transcript: str
    words: str


@dataclass(frozen=True, slots=True)
class Watching:
    """The watch of a run directory, and the accounts here that can speak for it."""

    run: RunDir
    door: Door
    accounts: Sequence[Account]
    payer: Account


def open_watch(on: Watching, terms: Watch) -> bytes:
    """Puts a watch on the chain and remembers it in the run directory; its name."""
    deployment = on.door.deployment
    digest = terms.digest(deployment.chain_id, deployment.watch)
    signers = on.door.active(on.accounts)
    signatures = [one.sign(digest) for one in signers]
    on.door.send(on.payer, "opening the watch", "ModelWatch", "open", astuple(terms), signatures)
    on.run.watch.mkdir(exist_ok=True)
    document = WatchDocument(SCHEMA, digest.hex())
    write_whole(on.run.watch / "watch.json", msgspec.json.encode(document) + b"\n")
    return digest


def open_here(run: RunDir) -> bytes | None:
    """The watch that this run directory has open, if any."""
    path = run.watch / "watch.json"
    try:
        return bytes.fromhex(msgspec.json.decode(path.read_bytes(), type=WatchDocument).watch)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise InputError(f"{path} cannot be read ({error}): restore it, or move it away to open a new watch") from None


def next_period(on: Watching, watch: bytes) -> int:
    """The number of the period to report; InputError when the watch is over."""
    standing = on.door.standing(watch)
    if any(standing["task"]):
        raise InputError(
            f"this watch is over: it opened the task {standing['task'].hex()}; move {on.run.watch / 'watch.json'} away "
            "to watch another model"
        )
    return int(standing["last"]) + 1


def report(on: Watching, watch: bytes, own: Mapping[bytes, Counts]) -> Decision:
    """`own` are the counts by address. Everybody here takes part in the sum; those with fresh rows are its watchers."""
    period, door = next_period(on, watch), on.door
    signers = door.active(on.accounts)
    here = {one.address: one for one in signers}
    if not here:
        raise InputError("no keystore of an active peer is here: nobody could sign a report")
    registered = frozenset(v["peer"] for v in door.happened("PeerRegistry", "PeerRegistered"))
    active = frozenset(peer for peer in registered if door.view("PeerRegistry", "isActive", peer))
    plan = plan_of(door.deployment, active, min(here), watch, period, random_secret())
    counts = {peer: own.get(peer, Counts(0, 0, 0)) for peer in here}
    evidence = masked_sum(plan, here, counts, random_secret())
    check(plan, evidence)  # what each signer looks at before it signs
    found = evidence.counts
    sums = Performance(watch, period, found.correct, found.total, found.watchers)
    digest = sums.digest(door.deployment.chain_id, door.deployment.watch)
    proof = encoded(evidence)
    for blob in (proof, *evidence.vectors.values()):
        (on.run.watch / sha256(blob).hex()).write_bytes(blob)
    signatures = [one.sign(digest) for one in signers]
    door.send(on.payer, f"reporting period {period}", "ModelWatch", "report", astuple(sums), signatures)
    return _decided(on, watch, sums, sha256(proof))


def _decided(on: Watching, watch: bytes, sums: Performance, transcript: bytes) -> Decision:
    standing = on.door.standing(watch)
    terms, bad, task = standing["terms"], standing["bad"], standing["task"]
    decision = Decision(
        schema=SCHEMA,
        watch=watch.hex(),
        predecessor=terms.record.hex(),
        period=sums.period,
        correct=sums.correct,
        total=sums.total,
        watchers=sums.watchers,
        threshold=terms.threshold,
        recovery=terms.recovery,
        periods=terms.periods,
        bad=bad,
        task=task.hex() if any(task) else "",
        transcript=transcript.hex(),
        words=in_words(terms, sums, bad, task),
    )
    write_whole(on.run.watch / f"period-{sums.period}.json", msgspec.json.encode(decision) + b"\n")
    return decision


def in_words(terms: Watch, sums: Performance, bad: int, task: bytes) -> str:
    """The period, what it counts for, and what follows."""
    said = (
        f"Period {sums.period}: right in {_percent(10_000 * sums.correct // sums.total)} of {sums.total} answers of "
        f"{sums.watchers} watchers. "
    )
    if any(task):
        return said + (
            f"Below {_percent(terms.threshold)} for the {bad}. time without recovering: the contract opened the task "
            f"{task.hex()}, whose predecessor is the record {terms.record.hex()}."
        )
    right = 10_000 * sums.correct
    if right < terms.threshold * sums.total:
        return said + f"Below {_percent(terms.threshold)}: {bad} of {terms.periods} bad periods."
    if right >= terms.recovery * sums.total:
        return said + f"From {_percent(terms.recovery)} on a period is good: no bad period counts."
    return said + f"Between threshold and recovery: the count stays at {bad} of {terms.periods}."


def _percent(points: int) -> str:
    return f"{points // 100}.{points % 100:02d} %"
