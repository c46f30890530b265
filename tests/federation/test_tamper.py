"""Whoever changes anything in a finished run is caught, and where a round or a peer can be named, it is named.

One real run (processes, masks, chain) is made once; each case is a copy with one thing changed: by somebody who only
has the files, or by a peer that re-signs what it changed with its own key.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import pytest
from eth_utils.address import to_checksum_address
from safetensors.numpy import load_file, save_file

from peerage.audit.run import audit
from peerage.keys import load_keys, password_file, read_password
from peerage.launch.live import amount
from peerage_crypto.digest import sha256
from peerage_crypto.identity import Account
from peerage_ledger import rawtx
from peerage_ledger.audit.findings import Check
from peerage_ledger.transcript import RoundTranscript, decode_round, decode_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]
ROUND = 2  # what is tampered with, where a round can be chosen


@dataclass
class Run:
    """A copy of the run with what the cases want to know of it."""

    path: Path

    @property
    def store(self) -> Path:
        return self.path / "store"

    def journal(self, name: str) -> Path:
        return self.path / "peers" / name / "journal.jsonl"

    def lines(self, name: str) -> list[bytes]:
        return self.journal(name).read_bytes().splitlines()

    def transcript(self, round_: int = ROUND) -> tuple[Path, RoundTranscript]:
        for line in self.lines("peer-01"):
            fields = json.loads(line)
            if fields["kind"] == "closed" and fields["round"] == round_:
                path = self.store / fields["transcript"]
                return path, decode_round(path.read_bytes())
        raise AssertionError("no such round")

    def account(self, name: str) -> Account:
        return load_keys(self.path / "secrets", name, read_password(password_file(self.path / "secrets", name))).account

    def name_of(self, address: bytes) -> str:
        return next(n for n in NAMES if self.account(n).address == address)

    def address_of(self, name: str) -> str:
        return json.loads(self.lines(name)[0])["peer"]

    def vector(self, round_: int = ROUND, index: int = 1) -> tuple[Path, str]:
        """One masked vector and its owner's name."""
        session = decode_session((self.store / self.transcript(round_)[1].session.hex()).read_bytes())
        manifest = session.manifests[index]
        from peerage_crypto.statements import signing_domain
        from peerage_ledger.deployment import Deployment

        deployment = Deployment.read(self.path / "deployment.json")
        owner = manifest.signer(signing_domain(deployment.chain_id, deployment.ledger))
        return self.store / manifest.statement.artefact.hex(), self.name_of(owner)


NAMES = tuple(f"peer-{i:02}" for i in range(1, 6))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tamper") / "run"
    arguments = ["run", "--peers", "5", "--rounds", "3", "--ledger", "embedded", "--country", "DEU", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", "from peerage.cli.main import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Iterator[Run]:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy, ignore=shutil.ignore_patterns("devnet", "latest"))
    yield Run(copy)
    shutil.rmtree(copy)


def flip(path: Path, at: int = -20) -> None:
    blob = bytearray(path.read_bytes())
    blob[at] ^= 1
    path.write_bytes(bytes(blob))


def rechain(lines: list[dict[str, object]], key: str = "prev") -> bytes:
    """The lines again, each naming the one before it: what a careful forger of an unsigned chain does."""
    raw, previous = [], bytes(32).hex()
    for number, line in enumerate(lines):
        chained = {**line, key: previous, **({"seq": number} if "seq" in line else {})}
        encoded = json.dumps(chained, separators=(",", ":")).encode()
        raw.append(encoded)
        previous = sha256(encoded).hex()
    return b"\n".join(raw) + b"\n"


def reseal(lines: list[dict[str, object]], account: Account) -> bytes:
    """A journal written anew by its own peer, seals included."""
    raw, previous = [], bytes(32)
    for number, line in enumerate(lines):
        chained = {**line, "prev": previous.hex(), "seq": number}
        if chained["kind"] == "seal":
            chained["signature"] = account.sign(previous).hex()
        encoded = json.dumps(chained, separators=(",", ":")).encode()
        raw.append(encoded)
        previous = sha256(encoded)
    return b"\n".join(raw) + b"\n"


# -- the store ---------------------------------------------------------------------------------------------------------


