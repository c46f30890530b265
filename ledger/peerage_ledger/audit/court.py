"""RoundArbiter in Python: the evidence of every call is judged again, so that no verdict rests on a node's word."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from eth_abi.abi import encode

from peerage_crypto.digest import keccak256, tagged
from peerage_crypto.plain_statements import merge_id
from peerage_crypto.statements import session_id, signing_domain
from peerage_crypto.thresholds import quorum
from peerage_ledger.audit.draws import check_draw
from peerage_ledger.audit.registry import NOBODY, Reverted, require
from peerage_ledger.disputes import shown
from peerage_ledger.disputes.evidence import ACKS, JOINS, MASKED
from peerage_ledger.disputes.shown import need, word
from peerage_ledger.disputes.tables import leaf_hash, node_hash
from peerage_ledger.events import (
    ContractEvent,
    PeerConvicted,
    QuestionAnswered,
    QuestionAsked,
    QuestionExpired,
    RoundVoided,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peerage_ledger.audit.contracts import Rounds, Vault
    from peerage_ledger.records import RoundRecord

SMALLEST: Final = 3
WHOLE, FIFTH = 10_000, 2_000
UNSIGNED, RESULT, REVEAL = 3, 5, 10  # faults that more than one function names
_ACK_MODEL, _UPDATE_U2, _UPDATE_RAND, _JOIN_RAND = 2, 1, 6, 9
_NOT_CONVICTABLE: Final = frozenset({"JoinIntent", "PlainUpdate", "PlainMerge"})
_LEAVES: Final = {JOINS: "JoinIntent", MASKED: "MaskedUpdate", ACKS: "ResultAck"}


def question_of(record: bytes, fault: int, tree: int, node: bytes) -> bytes:
    """The name of a question."""
    return keccak256(encode(["bytes32", "uint8", "uint8", "bytes32"], [record, fault, tree, node]))


def accusers(members: int, seats: int) -> int:
    """As `RoundArbiter.accusers`."""
    return SMALLEST if members <= 4 else quorum(members, min(members - 3, seats // 4))


def acknowledgers(survivors: int) -> int:
    """As `RoundArbiter.acknowledgers`."""
    return SMALLEST if survivors <= 4 else quorum(survivors, survivors // 4)


@dataclass
class Asked:
    """An open or settled question."""

    event: QuestionAsked
    round: int
    poster: bytes
    settled: bool = False


@dataclass
class RoundCourt:
    """RoundArbiter's state. `vault` is None until it is there."""

    address: bytes
    rounds: Rounds
    bond: int
    answer_seconds: int
    chain_id: int
    vault: Vault | None = None
    voided: dict[bytes, int] = field(default_factory=dict[bytes, int])  # when
    decided: set[tuple[object, ...]] = field(default_factory=set[tuple[object, ...]])
    questions: dict[bytes, Asked] = field(default_factory=dict[bytes, Asked])
    false_reveals: set[bytes] = field(default_factory=set[bytes])

    @property
    def domain(self) -> bytes:
        return signing_domain(self.chain_id, self.rounds.address)

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        act = _CALLS.get(name)
        if act is None:
            return []
        try:
            return act(self, sender, v, now)
        except (ValueError, IndexError, OverflowError) as error:  # arguments that show nothing
            raise Reverted(str(error)) from None

    # what verdicts do

    def void(self, name: bytes, round_: int, poster: bytes, fault: int, who: bytes, now: int) -> list[ContractEvent]:
        """Nothing where all of it was decided before."""
        fresh = name not in self.voided
        punished = poster != NOBODY and (name, fault) not in self.decided
        if not fresh and not punished:
            return []
        slashed = self.rounds.registry.slash(self.address, poster, FIFTH, who, now)[1] if punished else []
        self.voided.setdefault(name, now)
        if punished:
            self.decided.add((name, fault))
        return [RoundVoided(name, round_, who, fault), *slashed]

    def condemn(self, record: RoundRecord, fault: int, who: bytes, now: int) -> list[ContractEvent]:
        name = record.record_hash()
        events = self.void(name, record.round, self.rounds.poster_of(record.round, name), fault, who, now)
        need(bool(events), "AlreadyDecided")
        return events

    def convict(self, peer: bytes, sid: bytes, fault: int, who: bytes, now: int) -> list[ContractEvent]:
        need((peer, sid, fault) not in self.decided, "AlreadyDecided")
        part = WHOLE if fault == 1 else FIFTH
        slashed = self.rounds.registry.slash(self.address, peer, part, who, now)[1]
        self.decided.add((peer, sid, fault))
        return [PeerConvicted(peer, sid, who, fault), *slashed]

    def check_session(self, record: RoundRecord, name: Any) -> None:  # noqa: ANN401 - a decoded SessionName
        initiator, parent, params, nonce = name
        sid = session_id(
            chain_id=self.chain_id,
            registry=self.rounds.registry.address,
            round_=record.round,
            initiator=shown.account(initiator),
            parent=parent,
            params=params,
            nonce=nonce,
        )
        need(sid == record.sid, "NotThisSession")

    def check_seat(self, account: bytes, seat: int) -> None:
        need(self.rounds.registry.peer_at(seat) == account, "NeverAPeer")

    # questions

    def ask(
        self, sender: bytes, record: RoundRecord, fault: int, tree: int, node: bytes, now: int
    ) -> list[ContractEvent]:
        name = record.record_hash()
        question = question_of(name, fault, tree, node)
        need(question not in self.questions, "AlreadyAsked")
        token = self.rounds.registry.token
        token.can_spend(sender, self.address, self.address, self.bond)
        event = QuestionAsked(question, name, sender, fault, tree, node, now + self.answer_seconds)
        self.questions[question] = Asked(event, record.round, self.rounds.poster_of(record.round, name))
        token.spend(sender, self.address, self.address, self.bond)
        return [event]

    def answered(self, question: bytes, sender: bytes) -> list[ContractEvent]:
        asked = self.questions.get(question)
        if asked is None or asked.settled or self.vault is None:
            raise Reverted("NotOpen")
        place = (self.address, self.vault.address)
        self.rounds.registry.token.allowances[place] = self.bond
        funded = self.vault.fund(self.address, self.bond)
        asked.settled = True
        return [QuestionAnswered(question, sender), *funded]

    def expire(self, question: bytes, now: int) -> list[ContractEvent]:
        asked = self.questions.get(question)
        if asked is None or asked.settled:
            raise Reverted("NotOpen")
        event = asked.event
        require(now >= event.deadline, "TooEarly")
        poster = asked.poster
        if poster == NOBODY:
            poster = self.rounds.poster_of(asked.round, event.record)
        voided = self.void(event.record, asked.round, poster, event.fault, event.challenger, now)
        asked.settled = True
        if poster == NOBODY:
            del self.questions[question]  # nobody has paid: it may be asked again
        self.rounds.registry.token.move(self.address, event.challenger, self.bond)
        return [QuestionExpired(question, event.challenger), *voided]


