"""Carries the outbox to a node: one account, one nonce at a time, one wish in flight; the next look decides all else.

Every step is one batch of questions and at most one new transaction, so a step can fail anywhere and be taken again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from peerage_ledger import events, rawtx
from peerage_ledger.contracts import revert_reason
from peerage_ledger.fees import MOST_FEE, TooDear, fees, outbid
from peerage_ledger.outbox import OutboxFile, Receipt, Refused, Reopened, Settled, Signed, Voided, Wish
from peerage_ledger.rpc import Rpc, RpcError
from peerage_ledger.wishes import Caller, NotYet, Verdict, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peerage_crypto.identity import Account
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.events import LedgerEvent
    from peerage_ledger.outbox import Line

RESEND_SECONDS: Final = 1.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_LAST_WORD: Final = 3  # times that "never" must be heard: a chain that is catching up may say it by mistake


class Sender:
    def __init__(
        self,
        deployment: Deployment,
        account: Account,
        file: OutboxFile,
        tell: Callable[[LedgerEvent], None],
        recorded: Callable[[bytes], bool],
        *,
        most_fee: int = MOST_FEE,
    ) -> None:
        self._account, self._chain_id, self._file, self._tell = account, deployment.chain_id, file, tell
        self._most_fee = most_fee  # wei per gas
        self._caller = Caller(deployment, account, recorded)
        self._pauses: dict[str, int] = {}  # so often put off since something happened on the chain
        self._nevers: dict[str, int] = {}
        self._delays_told: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._sent_at = float("-inf")
        self._last_nonce = 0

    @property
    def busy(self) -> bool:
        """Something is in flight: look again soon."""
        return bool(self._file.outbox.in_flight())

    def questions(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Asked together with what the caller wants to know; the answers go to `step`."""
        names = self._names()
        nonce = ("eth_getTransactionCount", ("0x" + self._account.address.hex(), "latest"))
        return [nonce, *(("eth_getTransactionReceipt", ("0x" + name.hex(),)) for name in names)]

    def doubt(self) -> None:
        """The chain was rewound: what we settled is to be seen again."""
        self._file.append(*self._file.outbox.doubted())
        self._sent_at = float("-inf")

    def hasten(self) -> None:
        """Something happened on the chain: what it would not take before, it may take now."""
        self._not_before.clear()
        self._pauses.clear()

    def step(self, rpc: Rpc, answers: list[Any], block: Mapping[str, Any], now: float) -> None:
        """`answers` to `questions()`; `block` the newest one."""
        outbox = self._file.outbox
        on_chain = int(answers[0], 16)
        receipts = {name: _receipt(told) for name, told in zip(self._names(), answers[1:], strict=False)}
        # a node may answer a batch in any order: a nonce counts as used once two looks in a row say so
        settled_nonce, self._last_nonce = min(on_chain, self._last_nonce), on_chain
        for line in [*outbox.judge(settled_nonce, receipts), *outbox.forgotten(on_chain)]:
            self._record(line, now)
        if outbox.in_flight():
            self._outbid(block)
            self._resend(rpc, on_chain, now)
        else:
            self._send_next(rpc, on_chain, block, now)

    def _names(self) -> list[bytes]:
        return [name for wish in self._file.outbox.in_flight() for name in wish.hashes]

    def _outbid(self, block: Mapping[str, Any]) -> None:
        """Fees rose above what we offered: the same call under the same nonce for more. Only one of them is mined."""
        for wish in self._file.outbox.in_flight():
            waiting = rawtx.decode(self._file.outbox.attempt(wish).raw)
            try:
                better = outbid(waiting.max_fee, waiting.priority_fee, block, self._most_fee)
            except TooDear as error:
                self._say_delayed(wish.key, str(error))
                continue
            if better is None or waiting.to is None:
                continue
            raw = rawtx.sign(
                self._account,
                chain_id=self._chain_id,
                nonce=waiting.nonce,
                to=waiting.to,
                data=waiting.data,
                gas=waiting.gas,
                max_fee=better[0],
                priority_fee=better[1],
            )
            self._file.append(Signed(wish.key, waiting.nonce, raw.hex()))
            self._tell(events.Submitted(wish.key, rawtx.transaction_hash(raw)))
            self._sent_at = float("-inf")

    def _resend(self, rpc: Rpc, on_chain: int, now: float) -> None:
        if now - self._sent_at < RESEND_SECONDS:
            return
        self._sent_at = now
        for attempt in self._file.outbox.unseen(on_chain):
            self._hand_over(rpc, attempt.raw)

    def _send_next(self, rpc: Rpc, on_chain: int, block: Mapping[str, Any], now: float) -> None:
        for wish in self._file.outbox.waiting():
            if self._not_before.get(wish.key, now) > now:
                continue
            raw = self._sign(rpc, wish, on_chain, block, now)
            if raw is not None:
                self._sent_at = now
                self._tell(events.Submitted(wish.key, rawtx.transaction_hash(raw)))
                self._hand_over(rpc, raw)
                return

    def _sign(self, rpc: Rpc, wish: Wish, on_chain: int, block: Mapping[str, Any], now: float) -> bytes | None:
        """The journalled transaction for this wish, or None when it needs none, or not now."""
        try:
            call = self._caller.prepare(rpc, wish.kind, wish.arguments)
            if call is None:
                self._record(Settled(wish.key, "", 0, 0), now)
                return None
            query = {"from": _hex(self._account.address), "to": _hex(call.to), "data": _hex(call.data)}
            if not call.due:
                rpc.call("eth_call", {**query, "gas": hex(call.gas)}, "latest")  # a refusal costs nothing here
            max_fee, tip = fees(block, self._most_fee)
        except (NotYet, TooDear) as error:
            self._later(wish.key, str(error), now)
            return None
        except RpcError as error:
            self._refusal(wish, error, now)
            return None
        nonce = self._file.outbox.next_nonce(on_chain)
        raw = rawtx.sign(
            self._account,
            chain_id=self._chain_id,
            nonce=nonce,
            to=call.to,
            data=call.data,
            gas=call.gas,
            max_fee=max_fee,
            priority_fee=tip,
        )
        self._file.append(Signed(wish.key, nonce, raw.hex()))
        return raw

    @staticmethod
    def _hand_over(rpc: Rpc, raw: bytes) -> bool:
        try:
            rpc.call("eth_sendRawTransaction", _hex(raw))
        except RpcError:
            return False  # known, or its nonce used, or too poor: the next look at nonce and receipt tells which
        return True

    def _refusal(self, wish: Wish, error: RpcError, now: float) -> None:
        name, arguments = revert_reason(error.data)
        reason = f"{name}{arguments}" if name else error.message
        judged = verdict(name, wish.kind)
        if judged is Verdict.DONE:
            self._record(Settled(wish.key, "", 0, 0), now)
            return
        if judged is Verdict.NEVER:
            self._nevers[wish.key] = self._nevers.get(wish.key, 0) + 1
        if self._nevers.get(wish.key, 0) >= _LAST_WORD:
            self._record(Refused(wish.key, reason), now)
        else:
            self._later(wish.key, reason, now)

    def _later(self, key: str, reason: str, now: float) -> None:
        before = self._pauses.get(key, 0)
        self._pauses[key] = before + 1
        self._not_before[key] = now + min(_FIRST_PAUSE * 2**before, _LONGEST_PAUSE)
        self._say_delayed(key, reason)

    def _say_delayed(self, key: str, reason: str) -> None:
        if key not in self._delays_told:
            self._delays_told.add(key)
            self._tell(events.Delayed(key, reason))

    def _record(self, line: Line, now: float) -> None:
        key = getattr(line, "key", "")
        told = key in self._file.outbox.wishes and self._file.outbox.wishes[key].confirmed
        self._file.append(line)
        match line:
            case Settled(_, name, gas, block) if not told:
                self._tell(events.Confirmed(key, bytes.fromhex(name) or None, gas, block))
            case Voided(_, reason):
                self._later(key, reason, now)
            case Refused(_, reason):
                self._tell(events.Refused(key, reason))
            case Reopened():
                self._sent_at = float("-inf")
            case _:
                pass


def _receipt(told: Any) -> Receipt | None:  # noqa: ANN401 - a node's word
    if told is None:
        return None
    return Receipt(int(told["status"], 16), int(told["gasUsed"], 16), int(told["blockNumber"], 16))


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()
