"""Disputes and verdicts as people read them, and as one JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from eth_utils.address import to_checksum_address

from peerage.launch.live import amount
from peerage_ledger import events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage_ledger.disputes.dispute import Undecided
    from peerage_ledger.events import ContractEvent


class Line(msgspec.Struct, frozen=True):
    """One dispute. Amounts are whole numbers of the token's smallest unit, as text.

    `state`: open (it can be filed), filed (now), follows (can be filed after the one before it), decided, late (the pay
    can be claimed already), refused (with the contract's error in `refusal`) or unknown (no chain to ask).
    """

    fault: str
    round: int | None
    record: str | None
    accused: tuple[str, ...]
    call: str
    sentence: str
    state: str
    refusal: str
    gas: int
    bond: str
    loses: str
    gets: str


class QuestionLine(msgspec.Struct, frozen=True):
    """An open question about a record; `deadline` in Unix seconds."""

    question: str
    record: str
    round: int
    fault: str
    challenger: str
    deadline: int
    done: str  # answered, expired, or why it is still open


class OpenLine(msgspec.Struct, frozen=True):
    """A finding that no contract decides."""

    code: str
    round: int | None
    peer: str | None
    sentence: str
    why: str


class Said(msgspec.Struct, frozen=True):
    """What a contract decided."""

    event: str
    sentence: str


class Document(msgspec.Struct, frozen=True):
    """`peerage dispute --json`."""

    schema: int
    disputes: tuple[Line, ...]
    questions: tuple[QuestionLine, ...]
    decided: tuple[Said, ...]  # by this command
    before: tuple[Said, ...]  # before it
    undecided: tuple[OpenLine, ...]

    @property
    def found_fault(self) -> bool:
        """Something can be disputed, or somebody was convicted just now."""
        convicted = {"RoundVoided", "PeerConvicted", "RootTakenBack", "SignerConvicted", "PublicationProvenWrong"}
        open_ones = any(line.state in {"open", "unknown"} for line in self.disputes)
        asked = any(question.done not in {"answered", "expired"} for question in self.questions)
        return open_ones or asked or any(said.event in convicted for said in self.decided)


def checked(address: bytes) -> str:
    return str(to_checksum_address(address))


def called(address: bytes, names: Mapping[bytes, str]) -> str:
    """peer-01 (0x…), or the address alone."""
    name = names.get(address)
    return f"{name} ({checked(address)})" if name else checked(address)


def undecided_line(one: Undecided) -> OpenLine:
    peer = None if one.peer is None else checked(one.peer)
    return OpenLine(one.code, one.round, peer, one.sentence, one.why)


def said(event: ContractEvent, names: Mapping[bytes, str]) -> Said | None:
    """What a person is told of an event; None for those that say nothing new."""
    match event:
        case events.RoundVoided(_, round_, _, fault):
            words = f"the record of round {round_} is void (F{fault}): it pays nobody"
        case events.PeerConvicted(peer, _, _, fault):
            words = f"{called(peer, names)} is convicted (F{fault})"
        case events.PeerSlashed(peer, challenger, lost, bounty):
            words = (
                f"{called(peer, names)} loses {_money(lost)}, {_money(bounty)} of it go to {called(challenger, names)}"
            )
        case events.QuestionAsked(question, _, _, fault, _, _, deadline):
            words = f"question 0x{question.hex()[:16]}... is asked (F{fault}) until Unix second {deadline}"
        case events.QuestionAnswered(question, answerer):
            words = (
                f"question 0x{question.hex()[:16]}... is answered by {called(answerer, names)}: its bond is in the pool"
            )
        case events.QuestionExpired(question, challenger):
            words = (
                f"question 0x{question.hex()[:16]}... got no answer: the bond is back with {called(challenger, names)}"
            )
        case events.RootTakenBack(epoch, _, _, fault):
            why = f"F{fault}" if fault else "it pays a voided round; nobody is blamed"
            words = f"the reward root of epoch {epoch} is taken back ({why})"
        case events.SignerConvicted(_, signer, _):
            words = f"{called(signer, names)} is convicted of having signed it"
        case _:
            return None
    return Said(type(event).__name__, words)


def in_words(document: Document, names: Mapping[str, str]) -> str:
    """`names`: by checksummed address."""
    lines: list[str] = []
    lines += [f"Decided before: {one.sentence}." for one in document.before]
    for line in document.disputes:
        lines += _dispute(line, names)
    for question in document.questions:
        lines.append(
            f"QUESTION ({question.fault}, round {question.round}) 0x{question.question[:16]}...: {question.done}."
        )
    lines += [f"DECIDED: {one.sentence}." for one in document.decided]
    for left in document.undecided:
        where = f"round {left.round}, " if left.round is not None else ""
        lines.append(f"Not for the chain ({where}{left.code}): {left.sentence}: {left.why}.")
    count = sum(line.state == "open" for line in document.disputes)
    unknown = sum(line.state == "unknown" for line in document.disputes)
    if count:
        lines.append(f"{count} can be filed: add --file.")
    elif unknown:
        lines.append(f"{unknown} could be filed: the chain is out of reach.")
    elif not document.decided and not document.questions:
        lines.append("Nothing to dispute.")
    return "\n".join(lines)


def _dispute(line: Line, names: Mapping[str, str]) -> list[str]:
    who = ", ".join(f"{names[a]} ({a})" if a in names else a for a in line.accused) or "nobody"
    where = f"round {line.round}, " if line.round is not None else ""
    state = {
        "open": "can be filed",
        "filed": "filed",
        "decided": "was decided",
        "follows": "can be filed after the proof before it: --file sends both",
        "late": "too late: the pay can be claimed already",
        "unknown": "the chain is out of reach",
    }.get(line.state, f"the contract refuses: {line.refusal}")
    cost = f"about {line.gas} gas" if line.gas else "gas not estimated"
    bond = f", a bond of {_money(int(line.bond))}" if line.bond != "0" else ""
    return [
        f"{line.fault} ({where}{line.call}): {line.sentence}.",
        f"  {state}; {cost}{bond}; at stake: {_money(int(line.loses))} of {who}; you get {_money(int(line.gets))}.",
    ]


def _money(units: int) -> str:
    return f"{amount(str(units), 4)} PEER"
