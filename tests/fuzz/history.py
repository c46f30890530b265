"""Rounds and merges as artefacts: decoding and judging them, whoever wrote them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fuzz.builder import tree
from fuzz.draw import Draw, edited
from fuzz.sessions import resigned
from fuzz.target import target
from peerage_crypto.digest import sha256
from peerage_ledger.judgement import Evidence, Judged, judge_round
from peerage_ledger.plain_judgement import judge_plain_history, judge_statements
from peerage_ledger.plain_record import decode_plain, encode_plain
from peerage_ledger.transcript import decode_round, encode

if TYPE_CHECKING:
    from types import ModuleType


def neighbour(name: str) -> ModuleType:
    """The builders of honest rounds and merges live in the ledger's own tests."""
    path = Path(__file__).parents[1] / "ledger" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ROUNDS, MERGES = neighbour("test_judgement"), neighbour("test_plain_record")
ROUND = ROUNDS.Round(4)
HONEST = ROUND.transcript()
RUN = MERGES.lockstep(1)
PLAIN = [blob for blob in RUN.store.values() if blob[:1] == b"{"]


@target("history.round", allowed=(ValueError,), seeds=lambda: [encode(HONEST)])
def round_transcript(data: bytes) -> None:
    assert encode(decode_round(data)) == data


@target("history.round-judged", seeds=lambda: [bytes([n * 3, n, 5, n * 11 % 256, 1]) for n in range(20)])
def round_judged(data: bytes) -> None:
    draw = Draw(data)
    spoilt = msgspec.json.encode(edited(tree(HONEST), draw))
    try:
        said = decode_round(spoilt)
    except ValueError:
        return
    if draw.below(2):
        said = resigned(said, draw.pick(ROUND.told.people))
    total = draw.pick((ROUND.sum_blob, b"", ROUND.sum_blob[:-1]))
    evidence = Evidence(sha256(encode(said)), said, said.session, ROUND.session, total)
    found = judge_round(ROUND.federation, ROUNDS.START, evidence, ROUNDS.merge)
    assert isinstance(found, Judged) or found


@target("history.merge", allowed=(ValueError,), seeds=lambda: PLAIN)
def merge_transcript(data: bytes) -> None:
    assert encode_plain(decode_plain(data)) == data


@target("history.merge-judged", seeds=lambda: [bytes([n * 3, n, 5, n * 11 % 256, 1]) for n in range(20)])
def merge_judged(data: bytes) -> None:
    draw = Draw(data)
    try:
        said = decode_plain(msgspec.json.encode(edited(tree(decode_plain(draw.pick(PLAIN))), draw)))
    except ValueError:
        return
    who: Any = draw.pick(MERGES.ACCOUNTS)
    if draw.below(2):
        body = resigned_merge(said.body, who)
        said = msgspec.structs.replace(said, body=body)
    if draw.below(4):
        statement = msgspec.structs.replace(said.signed.statement, body=said.body.digest(), merge=said.body.merge)
        owner = next((a for a in MERGES.ACCOUNTS if a.address == said.body.initiator), who)
        said = msgspec.structs.replace(said, signed=MERGES.sign(statement, owner, MERGES.GROUND.domain))
    blob = encode_plain(said)
    judge_statements(MERGES.GROUND, sha256(blob), said)
    store = {**RUN.store, sha256(blob): blob}
    judge_plain_history(MERGES.GROUND, RUN.records[:1], store, MERGES.mean, MERGES.PARAMETERS)


def resigned_merge(body: Any, who: Any) -> Any:
    return msgspec.structs.replace(
        body, updates=tuple(MERGES.sign(u.statement, who, MERGES.GROUND.domain) for u in body.updates)
    )
