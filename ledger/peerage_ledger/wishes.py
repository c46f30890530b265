"""What a peer may want from the chain, and how each wish becomes a call: after a look whether it still needs one.

Wishes are JSON in the outbox, so that they outlive the process; turning one into a call reads the chain, because what
is right depends on what is there by then (a restarted peer changes its endpoint, it does not register again).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.digest import claim_proof, claim_root, keccak256
from peerage_crypto.identity import Account, eip712_digest, eip712_domain
from peerage_ledger.contracts import contract
from peerage_ledger.outbox import Wanted
from peerage_ledger.records import RewardRoot, RoundRecord, Steps, packed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from peerage_ledger.deployment import Deployment
    from peerage_ledger.rpc import Rpc

PERMIT: Final = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
FOREVER: Final = 2**256 - 1
ROUNDS_AT_ONCE: Final = 50  # 45 k gas each
CLAIMS_AT_ONCE: Final = 100  # 60 k gas each: a fifth of a block


# Gas limits are bounds of ours, two to three times what was measured: eth_estimateGas costs a node several executions,
# and Ganache's hangs when a block is mined meanwhile. What is not used is not paid.
_REGISTER_GAS: Final = 450_000
_CHANGE_GAS: Final = 250_000
_ROUND_GAS: Final = 250_000
_PUBLISH_GAS: Final = 400_000
_CLAIM_GAS: Final = 200_000
_EACH_GAS: Final = 40_000  # a parent, a signature
_CLAIM_EACH_GAS: Final = 150_000
_ANSWER_GAS: Final = 300_000
_ANSWER_BYTE_GAS: Final = 80  # of its calldata: hashing it, and recovering what signed it
_STEP_GAS: Final = 2_000  # a record and a state
_LATE: Final = 1.0  # by so many seconds the clock of a chain may be behind ours


@dataclass(frozen=True, slots=True)
class Call:
    """`due`: what it waits for was over before now, but after the newest block: a trial on that block would fail."""

    to: bytes
    data: bytes
    gas: int
    due: bool = False


class Verdict(Enum):
    """What a custom error means for the wish behind the call."""

    DONE = "done"
    LATER = "later"
    NEVER = "never"


_DONE: Final = frozenset({"AlreadyRecorded", "NothingToClaim", "NotOpen"})
_NEVER: Final = frozenset(
    {
        "WrongRound",
        "ParentsMismatch",
        "RoundTooOld",
        "EndpointLength",
        "StakeTooLow",
        "TransportKeyTaken",
        "TransportKeyMissing",
        "AccountBarred",
        "SignersNotAscending",
        "TotalBelowPrevious",
        "RootWasVoided",
        "LengthMismatch",
        "ECDSAInvalidSignature",
        "ECDSAInvalidSignatureLength",
        "ECDSAInvalidSignatureS",
    }
)


def verdict(error: str, kind: str = "") -> Verdict:
    """An error that is not listed may pass: a parent not recorded yet, a registration under way, a delay running.

    An answer that shows something else shows it for ever.
    """
    if error in _DONE:
        return Verdict.DONE
    if kind == "answer" and error:
        return Verdict.NEVER
    return Verdict.NEVER if error in _NEVER else Verdict.LATER


def registration(
    transport_key: bytes, endpoint: str, stake: int, invitation: Sequence[bytes] = ()
) -> tuple[Wanted, ...]:
    """One wish; with an invitation two, because the register then takes no permit: an allowance comes first."""
    key = f"register:{transport_key.hex()}:{endpoint}"
    arguments: dict[str, Any] = {"key": transport_key.hex(), "endpoint": endpoint, "stake": str(stake)}
    if not invitation:
        return (Wanted(key, "register", arguments),)
    arguments["invitation"] = [blob.hex() for blob in invitation]
    return (Wanted(f"allow:{stake}", "allow", {"stake": str(stake)}), Wanted(key, "register", arguments))


def round_record(record: RoundRecord) -> Wanted:
    arguments: dict[str, Any] = {
        "round": record.round,
        "sid": record.sid.hex(),
        "parent_rounds": list(record.parent_rounds),
        "parents": [p.hex() for p in record.parents],
        "members": record.members,
    }
    arguments |= {name: getattr(record, name).hex() for name in _HASHES}
    return Wanted(f"round:{record.record_hash().hex()}", "round", arguments)


_HASHES: Final = ("aggregate", "join_root", "masked_root", "ack_root", "score_root", "emission_root", "transcript")


def reward_root(reward: RewardRoot, steps: Steps, signatures: Mapping[bytes, bytes]) -> Wanted:
    arguments: dict[str, Any] = {
        "epoch": reward.epoch,
        "root": reward.root.hex(),
        "total": str(reward.total),
        "emission_root": reward.emission_root.hex(),
        "records": [record.hex() for record in steps.records],
        "states": [state.hex() for state in steps.states],
        "signatures": [signatures[signer].hex() for signer in sorted(signatures)],
    }
    name = keccak256(reward.root + reward.total.to_bytes(32, "big") + reward.emission_root + reward.steps)
    return Wanted(f"publish:{reward.epoch}:{name.hex()}", "publish", arguments)


def round_records(records: Sequence[RoundRecord]) -> list[Wanted]:
    """One wish for up to ROUNDS_AT_ONCE rounds of a line, the oldest first; they go into one transaction."""
    wishes: list[Wanted] = []
    for at in range(0, len(records), ROUNDS_AT_ONCE):
        some = [round_record(record) for record in records[at : at + ROUNDS_AT_ONCE]]
        name = keccak256(b"".join(record.record_hash() for record in records[at : at + ROUNDS_AT_ONCE]))
        many = Wanted(f"rounds:{name.hex()}", "rounds", {"rounds": [wish.arguments for wish in some]})
        wishes.append(some[0] if len(some) == 1 else many)
    return wishes


def claims(totals: Mapping[bytes, int], digest: bytes = b"", epoch: int = 0) -> list[Wanted]:
    """One wish for up to CLAIMS_AT_ONCE accounts; each carries the whole table, which its proofs need.

    `digest` is what a quorum signed for `epoch`: the wish ends when the chain has voided that, or has gone on to the
    next epoch, whose claims are cumulative; and not before the root can be voided no more. Then there is always one.
    """
    table = {account.hex(): str(total) for account, total in sorted(totals.items())}
    name = digest.hex() or claim_root(totals).hex()
    owed = sorted(account for account, total in totals.items() if total > 0)
    batches = [owed[at : at + CLAIMS_AT_ONCE] for at in range(0, len(owed), CLAIMS_AT_ONCE)]
    of: dict[str, Any] = {"digest": digest.hex(), "epoch": epoch, "totals": table}
    return [
        Wanted(f"claim:{name}:{at}", "claim", of | {"accounts": [account.hex() for account in accounts]})
        for at, accounts in enumerate(batches or ([[]] if digest else []))
    ]


def about(key: str, reward: RewardRoot, digest: bytes) -> bool:
    """Whether a wish is to publish this root or to claim from it."""
    return key.startswith((f"publish:{reward.epoch}:", f"claim:{digest.hex()}:"))


def _record(arguments: Mapping[str, Any]) -> RoundRecord:
    return RoundRecord(
        round=arguments["round"],
        sid=bytes.fromhex(arguments["sid"]),
        parent_rounds=tuple(arguments["parent_rounds"]),
        parents=tuple(bytes.fromhex(p) for p in arguments["parents"]),
        members=arguments["members"],
        **{name: bytes.fromhex(arguments[name]) for name in _HASHES},
    )


def answer(question: bytes, data: bytes) -> Wanted:
    """A call of the round arbiter that answers an open question."""
    return Wanted(f"answer:{question.hex()}", "answer", {"question": question.hex(), "data": data.hex()})


class NotYet(Exception):
    """What the wish builds on is not on the chain yet."""


class Caller:
    """Turns wishes into calls of the deployed contracts; reads the chain, sends nothing.

    `recorded` answers from memory whether the chain has a record: no node is asked about a round before its parents.
    """

    def __init__(self, deployment: Deployment, account: Account, recorded: Callable[[bytes], bool]) -> None:
        self._deployment, self._account, self._recorded = deployment, account, recorded
        self._addresses = deployment.addresses()

    def prepare(self, rpc: Rpc, kind: str, arguments: Mapping[str, Any]) -> Call | None:
        """None when the chain already says what is wished."""
        match kind:
            case "register":
                return self._register(rpc, arguments)
            case "allow":
                return self._allow(rpc, int(arguments["stake"]))
            case "round":
                return self._round(rpc, arguments)
            case "rounds":
                return self._rounds(rpc, arguments)
            case "publish":
                return self._publish(rpc, arguments)
            case "claim":
                return self._claim(rpc, arguments)
            case "answer":
                return self._answer(rpc, arguments)
            case _:
                raise ValueError(f"no wish is called {kind}")

    def _view(self, name: str, function: str, *arguments: object) -> tuple[str, tuple[Any, ...]]:
        data = contract(name).call(function, *arguments)
        return "eth_call", ({"to": "0x" + self._addresses[name].hex(), "data": "0x" + data.hex()}, "latest")

    def _ask(self, rpc: Rpc, name: str, function: str, *arguments: object) -> tuple[Any, ...]:
        method, parameters = self._view(name, function, *arguments)
        return contract(name).result(function, bytes.fromhex(rpc.call(method, *parameters)[2:]))

    def _call(self, name: str, gas: int, function: str, *arguments: object) -> Call:
        return Call(self._addresses[name], contract(name).call(function, *arguments), gas)

    def _register(self, rpc: Rpc, arguments: Mapping[str, Any]) -> Call | None:
        key, endpoint, stake = bytes.fromhex(arguments["key"]), arguments["endpoint"], int(arguments["stake"])
        me = self._account.address
        known_key, _, active, _ = self._ask(rpc, "PeerRegistry", "peerOf", me)
        if active and known_key != key:
            return self._call("PeerRegistry", _CHANGE_GAS, "rotateKey", key)
        if active:
            if self._endpoint(rpc) == endpoint:
                return None
            return self._call("PeerRegistry", _CHANGE_GAS, "setEndpoint", endpoint)
        invitation = [bytes.fromhex(blob) for blob in arguments.get("invitation", ())]
        if invitation:
            gas = _REGISTER_GAS + _EACH_GAS * len(invitation)
            return self._call("PeerRegistry", gas, "registerInvited", key, endpoint, stake, invitation)
        (nonce,) = self._ask(rpc, "PeerageToken", "nonces", me)
        domain = eip712_domain("Peerage Credit", "1", self._deployment.chain_id, self._deployment.token)
        digest = eip712_digest(domain, PERMIT, [me, self._deployment.registry, stake, nonce, FOREVER])
        signature = self._account.sign(digest)
        permit = (FOREVER, signature[64], signature[:32], signature[32:64])
        return self._call("PeerRegistry", _REGISTER_GAS, "registerWithPermit", key, endpoint, stake, *permit)

    def _allow(self, rpc: Rpc, stake: int) -> Call | None:
        me, registry = self._account.address, self._deployment.registry
        _, _, active, _ = self._ask(rpc, "PeerRegistry", "peerOf", me)
        (allowed,) = self._ask(rpc, "PeerageToken", "allowance", me, registry)
        if active or allowed >= stake:
            return None
        return self._call("PeerageToken", _CHANGE_GAS, "approve", registry, stake)

    def _endpoint(self, rpc: Rpc) -> str:
        """My newest endpoint: events are its only home on the chain."""
        registry = contract("PeerRegistry")
        want = [["0x" + registry.topic(name).hex() for name in ("PeerRegistered", "EndpointChanged")]]
        logs = rpc.call(
            "eth_getLogs",
            {
                "address": "0x" + self._deployment.registry.hex(),
                "fromBlock": hex(self._deployment.start_block),
                "toBlock": "latest",
                "topics": [*want, "0x" + self._account.address.rjust(32, b"\0").hex()],
            },
        )
        if not logs:
            return ""
        topics = [bytes.fromhex(t[2:]) for t in logs[-1]["topics"]]
        return str(registry.decode_event(topics, bytes.fromhex(logs[-1]["data"][2:])).values["endpoint"])

    def _rounds(self, rpc: Rpc, arguments: Mapping[str, Any]) -> Call | None:
        """Those of a line that the chain lacks; the first one's parents must be there already."""
        line = [_record(one) for one in arguments["rounds"]]
        told = rpc.batch([self._view("RoundLedger", "isRecorded", r.round, r.record_hash()) for r in line])
        lacking = [r for r, known in zip(line, told, strict=True) if not int(known, 16)]
        if not lacking:
            return None
        self._need_parents(lacking[0], {r.record_hash() for r in line})
        gas = sum(_ROUND_GAS + _EACH_GAS * len(r.parents) for r in lacking)
        return self._call("RoundLedger", gas, "recordRounds", [r.as_tuple() for r in lacking])

    def _need_parents(self, record: RoundRecord, beside: Collection[bytes] = ()) -> None:
        for parent in record.parents:
            if parent != self._deployment.federation and parent not in beside and not self._recorded(parent):
                raise NotYet(f"its parent {parent.hex()} is not recorded yet")

    def _round(self, rpc: Rpc, arguments: Mapping[str, Any]) -> Call | None:
        record = _record(arguments)
        self._need_parents(record)
        if self._ask(rpc, "RoundLedger", "isRecorded", record.round, record.record_hash())[0]:
            return None
        return self._call("RoundLedger", _ROUND_GAS + _EACH_GAS * len(record.parents), "recordRound", record.as_tuple())

    def _publish(self, rpc: Rpc, arguments: Mapping[str, Any]) -> Call | None:
        epoch, root, _, _ = self._ask(rpc, "RewardVault", "published")
        want = bytes.fromhex(arguments["root"])
        if epoch > arguments["epoch"] or (epoch == arguments["epoch"] and root == want):
            return None
        signatures = packed([bytes.fromhex(s) for s in arguments["signatures"]])
        values = (arguments["epoch"], want, int(arguments["total"]), bytes.fromhex(arguments["emission_root"]))
        steps = [[bytes.fromhex(s) for s in arguments[name]] for name in ("records", "states")]
        gas = _PUBLISH_GAS + _EACH_GAS * len(signatures) // 64 + _STEP_GAS * len(steps[0])
        call = self._call("RewardVault", gas, "publish", *values, *steps, signatures)
        ((*_, active_at),) = self._ask(rpc, "RewardVault", "publication") if epoch else ((0,),)
        return replace(call, due=_is_due(rpc, active_at))

    def _answer(self, rpc: Rpc, arguments: Mapping[str, Any]) -> Call | None:
        ((challenger, _, _, settled, *_),) = self._ask(
            rpc, "RoundArbiter", "challengeOf", bytes.fromhex(arguments["question"])
        )
        if int(challenger, 16) == 0:
            raise NotYet("the node has not seen the question yet")
        data = bytes.fromhex(arguments["data"])
        gas = _ANSWER_GAS + _ANSWER_BYTE_GAS * len(data)
        return None if settled else Call(self._addresses["RoundArbiter"], data, gas)

    def _claim(self, rpc: Rpc, arguments: Mapping[str, Any]) -> Call | None:
        totals = {bytes.fromhex(account): int(total) for account, total in arguments["totals"].items()}
        accounts = [bytes.fromhex(account) for account in arguments["accounts"]]
        digest = bytes.fromhex(arguments.get("digest", ""))
        active_at = 0
        if digest:
            if self._ask(rpc, "RewardVault", "wasVoided", digest)[0]:
                return None
            ((epoch, _, _, _, _, active_at),) = self._ask(rpc, "RewardVault", "publication")
            if epoch > arguments["epoch"]:
                return None
            if epoch < arguments["epoch"]:
                raise NotYet("its reward root is not published yet")
        paid = rpc.batch([self._view("RewardVault", "claimedBy", account) for account in accounts])
        open_claims = [a for a, have in zip(accounts, paid, strict=True) if int(have, 16) < totals[a]]
        if not open_claims and active_at > time.time() and active_at > _newest(rpc):
            raise NotYet("its reward root can still be voided")
        if not open_claims:
            return None
        proofs = [claim_proof(totals, account) for account in open_claims]
        call = self._call(
            "RewardVault",
            _CLAIM_GAS + _CLAIM_EACH_GAS * len(open_claims),
            "claimMany",
            open_claims,
            [totals[a] for a in open_claims],
            proofs,
        )
        return replace(call, due=_is_due(rpc, active_at))


def _is_due(rpc: Rpc, active_at: int) -> bool:
    """A development chain mines only what it is sent, so its newest block may be old: the next one has our time."""
    return 0 < active_at <= time.time() - _LATE and _newest(rpc) < active_at


def _newest(rpc: Rpc) -> int:
    """The time of the newest block, in seconds."""
    return int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