def masked_vector_flipped(run: Run) -> tuple[int | None, str | None]:
    path, owner = run.vector()
    flip(path)
    return ROUND, owner


def masked_vector_deleted(run: Run) -> tuple[int | None, str | None]:
    path, owner = run.vector()
    path.unlink()
    return ROUND, owner


def masked_vector_swapped_for_anothers(run: Run) -> tuple[int | None, str | None]:
    path, owner = run.vector(index=1)
    path.write_bytes(run.vector(index=2)[0].read_bytes())
    return ROUND, owner


def transcript_flipped(run: Run) -> tuple[int | None, str | None]:
    flip(run.transcript()[0])
    return ROUND, None


def session_flipped(run: Run) -> tuple[int | None, str | None]:
    flip(run.store / run.transcript()[1].session.hex())
    return ROUND, None


def sum_flipped(run: Run) -> tuple[int | None, str | None]:
    flip(run.store / run.transcript()[1].sum_artefact.hex())
    return ROUND, None


def aggregate_flipped(run: Run) -> tuple[int | None, str | None]:
    flip(run.store / run.transcript()[1].aggregate.hex())
    return ROUND, None


def direction_flipped(run: Run) -> tuple[int | None, str | None]:
    flip(run.store / run.transcript()[1].direction.hex())
    return ROUND, None


def emission_record_flipped(run: Run) -> tuple[int | None, str | None]:
    opening = run.transcript()[1].openings[0]
    record = run.store / opening.signed.statement.emissions.hex()
    owner = json.loads(record.read_bytes())["peer"]
    flip(record)
    return ROUND, run.name_of(bytes.fromhex(owner[2:]))


def emission_record_deleted(run: Run) -> tuple[int | None, str | None]:
    opening = run.transcript()[1].openings[0]
    record = run.store / opening.signed.statement.emissions.hex()
    owner = json.loads(record.read_bytes())["peer"]
    record.unlink()
    return ROUND, run.name_of(bytes.fromhex(owner[2:]))


def settlement_deleted(run: Run) -> tuple[int | None, str | None]:
    for line in run.lines("peer-01"):
        fields = json.loads(line)
        if fields["kind"] == "settlement":
            (run.store / fields["settlement"]).unlink()
    return None, None


def foreign_file(run: Run) -> tuple[int | None, str | None]:
    (run.store / "readme.txt").write_text("hello")
    return None, None


def garbage_under_its_right_name(run: Run) -> tuple[int | None, str | None]:
    blob = b'{"schema":1,"round":2}'
    (run.store / sha256(blob).hex()).write_bytes(blob)
    return None, None


def bytes_of_no_known_length(run: Run) -> tuple[int | None, str | None]:
    blob = bytes(range(77))
    (run.store / sha256(blob).hex()).write_bytes(blob)
    return None, None


# -- journals ----------------------------------------------------------------------------------------------------------


def journal_line_edited(run: Run) -> tuple[int | None, str | None]:
    lines = run.lines("peer-03")
    at = next(i for i, line in enumerate(lines) if b'"trained"' in line)  # on a busy machine not in every round
    lines[at] = lines[at].replace(b'"version":', b'"version":1')
    run.journal("peer-03").write_bytes(b"\n".join(lines) + b"\n")
    return None, "peer-03"


def journal_line_dropped(run: Run) -> tuple[int | None, str | None]:
    lines = run.lines("peer-03")
    run.journal("peer-03").write_bytes(b"\n".join(lines[:8] + lines[9:]) + b"\n")
    return None, "peer-03"


def journal_lines_swapped(run: Run) -> tuple[int | None, str | None]:
    lines = run.lines("peer-03")
    lines[6], lines[7] = lines[7], lines[6]
    run.journal("peer-03").write_bytes(b"\n".join(lines) + b"\n")
    return None, "peer-03"


def journal_rechained_without_its_key(run: Run) -> tuple[int | None, str | None]:
    lines = [json.loads(line) for line in run.lines("peer-03")]
    lines[3]["round"] = 9
    run.journal("peer-03").write_bytes(rechain(lines))
    return None, "peer-03"


def journal_end_cut_off(run: Run) -> tuple[int | None, str | None]:
    run.journal("peer-03").write_bytes(b"\n".join(run.lines("peer-03")[:-1]) + b"\n")
    return None, "peer-03"


