"""A thousand real rounds, audited: clean as they are; with one fault anywhere, that fault and nothing else is named.

The history is made once (about a minute). A full audit of it takes as long, so most faults are sought with what an
earlier audit has judged, as an auditor does who comes again; one audit of each kind does without.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import pytest
import sim_caches

import long_history as lh
from peerage.audit import cache as audit_cache
from peerage.audit.cache import AuditCache
from peerage.audit.run import Manner, audit
from peerage_crypto.digest import sha256
from peerage_ledger import rawtx
from peerage_ledger.audit.findings import Check
from peerage_ledger.audit.journal import seal_digest
from peerage_ledger.contracts import contract
from peerage_ledger.transcript import decode_round, decode_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from peerage.audit.words import AuditReport

pytestmark = pytest.mark.timeout(600)
ROUNDS, PEERS = 1000, 4


@dataclass(frozen=True)
class Audited:
    """The history, its first audit, and the cache that it left."""

    history: lh.History
    report: AuditReport
    cache: Path


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    folder = tmp_path_factory.mktemp("long")
    history = lh.make_history(folder / "run", rounds=ROUNDS, peers=PEERS)
    sim_caches.remove()  # the audit is the product's own
    digest = audit_cache.code_digest
    audit_cache.code_digest = lambda: sha256(b"the code of this minute")  # somebody may be at work on it
    yield Audited(history, audit(history.path, Manner(cache=folder / "cache")), folder / "cache")
    audit_cache.code_digest = digest
    sim_caches.install()


@dataclass
class Case:
    """The run with one thing changed; what is changed is put back."""

    history: lh.History
    before: dict[Path, bytes | None] = field(default_factory=dict)

    def write(self, path: Path, blob: bytes | None) -> None:
        self.before.setdefault(path, path.read_bytes() if path.exists() else None)
        if blob is None:
            path.unlink()
        else:
            path.write_bytes(blob)

    def flip(self, path: Path, at: int) -> None:
        blob = bytearray(path.read_bytes())
        blob[at % len(blob)] ^= 1
        self.write(path, bytes(blob))

    def restore(self) -> None:
        for path, blob in self.before.items():
            if blob is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(blob)

    # -- where things are ----------------------------------------------------------------------------------------------

    def artefact(self, name: bytes) -> Path:
        return self.history.path / "store" / name.hex()

    def journal(self, peer: str) -> Path:
        return self.history.path / "peers" / peer / "journal.jsonl"

    def transcript(self, round_: int) -> Path:
        for line in self.journal("peer-01").read_bytes().splitlines():
            if b'"kind":"closed"' in line and f'"round":{round_},'.encode() in line:
                return self.history.path / "store" / json.loads(line)["transcript"]
        raise AssertionError("no such round")

    @property
    def chain(self) -> Path:
        return self.history.path / "chain" / "chain.jsonl"


@pytest.fixture
def case(long: Audited) -> Iterator[Case]:
    made = Case(long.history)
    yield made
    made.restore()


def found(report: AuditReport) -> set[tuple[str, int | None, str | None]]:
    """Findings as (code, round, peer's name)."""
    names = {"0x" + account.hex(): name for account, name in report.names.items()}
    return {(f.code, f.round, names.get((f.peer or "").lower(), f.peer)) for f in report.findings}


def owner(case: Case, address: bytes) -> str:
    return next(name for name, account in case.history.accounts.items() if account.address == address)


# -- the clean history -------------------------------------------------------------------------------------------------


def test_a_thousand_honest_rounds_have_no_finding(long: Audited) -> None:
    report = long.report
    assert report.findings == ()
    assert report.counts["rounds"] == ROUNDS
    assert report.counts["masked vectors"] == PEERS * ROUNDS
    assert [(c.sum, c.direction, c.numbers) for c in report.rounds] == [(Check.PASSED,) * 3] * ROUNDS
    assert not any("earlier audit" in note for note in report.notes)


def test_models_and_sessions_are_not_all_kept(long: Audited) -> None:
    assert len(long.report.judged.rounds.standings) <= 5
    assert all(told.transcript.acks == () for told in long.report.judged.rounds.judged.values())


def test_a_second_audit_says_the_same_and_judges_no_round_again(long: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peerage_ledger.audit.rounds.judge_round", None)
    again = audit(long.history.path, Manner(cache=long.cache))
    assert f"{ROUNDS} rounds were judged by an earlier audit" in " ".join(again.notes)
    mine, other = (json.loads(report.to_json("peer-02")) for report in (long.report, again))
    assert {k: v for k, v in mine.items() if k != "notes"} == {k: v for k, v in other.items() if k != "notes"}


class Interrupted(KeyboardInterrupt):
    pass


def test_an_interrupted_audit_goes_on_where_it_stood(long: Audited, tmp_path: Path) -> None:
    whole = (long.cache / "rounds.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "rounds.jsonl").write_bytes(b"".join(whole[:951]) + whole[951][:-9])  # torn in its 951st round

    def stop(what: str, done: int, _: int) -> None:
        if (what, done) == ("rounds", 970):
            raise Interrupted

    with pytest.raises(Interrupted):
        audit(long.history.path, Manner(cache=tmp_path, heard=stop))
    judged: list[int] = []
    report = audit(
        long.history.path,
        Manner(cache=tmp_path, heard=lambda what, done, _: judged.append(done) if what == "rounds" else None),
    )
    assert report.findings == ()
    assert "970 rounds were judged by an earlier audit" in " ".join(report.notes)
    assert judged == list(range(1, ROUNDS + 1))


def test_another_state_of_the_code_trusts_nothing_of_an_earlier_one(long: Audited, tmp_path: Path) -> None:
    shutil.copy(long.cache / "rounds.jsonl", tmp_path)
    cache = AuditCache(tmp_path, code=sha256(b"another"))
    cache.close()
    assert len((tmp_path / "rounds.jsonl").read_bytes().splitlines()) == 1


# -- one fault among a thousand rounds ---------------------------------------------------------------------------------


def a_vector_flipped(case: Case) -> set[tuple[str, int | None, str | None]]:
    session = decode_session(case.artefact(decode_round(case.transcript(613).read_bytes()).session).read_bytes())
    domain_owner = sorted(a.address for a in case.history.accounts.values())[2]
    case.flip(case.artefact(session.manifests[2].statement.artefact), 77)
    return {("store-misnamed", 613, owner(case, domain_owner))}


def a_vector_deleted(case: Case) -> set[tuple[str, int | None, str | None]]:
    session = decode_session(case.artefact(decode_round(case.transcript(42).read_bytes()).session).read_bytes())
    case.write(case.artefact(session.manifests[0].statement.artefact), None)
    return {("vector-missing", 42, owner(case, min(a.address for a in case.history.accounts.values())))}


def an_emission_record_deleted(case: Case) -> set[tuple[str, int | None, str | None]]:
    opening = decode_round(case.transcript(500).read_bytes()).openings[1]
    record = case.artefact(opening.signed.statement.emissions)
    told = json.loads(record.read_bytes())
    case.write(record, None)
    who = owner(case, bytes.fromhex(told["peer"][2:]))
    return {("emission-missing", 500, who), ("emission-tiling", 501, who)}  # the next record shows the hole


def a_direction_flipped(case: Case) -> set[tuple[str, int | None, str | None]]:
    t = decode_round(case.transcript(998).read_bytes())
    case.flip(case.artefact(t.direction), 8)
    session = decode_session(case.artefact(t.session).read_bytes())
    initiator = owner(case, session.opened.statement.initiator)
    return {("direction-missing", 998, initiator), ("store-misnamed", 998, initiator)}


def an_aggregate_flipped(case: Case) -> set[tuple[str, int | None, str | None]]:
    case.flip(case.artefact(decode_round(case.transcript(321).read_bytes()).aggregate), 5)
    return {("store-misnamed", 321, None)}


def a_transcript_gone(case: Case) -> set[tuple[str, int | None, str | None]]:
    path = case.transcript(ROUNDS)
    case.write(path, None)
    return {("transcript-missing", ROUNDS, "*")}  # whoever recorded it named it


def a_sum_gone_in_the_middle(case: Case) -> set[tuple[str, int | None, str | None]]:
    """What stands on it is not judged, and not recalled either."""
    case.write(case.artefact(decode_round(case.transcript(500).read_bytes()).sum_artefact), None)
    return {("artefact-missing", 500, None)}


def a_foreign_file(case: Case) -> set[tuple[str, int | None, str | None]]:
    path = case.history.path / "store" / "note.txt"
    case.before[path] = None
    path.write_text("hello")
    return {("store-foreign", None, None)}


def a_journal_line_changed(case: Case) -> set[tuple[str, int | None, str | None]]:
    lines = case.journal("peer-03").read_bytes().splitlines()
    at = next(i for i, line in enumerate(lines) if b'"kind":"trained"' in line and b'"round":700,' in line)
    lines[at] = lines[at].replace(b'"kind":"trained"', b'"kind":"trainee"')
    case.write(case.journal("peer-03"), b"\n".join(lines) + b"\n")
    return {("journal-chain", json.loads(lines[at + 1])["round"], "peer-03")}


def an_insider_denies_an_acknowledgement(case: Case) -> set[tuple[str, int | None, str | None]]:
    """Its journal written anew, and sealed with its own key."""
    account, raw, previous = case.history.accounts["peer-04"], list[bytes](), bytes(32)
    for line in map(json.loads, case.journal("peer-04").read_bytes().splitlines()):
        if line["kind"] == "signed" and line["type"] == "ResultAck" and line["round"] == 250:
            continue
        line |= {"seq": len(raw), "prev": previous.hex()}
        if line["kind"] == "seal":
            line["signature"] = account.sign(seal_digest(previous, end=line.get("end") is True)).hex()
        raw.append(json.dumps(line, separators=(",", ":")).encode())
        previous = sha256(raw[-1])
    case.write(case.journal("peer-04"), b"\n".join(raw) + b"\n")
    return {("unjournalled", 250, "peer-04")}


def rechained(case: Case, edit: Callable[[list[dict]], object]) -> None:  # type: ignore[type-arg]
    """The archive of the chain with an edit, every link made anew."""
    lines = [json.loads(line) for line in case.chain.read_bytes().splitlines()]
    edit(lines)
    raw, previous = [], bytes(32).hex()
    for line in lines:
        raw.append(msgspec.json.encode(line | {"prev": previous}))
        previous = sha256(raw[-1]).hex()
    case.write(case.chain, b"\n".join(raw) + b"\n")


def recording(lines: list[dict], round_: int) -> tuple[int, rawtx.Transaction]:  # type: ignore[type-arg]
    selector = contract("RoundLedger").call("recordRound", (0, *[bytes(32)], [], [], *[bytes(32)] * 7, 0))[:4]
    for at, line in enumerate(lines):
        if line["kind"] == "transaction":
            signed = rawtx.decode(bytes.fromhex(line["raw"]))
            if (
                signed.data[:4] == selector
                and contract("RoundLedger").decode_call(signed.data).values["round"][0] == round_
            ):
                return at, signed
    raise AssertionError("no such record")


def a_receipt_turned(case: Case) -> set[tuple[str, int | None, str | None]]:
    who = ""

    def edit(lines: list[dict]) -> None:  # type: ignore[type-arg]
        nonlocal who
        at, signed = recording(lines, 444)
        lines[at + 1]["status"] = 0
        who = owner(case, signed.sender)

    rechained(case, edit)
    return {("chain-receipt", 444, who), ("chain-archive", None, None)}  # the header's receipt root tells it too


def two_records_swapped(case: Case) -> set[tuple[str, int | None, str | None]]:
    """Two transactions change places; the headers say so, and the second is refused: it stands on the first. So is the
    reward root, whose line ends on a record that the ledger lacks then, and so are the claims.
    """
    twice: set[tuple[str, int | None, str | None]] = set()

    def edit(lines: list[dict]) -> None:  # type: ignore[type-arg]
        (a, one), (b, other) = recording(lines, ROUNDS - 1), recording(lines, ROUNDS)
        if one.sender == other.sender:
            twice.add(("chain-nonce", None, "*"))
        for i in (0, 1):
            lines[a + i], lines[b + i] = lines[b + i], lines[a + i]
        lines[a]["block"], lines[b]["block"] = lines[b]["block"], lines[a]["block"]

    rechained(case, edit)
    refused = {("chain-rule", ROUNDS, "*"), ("unrecorded", ROUNDS, "*"), ("chain-rule", None, "*")}
    return {("chain-archive", None, None), *refused, *twice}


FAULTS = (
    a_vector_flipped,
    a_vector_deleted,
    an_emission_record_deleted,
    a_direction_flipped,
    an_aggregate_flipped,
    a_transcript_gone,
    a_sum_gone_in_the_middle,
    a_foreign_file,
    a_journal_line_changed,
    an_insider_denies_an_acknowledgement,
    a_receipt_turned,
    two_records_swapped,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_one_fault_among_a_thousand_rounds_is_found_and_nothing_else(
    long: Audited, case: Case, fault: Callable[[Case], set[tuple[str, int | None, str | None]]]
) -> None:
    wanted = fault(case)
    have = found(audit(long.history.path, Manner(cache=long.cache)))
    loose = {(code, round_) for code, round_, who in wanted if who == "*"}
    assert {(c, r, "*" if (c, r) in loose else p) for c, r, p in have} == wanted


def test_rounds_behind_a_broken_one_are_not_recalled(long: Audited, case: Case) -> None:
    a_sum_gone_in_the_middle(case)
    report = audit(long.history.path, Manner(cache=long.cache))
    assert any("rounds 501 to 1000 are not judged" in note for note in report.notes)
    assert any("499 rounds were judged by an earlier audit" in note for note in report.notes)


def test_the_cache_hides_no_fault(long: Audited, case: Case) -> None:
    """The same fault without what an earlier audit judged: the same findings."""
    wanted = a_vector_flipped(case)
    assert found(audit(long.history.path)) == wanted
