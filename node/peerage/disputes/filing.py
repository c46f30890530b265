"""The steps of `peerage dispute`: look, file, answer, expire. What the chain would refuse is never sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peerage.answering import answer_to
from peerage.disputes.court import Court, Prospect
from peerage.disputes.docket import find, undecided
from peerage.disputes.words import Document, Line, QuestionLine, Said, checked, said, undecided_line
from peerage_crypto.errors import InputError, Unreachable
from peerage_ledger.contracts import contract
from peerage_ledger.interface import OpenQuestion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peerage.audit.words import AuditReport
    from peerage_ledger.disputes.dispute import Dispute, Docket
    from peerage_ledger.events import ContractEvent

UNKNOWN = Prospect("unknown")
FILED = "filed"
BOUNTY_PART = 10


@dataclass(frozen=True, slots=True)
class Wants:
    """What the command was asked to do beside looking."""

    file: bool = False
    answer: bool = False
    expire: bool = False

    @property
    def acts(self) -> bool:
        return self.file or self.answer or self.expire


def _state(dispute: Dispute, prospect: Prospect) -> str:
    """What waits for the proof before it is not refused for good."""
    waits = (dispute.function, prospect.refusal) == ("voidFalseReveal", "HonestReveal")
    return "follows" if waits else prospect.state


@dataclass
class Session:
    """One run of the command; `court` None where no chain answers. `say` tells what is about to be sent."""

    report: AuditReport
    docket: Docket
    court: Court | None
    held: Callable[[bytes], bytes | None]
    say: Callable[[str], None]
    decided: list[Said] = field(default_factory=list[Said])

    @property
    def names(self) -> Mapping[bytes, str]:
        return self.report.names

    def go(self, wants: Wants) -> Document:
        """Everything that is wanted, and what is left after it."""
        if wants.acts and self.court is None:
            raise Unreachable("no node has this federation's chain: give --rpc, or start it again")
        if wants.acts and self.court is not None and self.court.account is None:
            raise InputError("nothing can be sent without an account: give --keystore and --password-file")
        disputes = find(self.docket)
        before = [one for event in self._told() if (one := said(event, self.names)) is not None]
        lines = tuple(self._dispute(dispute, file=wants.file) for dispute in disputes)
        questions = tuple(self._question(question, wants) for question in self._open())
        left = undecided(self.report.judged.findings, disputes, self.docket)
        rest = tuple(undecided_line(one) for one in left)
        return Document(1, lines, questions, tuple(self.decided), tuple(before), rest)

    def _told(self) -> list[ContractEvent]:
        """What arbiters have said before, as the archive has it."""
        return [
            happened.event
            for happened in self.docket.archive.events()
            if happened.contract in {"RoundArbiter", "PayArbiter"} or type(happened.event).__name__ == "PeerSlashed"
        ]

    def _note(self, events: list[ContractEvent]) -> None:
        for event in events:
            self.docket.decided.hear(event)
            one = said(event, self.names)
            if one is not None:
                self.decided.append(one)

    def _dispute(self, dispute: Dispute, *, file: bool) -> Line:
        court, prospect, stakes, bond = self.court, UNKNOWN, 0, 0
        if court is not None:
            stakes = sum(court.stake(peer) * dispute.takes // 10_000 for peer in dispute.accused)
            bond = int(court.ask("RoundArbiter", "bond")[0]) if dispute.bonded else 0
            prospect = court.prospect(dispute.contract, dispute.data)
            if file and prospect.open:
                self._file(court, dispute, bond)
                prospect = Prospect(FILED, prospect.gas)
        return Line(
            fault=dispute.fault,
            round=dispute.round,
            record=None if dispute.record is None else dispute.record.hex(),
            accused=tuple(checked(peer) for peer in dispute.accused),
            call=f"{dispute.contract}.{dispute.function}",
            sentence=dispute.sentence,
            state="unknown" if court is None else _state(dispute, prospect),
            refusal="" if court is None else prospect.refusal,
            gas=prospect.gas,
            bond=str(bond),
            loses=str(stakes),
            gets=str(stakes // BOUNTY_PART),
        )

    def _file(self, court: Court, dispute: Dispute, bond: int) -> None:
        if dispute.bonded and court.lacks_allowance():
            self.say(f"Allowing the round arbiter to take the bond of {bond} (the token's smallest unit).")
            court.allow_bond()
        self.say(f"Filing {dispute.fault}: {dispute.contract}.{dispute.function}.")
        self._note(court.file(dispute))

    def _open(self) -> list[OpenQuestion]:
        d = self.docket.decided
        return [
            OpenQuestion(
                d.questions[name], d.records[d.questions[name].record], d.posters[d.questions[name].record], d.seats
            )
            for name in sorted(d.open)
            if d.questions[name].record in d.records
        ]

    def _question(self, question: OpenQuestion, wants: Wants) -> QuestionLine:
        asked, court = question.asked, self.court
        done = f"open until Unix second {asked.deadline}"
        if court is not None:
            data = answer_to(question, self.docket.deployment, self.held)
            right = data is not None and court.prospect("RoundArbiter", data).open
            silence = contract("RoundArbiter").call("expire", asked.question)
            over = court.prospect("RoundArbiter", silence).open
            if data is not None and right and wants.answer:
                self.say(f"Answering the question about round {question.record.round}.")
                self._note(court.send("RoundArbiter", "answer", data))
                done = "answered"
            elif over and wants.expire:
                self.say(f"The time of the question about round {question.record.round} is over.")
                self._note(court.send("RoundArbiter", "expire", silence))
                done = "expired"
            else:
                done += ", can be answered from here: add --answer" if right else ", no answer is here"
                done += "; its time is over: add --expire" if over else ""
        return QuestionLine(
            question=asked.question.hex(),
            record=asked.record.hex(),
            round=question.record.round,
            fault=f"F{asked.fault}",
            challenger=checked(asked.challenger),
            deadline=asked.deadline,
            done=done,
        )