def journal_cut_back_to_a_seal_made_the_end(run: Run) -> tuple[int | None, str | None]:
    lines = run.lines("peer-03")
    at = next(i for i, line in enumerate(lines) if b'"seal"' in line)
    lines[at] = lines[at].replace(b',"at_ms"', b',"end":true,"at_ms"')
    run.journal("peer-03").write_bytes(b"\n".join(lines[: at + 1]) + b"\n")
    return ROUND, "peer-03"


def journal_undecodable_line(run: Run) -> tuple[int | None, str | None]:
    with run.journal("peer-03").open("ab") as file:
        file.write(b"\xff\xfe not json\n")
    return None, "peer-03"


def journal_deleted(run: Run) -> tuple[int | None, str | None]:
    run.journal("peer-03").unlink()
    return None, "peer-03"


def journals_exchanged(run: Run) -> tuple[int | None, str | None]:
    mine = run.journal("peer-03").read_bytes()
    run.journal("peer-03").write_bytes(run.journal("peer-04").read_bytes())
    run.journal("peer-04").write_bytes(mine)
    return None, "peer-03"


def insider_denies_its_acknowledgement(run: Run) -> tuple[int | None, str | None]:
    lines = [json.loads(line) for line in run.lines("peer-03")]
    kept = [x for x in lines if not (x["kind"] == "signed" and x["type"] == "ResultAck" and x["round"] == ROUND)]
    run.journal("peer-03").write_bytes(reseal(kept, run.account("peer-03")))
    return ROUND, "peer-03"


def insider_signed_twice(run: Run) -> tuple[int | None, str | None]:
    lines = [json.loads(line) for line in run.lines("peer-03")]
    at = next(i for i, x in enumerate(lines) if x["kind"] == "signed" and x["type"] == "Vote" and x["round"] == ROUND)
    lines.insert(at + 1, {**lines[at], "digest": sha256(b"other").hex()})
    run.journal("peer-03").write_bytes(reseal(lines, run.account("peer-03")))
    return ROUND, "peer-03"


def insider_claims_another_model(run: Run) -> tuple[int | None, str | None]:
    lines = [json.loads(line) for line in run.lines("peer-03")]
    for line in lines:
        if line["kind"] == "closed" and line["round"] == ROUND:
            line["aggregate"] = sha256(b"other").hex()
    run.journal("peer-03").write_bytes(reseal(lines, run.account("peer-03")))
    return ROUND, "peer-03"


def insider_claims_a_round_that_never_was(run: Run) -> tuple[int | None, str | None]:
    lines = [json.loads(line) for line in run.lines("peer-03")]
    at = next(i for i, x in enumerate(lines) if x["kind"] == "closed" and x["round"] == ROUND)
    lines[at]["transcript"] = sha256(b"nowhere").hex()
    run.journal("peer-03").write_bytes(reseal(lines, run.account("peer-03")))
    return ROUND, "peer-03"


# -- the chain ---------------------------------------------------------------------------------------------------------


def chain_lines(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run.path / "chain/chain.jsonl").read_bytes().splitlines()]


def write_chain(run: Run, lines: list[dict[str, object]]) -> None:
    (run.path / "chain/chain.jsonl").write_bytes(rechain(lines))


def record_line(run: Run, lines: list[dict[str, object]], round_: int = ROUND) -> tuple[int, str]:
    """Where the transaction stands that recorded a round, and who sent it."""
    from peerage_ledger.contracts import contract

    for at, line in enumerate(lines):
        if line["kind"] == "transaction":
            signed = rawtx.decode(bytes.fromhex(str(line["raw"])))
            if signed.data[:4] == contract("RoundLedger").call("isRecorded", 0, bytes(32))[:4] or signed.to is None:
                continue
            try:
                called = contract("RoundLedger").decode_call(signed.data)
            except ValueError:
                continue
            if called.name == "recordRound" and called.values["round"][0] == round_ and lines[at + 1]["status"] == 1:
                return at, run.name_of(signed.sender)
    raise AssertionError("no record")


def chain_line_edited(run: Run) -> tuple[int | None, str | None]:
    path = run.path / "chain/chain.jsonl"
    lines = path.read_bytes().splitlines()
    lines[-10] = lines[-10].replace(b'"schema":1', b'"schema": 1')
    path.write_bytes(b"\n".join(lines) + b"\n")
    return None, None


