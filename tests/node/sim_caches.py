"""All peers of a simulation live in one process and check the same public bytes again: each is worked out once.

Only pure functions are remembered, by their arguments, so a run with the caches is the run without them
(test_sim_replay.py compares the two). A key agreement is remembered under the pair of its public keys, because both
ends compute the same secret.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from peerage import messages
from peerage.rounds import chase, openings, results, standing
from peerage_crypto import agreement, digest, identity, secagg_collector, secagg_judge, secagg_member, session
from peerage_crypto.agreement import SessionKeys
from peerage_crypto.statements import Signed, Statement
from peerage_ledger import contracts, judgement, transcript
from peerage_ledger.records import RoundRecord

if TYPE_CHECKING:
    from collections.abc import Callable

REMEMBERED = 1 << 15  # entries of each cache: some hundred schedules
_undo: list[tuple[Any, str, Any]] = []


def install() -> None:
    """Put the caches in; a second call changes nothing."""
    if _undo:
        return
    _replace(Statement, "digest", lru_cache(maxsize=REMEMBERED)(Statement.digest))
    _replace(Signed, "signer", _by_identity(Signed.signer, 1 << 14))
    _everywhere("shared", _shared_once(agreement.shared))
    _replace(SessionKeys, "from_secret", staticmethod(_keys_once(SessionKeys.from_secret)))
    _replace(session.Roster, "assemble", staticmethod(_by_identity(session.Roster.assemble)))
    _replace(judgement.Federation, "plan", _by_identity(judgement.Federation.plan))
    _everywhere("decode_session", lru_cache(maxsize=512)(transcript.decode_session))
    _everywhere("decode_round", lru_cache(maxsize=512)(transcript.decode_round))
    _everywhere("judge_session", _by_identity(secagg_judge.judge_session))
    _replace(messages, "_decoder", _Decoder(messages._decoder))
    _replace(digest, "keccak", lru_cache(maxsize=REMEMBERED)(digest.keccak))
    _replace(RoundRecord, "record_hash", lru_cache(maxsize=4096)(RoundRecord.record_hash))
    _know_own_signatures()
    for name in ("call", "result", "decode_call", "code_hash"):
        _replace(contracts.Contract, name, _by_value(getattr(contracts.Contract, name)))


def remove() -> None:
    """Take them out again."""
    while _undo:
        owner, name, before = _undo.pop()
        setattr(owner, name, before)


def _replace(owner: Any, name: str, by: Any) -> None:
    _undo.append((owner, name, owner.__dict__[name]))
    setattr(owner, name, by)


_MODULES = (
    agreement, chase, judgement, openings, results, secagg_collector, secagg_judge, secagg_member, session, standing,
    transcript,
)  # fmt: skip


def _everywhere(name: str, by: Any) -> None:
    """A function that modules imported by its name."""
    for module in _MODULES:
        if name in module.__dict__:
            _replace(module, name, by)


def _keys_once(make: Callable[[bytes], SessionKeys]) -> Callable[[bytes], SessionKeys]:
    return lru_cache(maxsize=REMEMBERED)(make)


def _by_value(work: Callable[..., Any]) -> Callable[..., Any]:
    known: OrderedDict[Any, Any] = OrderedDict()

    def once(*arguments: Any) -> Any:
        key = tuple(_frozen(a) for a in arguments)
        found = known.get(key)
        if found is None:
            found = known[key] = work(*arguments)
            if len(known) > 4096:
                known.popitem(last=False)
        return found

    return once


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


def _know_own_signatures() -> None:
    """Who signed is known when it was signed here: recovering is for signatures from elsewhere."""
    made: OrderedDict[tuple[bytes, bytes], bytes] = OrderedDict()
    real_sign, real_recover = identity.Account.sign, identity._recover

    def sign(self: identity.Account, digest_: bytes) -> bytes:
        signature = real_sign(self, digest_)
        made[bytes(digest_), signature] = self.address
        if len(made) > REMEMBERED:
            made.popitem(last=False)
        return signature

    def recover(digest_: bytes, signature: bytes) -> bytes:
        return made.get((digest_, signature)) or real_recover(digest_, signature)

    recover.cache_info = real_recover.cache_info
    _replace(identity.Account, "sign", sign)
    _replace(identity, "_recover", recover)


def _shared_once(agree: Callable[[bytes, bytes], bytes]) -> Callable[[bytes, bytes], bytes]:
    known: OrderedDict[tuple[bytes, bytes], bytes] = OrderedDict()

    def shared(secret_key: bytes, peer_public: bytes) -> bytes:
        mine = SessionKeys.from_secret(secret_key).public
        pair = (mine, peer_public) if mine < peer_public else (peer_public, mine)
        found = known.get(pair)
        if found is None:
            found = known[pair] = agree(secret_key, peer_public)
            if len(known) > REMEMBERED:
                known.popitem(last=False)
        return found

    return shared


def _by_identity(work: Callable[..., Any], size: int = 512) -> Callable[..., Any]:
    """For frozen arguments too large to hash: the same objects give the same answer; they are kept alive meanwhile."""
    known: OrderedDict[tuple[int, ...], tuple[Any, Any]] = OrderedDict()

    def once(*arguments: Any) -> Any:
        key = tuple(id(a) for a in arguments)
        found = known.get(key)
        if found is None:
            found = known[key] = (arguments, work(*arguments))
            if len(known) > size:
                known.popitem(last=False)
        return found[1]

    return once


class _Decoder:
    """A frame that goes to everybody is decoded once: messages are frozen."""

    def __init__(self, real: Any) -> None:
        self.decode = lru_cache(maxsize=4096)(real.decode)


def rest(every: int = 32) -> Callable[[], None]:
    """Called after each schedule: the collector runs now and then, not in the middle of every one."""
    gc.disable()
    count = 0

    def now_and_then() -> None:
        nonlocal count
        count += 1
        if count % every == 0:
            gc.collect()

    return now_and_then