def _equivocation(c: RoundCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    kind = shown.kind_of(v["kind"])
    need(kind not in _NOT_CONVICTABLE, "NotConvictable")
    one, other = (shown.digest(c.domain, kind, v[which]) for which in ("first", "second"))
    need(one != other, "SameStatement")
    sid = word(v["first"], 0)
    need(word(v["second"], 0) == sid, "OtherSession")
    signer = shown.signer(one, v["firstSignature"])
    need(shown.signer(other, v["secondSignature"]) == signer, "OtherSigner")
    return c.convict(signer, sid, 1, sender, now)


def _omission(c: RoundCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    record, acknowledged = shown.record(v["round"]), shown.leaf(v["acknowledged"])
    c.check_session(record, v["name"])
    shown.check_leaf(record.ack_root, acknowledged)
    shown.check_absent(record.join_root, acknowledged[0], [shown.leaf(one) for one in v["around"]])
    return c.condemn(record, 2, sender, now)


def _disorder(c: RoundCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    record, left, right = shown.record(v["round"]), shown.leaf(v["left"]), shown.leaf(v["right"])
    roots = (record.join_root, record.masked_root, record.ack_root, record.score_root, record.emission_root)
    shown.check_neighbours(roots[v["tree"]], left, right)
    need(left[0] >= right[0], "NotAGap")
    return c.condemn(record, 2, sender, now)


def _wrong_draw(c: RoundCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    record = shown.record(v["round"])
    c.check_session(record, v["_1"])  # the contract leaves these to its judge, and does not name them
    check_draw(c.domain, c.rounds.federation, record, v["_2"])
    return c.condemn(record, 4, sender, now)


def _other_result(c: RoundCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    record, members, seats = shown.record(v["round"]), list(v["members"]), v["seats"]
    c.check_session(record, v["name"])
    need(c.rounds.registry.peer_at(seats + 1) == NOBODY, "MoreSeats")
    need(shown.root_of(members, v["joins"]) == record.join_root, "NotATable")
    digest = shown.digest(c.domain, "ResultAck", v["ack"])
    need(word(v["ack"], 0) == record.sid, "OtherSession")
    need(word(v["ack"], _ACK_MODEL) != record.aggregate, "SameModel")
    need(len(v["signatures"]) >= accusers(len(members), seats), "QuorumMissing")
    signers = [shown.signer(digest, signature) for signature in v["signatures"]]
    need(signers == sorted(set(signers)) and set(signers) <= set(members), "OtherSigner")
    return c.condemn(record, RESULT, sender, now)


def _false_reveal(c: RoundCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    sid, (joins, signatures, u2), place, join, update, signature = v["reveal"]
    committed, updated = shown.digest(c.domain, "JoinIntent", join), shown.digest(c.domain, "MaskedUpdate", update)
    need(word(join, 0) == word(update, 0) == sid, "OtherSession")
    need(shown.roster_view(sid, joins, signatures, u2) == word(update, _UPDATE_U2), "NotThisStatement")
    need(joins[place] == committed, "NotThisStatement")
    own = signatures[shown.SIGNATURE * place : shown.SIGNATURE * (place + 1)]
    signer = shown.signer(committed, own)
    need(shown.signer(updated, signature) == signer, "OtherSigner")
    put_in = shown.rand_commitment(sid, signer, word(update, _UPDATE_RAND))
    need(put_in != word(join, _JOIN_RAND), "HonestReveal")
    events = c.convict(signer, sid, REVEAL, sender, now)
    c.false_reveals.add(updated)
    return events


def _void_reveal(c: RoundCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    record, leaf = shown.record(v["round"]), shown.leaf(v["leaf"])
    need(leaf[1] in c.false_reveals, "HonestReveal")
    shown.check_leaf(record.masked_root, leaf)
    events = c.void(record.record_hash(), record.round, NOBODY, REVEAL, sender, now)
    need(bool(events), "AlreadyDecided")
    return events


def _challenge_node(c: RoundCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    record, (turns, siblings) = shown.record(v["round"]), v["path"]
    c.check_session(record, v["name"])
    need(v["tree"] in _LEAVES, "NotSigned")
    root = (record.join_root, record.masked_root, record.ack_root)[v["tree"]]
    shown.check_node(root, v["node"], (turns, tuple(siblings)))
    return c.ask(sender, record, UNSIGNED, v["tree"], v["node"], now)


def _challenge_acks(c: RoundCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    return c.ask(sender, shown.record(v["round"]), RESULT, ACKS, bytes(32), now)


def _answer_node(c: RoundCourt, sender: bytes, v: Mapping[str, Any], _now: int) -> list[ContractEvent]:
    node = node_hash(v["left"], v["right"])
    return c.answered(question_of(v["record"], UNSIGNED, v["tree"], node), sender)


def _answer_leaf(c: RoundCourt, sender: bytes, v: Mapping[str, Any], _now: int) -> list[ContractEvent]:
    record, tree, fields = shown.record(v["round"]), v["tree"], v["fields"]
    digest = value = shown.digest(c.domain, _LEAVES.get(tree, "ResultAck"), fields)
    need(word(fields, 0) == record.sid, "OtherSession")
    need(shown.signer(digest, v["signature"]) == v["account"], "OtherSigner")
    c.check_seat(v["account"], v["seat"])
    if tree == ACKS:
        need(word(fields, _ACK_MODEL) == record.aggregate, "NotThisStatement")
        value = tagged("peerage/ack/v1", v["signature"])
    node = leaf_hash(v["account"], value)
    return c.answered(question_of(record.record_hash(), UNSIGNED, tree, node), sender)


def _answer_acks(c: RoundCourt, sender: bytes, v: Mapping[str, Any], _now: int) -> list[ContractEvent]:
    record, signatures, seats = shown.record(v["round"]), v["signatures"], v["seats"]
    c.check_session(record, v["name"])
    need(len(signatures) >= acknowledgers(record.members), "QuorumMissing")
    need(len(signatures) == len(seats), "ListsDiffer")
    digest = shown.digest(c.domain, "ResultAck", record.sid + v["sumRoot"] + record.aggregate)
    signers = [shown.signer(digest, signature) for signature in signatures]
    need(signers == sorted(set(signers)), "SignersNotAscending")
    for signer, seat in zip(signers, seats, strict=True):
        c.check_seat(signer, seat)
    return c.answered(question_of(record.record_hash(), RESULT, ACKS, bytes(32)), sender)


def _answer_merge(c: RoundCourt, sender: bytes, v: Mapping[str, Any], _now: int) -> list[ContractEvent]:
    record, fields = shown.record(v["round"]), v["fields"]
    maker = shown.signer(shown.digest(c.domain, "PlainMerge", fields), v["signature"])
    c.check_seat(maker, v["seat"])
    need(merge_id(word(fields, 0), maker, int.from_bytes(word(fields, 1), "big")) == record.sid, "OtherSession")
    root = leaf_hash(maker, tagged("peerage/ack/v1", v["signature"]))
    need(root == record.ack_root, "NotThisStatement")
    return c.answered(question_of(record.record_hash(), RESULT, ACKS, bytes(32)), sender)


def _expire(c: RoundCourt, _sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    return c.expire(v["question"], now)


_CALLS: Final[Mapping[str, Callable[[RoundCourt, bytes, Mapping[str, Any], int], list[ContractEvent]]]] = {
    "proveEquivocation": _equivocation,
    "proveOmission": _omission,
    "proveDisorder": _disorder,
    "proveWrongDraw": _wrong_draw,
    "proveOtherResult": _other_result,
    "proveFalseReveal": _false_reveal,
    "voidFalseReveal": _void_reveal,
    "challengeNode": _challenge_node,
    "challengeAcknowledgements": _challenge_acks,
    "answerNode": _answer_node,
    "answerLeaf": _answer_leaf,
    "answerAcknowledgements": _answer_acks,
    "answerMerge": _answer_merge,
    "expire": _expire,
}