def chain_record_taken_out(run: Run) -> tuple[int | None, str | None]:
    lines = chain_lines(run)
    at, _ = record_line(run, lines)
    write_chain(run, lines[:at] + lines[at + 2 :])
    return ROUND, None


def chain_receipt_turned(run: Run) -> tuple[int | None, str | None]:
    lines = chain_lines(run)
    at, sender = record_line(run, lines)
    lines[at + 1]["status"] = 0
    write_chain(run, lines)
    return ROUND, sender


def chain_event_changed(run: Run) -> tuple[int | None, str | None]:
    lines = chain_lines(run)
    at, sender = record_line(run, lines)
    log = lines[at + 1]["logs"][0]  # type: ignore[index]
    log["data"] = log["data"][:-2] + "07"
    write_chain(run, lines)
    return ROUND, sender


def chain_raw_transaction_replaced(run: Run) -> tuple[int | None, str | None]:
    """An insider's own signature under another record of the round, hash and all."""
    lines = chain_lines(run)
    at, sender = record_line(run, lines)
    signed = rawtx.decode(bytes.fromhex(str(lines[at]["raw"])))
    data = bytearray(signed.data)
    data[4 + 32 + 5 * 32] ^= 1
    raw = rawtx.sign(
        run.account(sender),
        chain_id=31337,
        nonce=signed.nonce,
        to=signed.to,
        data=bytes(data),
        gas=signed.gas,
        max_fee=signed.max_fee,
        priority_fee=signed.priority_fee,
    )
    lines[at]["raw"], lines[at]["hash"] = raw.hex(), rawtx.transaction_hash(raw).hex()
    lines[at + 1]["transaction"] = lines[at]["hash"]
    write_chain(run, lines)
    return ROUND, sender


def chain_by_an_outsider(run: Run) -> tuple[int | None, str | None]:
    """The same record, said to be recorded by somebody who is no peer."""
    lines = chain_lines(run)
    at, _ = record_line(run, lines)
    signed = rawtx.decode(bytes.fromhex(str(lines[at]["raw"])))
    stranger = Account.from_secret(bytes(31) + b"\x07")
    raw = rawtx.sign(
        stranger, chain_id=31337, nonce=0, to=signed.to, data=signed.data, gas=signed.gas, max_fee=1, priority_fee=1
    )
    lines[at]["raw"], lines[at]["hash"] = raw.hex(), rawtx.transaction_hash(raw).hex()
    lines[at + 1]["transaction"] = lines[at]["hash"]
    write_chain(run, lines)
    return ROUND, None


def chain_claims_taken_out(run: Run) -> tuple[int | None, str | None]:
    lines = chain_lines(run)
    at = max(i for i, line in enumerate(lines) if line["kind"] == "transaction")
    write_chain(run, lines[:at] + lines[at + 2 :])
    return None, None


def chain_registration_taken_out(run: Run) -> tuple[int | None, str | None]:
    from peerage_ledger.contracts import contract

    lines = chain_lines(run)
    register = contract("PeerRegistry").call("registerWithPermit", bytes(32), "", 0, 0, 0, bytes(32), bytes(32))[:4]
    for at, line in enumerate(lines):
        if line["kind"] == "transaction" and rawtx.decode(bytes.fromhex(str(line["raw"]))).data[:4] == register:
            write_chain(run, lines[:at] + lines[at + 2 :])
            return None, None
    raise AssertionError("no registration")


# -- beside ------------------------------------------------------------------------------------------------------------


