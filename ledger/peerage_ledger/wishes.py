"""What a peer may want from the chain, and how each wish becomes a call: after a look whether it still needs one.

Wishes are JSON in the outbox, so that they outlive the process; turning one into a call reads the chain, because what
is right depends on what is there by then (a restarted peer changes its endpoint, it does not register again).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.digest import claim_proof, claim_root
from peerage_crypto.identity import Account, eip712_digest, eip712_domain
from peerage_ledger.contracts import contract
from peerage_ledger.outbox import Wanted
from peerage_ledger.records import RewardRoot, RoundRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peerage_ledger.deployment import Deployment
    from peerage_ledger.rpc import Rpc

PERMIT: Final = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
FOREVER: Final = 2**256 - 1
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


@dataclass(frozen=True, slots=True)
class Call:
    to: bytes
    data: bytes
    gas: int


class Verdict(Enum):
    """What a custom error means for the wish behind the call."""

    DONE = "done"
    LATER = "later"
    NEVER = "never"


_DONE: Final = frozenset({"AlreadyRecorded", "NothingToClaim"})
_NEVER: Final = frozenset(
    {
        "WrongRound",
        "ParentsMismatch",
        "RoundTooOld",
        "EndpointLength",
        "StakeTooLow",
        "TransportKeyTaken",
        "TransportKeyMissing",
        "SignersNotAscending",
        "TotalBelowPrevious",
        "LengthMismatch",
        "ECDSAInvalidSignature",
        "ECDSAInvalidSignatureLength",
        "ECDSAInvalidSignatureS",
    }
)


def verdict(error: str) -> Verdict:
    """An error that is not listed may pass: a parent not recorded yet, a registration under way, a delay running."""
    if error in _DONE:
        return Verdict.DONE
    return Verdict.NEVER if error in _NEVER else Verdict.LATER


def registration(transport_key: bytes, endpoint: str, stake: int) -> Wanted:
    key = f"register:{transport_key.hex()}:{endpoint}"
    return Wanted(key, "register", {"key": transport_key.hex(), "endpoint": endpoint, "stake": str(stake)})


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


def reward_root(reward: RewardRoot, signatures: Mapping[bytes, bytes]) -> Wanted:
    arguments = {
        "epoch": reward.epoch,
        "root": reward.root.hex(),
        "total": str(reward.total),
        "emission_root": reward.emission_root.hex(),
        "signatures": [signatures[signer].hex() for signer in sorted(signatures)],
    }
    return Wanted(f"publish:{reward.epoch}:{reward.root.hex()}", "publish", arguments)


def claims(totals: Mapping[bytes, int]) -> list[Wanted]:
    """One wish for up to CLAIMS_AT_ONCE accounts; each carries the whole table, which its proofs need."""
    table = {account.hex(): str(total) for account, total in sorted(totals.items())}
    root = claim_root(totals).hex()
    owed = sorted(account for account, total in totals.items() if total > 0)
    return [
        Wanted(
            f"claim:{root}:{at // CLAIMS_AT_ONCE}",
            "claim",
            {"totals": table, "accounts": [a.hex() for a in owed[at : at + CLAIMS_AT_ONCE]]},
        )
        for at in range(0, len(owed), CLAIMS_AT_ONCE)
    ]


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
            case "round":
                return self._round(rpc, arguments)
            case "publish":
                return self._publish(rpc, arguments)
            case "claim":
                return self._claim(rpc, arguments)
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
        (nonce,) = self._ask(rpc, "PeerageToken", "nonces", me)
        domain = eip712_domain("Peerage Credit", "1", self._deployment.chain_id, self._deployment.token)
        digest = eip712_digest(domain, PERMIT, [me, self._deployment.registry, stake, nonce, FOREVER])
        signature = self._account.sign(digest)
        permit = (FOREVER, signature[64], signature[:32], signature[32:64])
        return self._call("PeerRegistry", _REGISTER_GAS, "registerWithPermit", key, endpoint, stake, *permit)

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

    def _round(self, rpc: Rpc, arguments: Mapping[str, Any]) -> Call | None:
        record = RoundRecord(
            round=arguments["round"],
            sid=bytes.fromhex(arguments["sid"]),
            parent_rounds=tuple(arguments["parent_rounds"]),
            parents=tuple(bytes.fromhex(p) for p in arguments["parents"]),
            members=arguments["members"],
            **{name: bytes.fromhex(arguments[name]) for name in _HASHES},
        )
        for parent in record.parents:
            if parent != self._deployment.federation and not self._recorded(parent):
                raise NotYet(f"its parent {parent.hex()} is not recorded yet")
        if self._ask(rpc, "RoundLedger", "isRecorded", record.round, record.record_hash())[0]:
            return None
        return self._call("RoundLedger", _ROUND_GAS + _EACH_GAS * len(record.parents), "recordRound", record.as_tuple())

    def _publish(self, rpc: Rpc, arguments: Mapping[str, Any]) -> Call | None:
        epoch, root, _, _ = self._ask(rpc, "RewardVault", "published")
        want = bytes.fromhex(arguments["root"])
        if epoch > arguments["epoch"] or (epoch == arguments["epoch"] and root == want):
            return None
        signatures = [bytes.fromhex(s) for s in arguments["signatures"]]
        values = (arguments["epoch"], want, int(arguments["total"]), bytes.fromhex(arguments["emission_root"]))
        return self._call("RewardVault", _PUBLISH_GAS + _EACH_GAS * len(signatures), "publish", *values, signatures)

    def _claim(self, rpc: Rpc, arguments: Mapping[str, Any]) -> Call | None:
        totals = {bytes.fromhex(account): int(total) for account, total in arguments["totals"].items()}
        accounts = [bytes.fromhex(account) for account in arguments["accounts"]]
        paid = rpc.batch([self._view("RewardVault", "claimedBy", account) for account in accounts])
        open_claims = [a for a, have in zip(accounts, paid, strict=True) if int(have, 16) < totals[a]]
        if not open_claims:
            return None
        proofs = [claim_proof(totals, account) for account in open_claims]
        return self._call(
            "RewardVault",
            _CLAIM_GAS + _CLAIM_EACH_GAS * len(open_claims),
            "claimMany",
            open_claims,
            [totals[a] for a in open_claims],
            proofs,
        )