def edit_json(path: Path, edit: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    """As a careful forger writes it: in the form of the file, so that only what it says gives it away."""
    told = json.loads(path.read_bytes())
    edit(told)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")


def summary_of_another_model(run: Run) -> tuple[int | None, str | None]:
    edit_json(run.path / "summary.json", lambda told: told.update(aggregate_sha256="00" * 32))
    return None, None


def summary_pays_more(run: Run) -> tuple[int | None, str | None]:
    def edit(told: dict) -> None:  # type: ignore[type-arg]
        first = next(iter(told["rewards"]["by_peer"]))
        told["rewards"]["by_peer"][first] += "0"

    edit_json(run.path / "summary.json", edit)
    return None, None


def summary_saves_energy(run: Run) -> tuple[int | None, str | None]:
    edit_json(run.path / "summary.json", lambda told: told["emissions"].update(energy_wh=0.0))
    return None, None


def first_meter(told: dict) -> dict:  # type: ignore[type-arg]
    return next(iter(told["privacy"]["by_peer"].values()))


def summary_opened_fewer_numbers(run: Run) -> tuple[int | None, str | None]:
    edit_json(run.path / "summary.json", lambda told: first_meter(told).update(numbers_opened=0))
    return None, None


def summary_hides_among_more(run: Run) -> tuple[int | None, str | None]:
    edit_json(run.path / "summary.json", lambda told: first_meter(told).update(hidden_among=50))
    return None, None


def summary_promises_an_epsilon(run: Run) -> tuple[int | None, str | None]:
    edit_json(run.path / "summary.json", lambda told: first_meter(told).update(epsilon=0.5, delta=1e-5))
    return None, None


def summary_fears_fewer_colluders(run: Run) -> tuple[int | None, str | None]:
    edit_json(run.path / "summary.json", lambda told: told["privacy"].update(colluders=0))
    return None, None


def summary_forgets_a_peers_meter(run: Run) -> tuple[int | None, str | None]:
    edit_json(run.path / "summary.json", lambda told: told["privacy"]["by_peer"].popitem())
    return None, None


def summary_without_its_meter(run: Run) -> tuple[int | None, str | None]:
    edit_json(run.path / "summary.json", lambda told: told.update(privacy=None))
    return None, None


def summary_says_somebody_was_away(run: Run) -> tuple[int | None, str | None]:
    line = {"round": ROUND, "peer": "peer-03", "address": str(to_checksum_address(run.account("peer-03").address))}
    edit_json(run.path / "summary.json", lambda told: told.update(missing=[line]))
    return None, None


def summary_blames_somebody(run: Run) -> tuple[int | None, str | None]:
    line = {"peer": "peer-03", "by": ["peer-01"], "round": ROUND, "sentence": "it lies", "evidence": "", "count": 1}
    edit_json(run.path / "summary.json", lambda told: told.update(faults=[{**line, "proof": "word"}]))
    return None, None


def summary_of_a_larger_promise(run: Run) -> tuple[int | None, str | None]:
    edit_json(run.path / "summary.json", lambda told: told.update(smallest_honest_sum=5))
    return None, None


def summary_of_other_settings(run: Run) -> tuple[int | None, str | None]:
    edit_json(run.path / "summary.json", lambda told: told.update(seed=77))
    return None, None


def model_retrained(run: Run) -> tuple[int | None, str | None]:
    path = run.path / "model.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    tensors[name] = tensors[name] * 1.001
    save_file(tensors, path)
    return None, None


def settings_changed(run: Run) -> tuple[int | None, str | None]:
    path = run.path / "federation.toml"
    path.write_text(path.read_text().replace("momentum = 0.9", "momentum = 0.8"))
    return None, None


def deployment_points_elsewhere(run: Run) -> tuple[int | None, str | None]:
    path = run.path / "deployment.json"
    told = json.loads(path.read_text())
    places = told["contracts"]
    places["RoundLedger"]["address"] = "0x" + "12" * 20
    path.write_text(json.dumps(told))
    return None, None


def host_record_halved(run: Run) -> tuple[int | None, str | None]:
    path = run.path / "host.jsonl"
    told = json.loads(path.read_text())
    told["host"]["cpu_dyn_uj"] //= 2
    path.write_text(json.dumps(told, separators=(",", ":")) + "\n")
    return None, None


CASES: dict[Callable[[Run], tuple[int | None, str | None]], set[str]] = {
    masked_vector_flipped: {"store-misnamed"},
    masked_vector_deleted: {"vector-missing"},
    masked_vector_swapped_for_anothers: {"store-misnamed"},
    transcript_flipped: {"transcript-missing"},
    session_flipped: {"artefact-missing"},
    sum_flipped: {"artefact-missing"},
    aggregate_flipped: {"store-misnamed"},
    direction_flipped: {"direction-missing"},
    emission_record_flipped: {"store-misnamed"},
    emission_record_deleted: {"emission-missing"},
    settlement_deleted: {"settlement-missing"},
    foreign_file: {"store-foreign"},
    garbage_under_its_right_name: {"store-undecodable"},
    bytes_of_no_known_length: {"store-undecodable"},
    journal_line_edited: {"journal-chain"},
    journal_line_dropped: {"journal-chain"},
    journal_lines_swapped: {"journal-chain"},
    journal_rechained_without_its_key: {"journal-seal"},
    journal_end_cut_off: {"journal-end"},
    journal_cut_back_to_a_seal_made_the_end: {"unjournalled"},
    journal_undecodable_line: {"journal-line"},
    journal_deleted: {"journal-missing"},
    journals_exchanged: {"journal-peer"},
    insider_denies_its_acknowledgement: {"unjournalled"},
    insider_signed_twice: {"equivocation"},
    insider_claims_another_model: {"journal-closed"},
    insider_claims_a_round_that_never_was: {"transcript-missing"},
    chain_line_edited: {"chain-archive"},
    chain_record_taken_out: {"unrecorded", "chain-archive"},
    chain_receipt_turned: {"chain-receipt", "chain-archive"},
    chain_event_changed: {"chain-events", "chain-archive"},
    chain_raw_transaction_replaced: {"record", "chain-archive"},
    chain_by_an_outsider: {"chain-rule", "unrecorded"},
    chain_claims_taken_out: {"summary", "chain-archive"},
    chain_registration_taken_out: {"chain-archive", "journal-peer"},
    summary_of_another_model: {"summary"},
    summary_pays_more: {"summary"},
    summary_saves_energy: {"summary"},
    summary_opened_fewer_numbers: {"summary"},
    summary_hides_among_more: {"summary"},
    summary_promises_an_epsilon: {"summary"},
    summary_fears_fewer_colluders: {"summary"},
    summary_forgets_a_peers_meter: {"summary"},
    summary_without_its_meter: {"summary"},
    summary_says_somebody_was_away: {"summary"},
    summary_blames_somebody: {"summary"},
    summary_of_a_larger_promise: {"summary"},
    summary_of_other_settings: {"summary"},
    model_retrained: {"model"},
    settings_changed: {"terms"},
    deployment_points_elsewhere: {"deployment"},
    host_record_halved: {"emission-host"},
}


def test_an_untouched_run_has_no_findings(run: Run) -> None:
    report = audit(run.path)
    assert report.findings == ()
    assert [(c.sum, c.direction, c.numbers) for c in report.rounds] == [(Check.PASSED,) * 3] * 3
    assert report.counts["masked vectors"] == 15
    assert "Audit clean" in report.in_words()
    assert json.loads(report.to_json())["ok"] is True


@pytest.mark.parametrize(("tamper", "codes"), CASES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_tampering_is_found_and_blamed(
    run: Run, tamper: Callable[[Run], tuple[int | None, str | None]], codes: set[str]
) -> None:
    round_, name = tamper(run)
    peer = run.account(name).address if name else None
    report = audit(run.path)
    assert codes <= {finding.code for finding in report.findings}, report.in_words()
    blamed = [f for f in report.findings if f.code in codes]
    if round_ is not None:
        assert round_ in {f.round for f in blamed}, report.in_words()
    if peer is not None:
        assert "0x" + peer.hex() in {str(f.peer).lower() for f in blamed}, report.in_words()
    assert f"{len(report.findings)} findings" in report.in_words()


def test_pruned_vectors_are_said_and_never_passed(run: Run) -> None:
    path, _ = run.vector()
    path.unlink()
    (run.path / "pruned.json").write_text(json.dumps({"schema": 1, "artefacts": [path.name]}))
    report = audit(run.path)
    assert report.findings == ()
    check = next(c for c in report.rounds if c.round == ROUND)
    assert (check.sum, check.numbers) == (Check.PRUNED, Check.PRUNED)
    assert any("pruned" in note for note in report.notes)
    assert "Pruned, and so not checked" in report.in_words()


def test_explanations_add_up_to_what_was_paid(run: Run) -> None:
    report = audit(run.path)
    for name in NAMES:
        words = report.explain(name)
        due = report.judged.accounts.due.get(run.account(name).address, 0)
        assert words.count("round ") >= 3
        assert f"In all {amount(str(due))} PEER" in words
