"""The chain's record: written during a run on any engine, read back without it; every change is seen."""

import json

import pytest

from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_crypto.identity import Account
from peerage_ledger import events, rawtx
from peerage_ledger.archive.export import ChainExport
from peerage_ledger.archive.reader import parse, read_export
from peerage_ledger.rpc import Rpc


def reseal(lines):
    """What a clever forger does: every link made anew."""
    out, prev = [], "00" * 32
    for line in lines:
        line["prev"] = prev
        raw = json.dumps(line, separators=(",", ":")).encode()
        prev = sha256(raw).hex()
        out.append(raw + b"\n")
    return b"".join(out)


@pytest.mark.chain
def test_a_run_is_read_back_with_every_header_proved(engine, start_federation, story):
    federation = start_federation(engine, peers=3)
    path = federation.folder / "chain" / "chain.jsonl"
    export = ChainExport(federation.deployment, path)
    ledgers = federation.ledgers()
    rounds = story.lineage(3)
    for made in rounds[:2]:
        ledgers[0].submit_round(made)
    assert ledgers[0].settle(10)
    export.finish()
    again = ChainExport(federation.deployment, path)  # the run goes on
    ledgers[1].submit_round(rounds[2])
    assert ledgers[1].settle(10)
    again.finish()
    federation.close()
    archive = read_export(path)
    assert archive.problems == ()
    assert archive.blocks_proved == archive.blocks
    assert archive.deployment == federation.deployment
    assert [h.event.record for h in archive.events() if isinstance(h.event, events.RoundRecorded)] == rounds
    senders = [t.signed.sender for t in archive.transactions if t.function == "registerWithPermit" and t.succeeded]
    assert sorted(senders) == sorted(p.address for p in federation.peers)
    assert archive.gas_used == sum(t.gas_used for t in archive.transactions) > 4_000_000


@pytest.mark.chain
def test_a_rewind_is_written_and_taken_back(start_federation, story):
    from peerage_ledger.devnets import engines

    if engines.find_anvil() is None:
        pytest.skip("anvil is not installed: run scripts/test once with Node.js")
    federation = start_federation("anvil", peers=2)
    export = ChainExport(federation.deployment, federation.folder / "c.jsonl")
    ledgers = federation.ledgers()
    rpc = Rpc(federation.devnet.rpc_url)
    snapshot = rpc.call("evm_snapshot")
    for made in story.lineage(2):
        ledgers[0].submit_round(made)
    assert ledgers[0].settle(10)
    export._closing.set()
    export._thread.join()
    export._catch_up()
    export._closing.clear()
    rpc.call("evm_revert", snapshot)
    assert ledgers[0].wait_for(lambda x: x.pending() > 0 or len(x.records()) < 2, 5)
    assert ledgers[0].settle(10)
    export.finish()
    archive = read_export(federation.folder / "c.jsonl")
    assert (archive.rewinds, archive.problems) == (1, ())
    assert len([h for h in archive.events() if isinstance(h.event, events.RoundRecorded)]) == 2


@pytest.fixture(scope="module")
def record_lines(tmp_path_factory):
    """A small record from the embedded EVM: a deployment and a token transfer."""
    from peerage_ledger.blueprint import DeployTerms
    from peerage_ledger.deploy import deploy
    from peerage_ledger.devnets import devnet

    me = Account.from_secret(b"\x07" * 32)
    folder = tmp_path_factory.mktemp("record")
    with devnet.start("embedded", folder / "chain", accounts={me.address: 10**20}) as chain:
        deployment, _ = deploy(chain.rpc_url, me, b"\1" * 32, DeployTerms(pool=7), peers={b"\2" * 20: 5})
        ChainExport(deployment, folder / "c.jsonl").finish()
    return [json.loads(line) for line in (folder / "c.jsonl").read_bytes().splitlines()]


def copy(lines):
    return json.loads(json.dumps(lines))


def first(lines, kind, at=0):
    return [line for line in lines if line["kind"] == kind][at]


def other_signature(lines):
    line = first(lines, "transaction")
    was = rawtx.decode(bytes.fromhex(line["raw"]))
    thief = Account.from_secret(b"\x09" * 32)
    raw = rawtx.sign(
        thief, chain_id=31337, nonce=was.nonce, to=was.to, data=was.data, gas=was.gas, max_fee=1, priority_fee=1
    )
    line.update(raw=raw.hex(), hash=rawtx.transaction_hash(raw).hex())
    first(lines, "receipt")["transaction"] = line["hash"]


TAMPERINGS = {
    "a raw byte": (
        lambda ls: first(ls, "transaction").update(raw=first(ls, "transaction")["raw"][:-2] + "00"),
        "no signed transaction|does not hash",
    ),
    "another sender": (other_signature, "other transactions than its header"),
    "gas": (lambda ls: first(ls, "receipt").update(cumulative_gas=1), "other receipts"),
    "status": (lambda ls: first(ls, "receipt").update(status=0), "other receipts"),
    "an event": (lambda ls: first(ls, "receipt")["logs"].clear(), "other receipts"),
    "a receipt gone": (lambda ls: ls.remove(first(ls, "receipt")), "has no receipt"),
    "a transaction gone": (lambda ls: ls.remove(first(ls, "transaction", 2)), "counts other lines|other transactions"),
    "a block gone": (lambda ls: ls.remove(first(ls, "block", 3)), "does not follow"),
    "a header": (
        lambda ls: first(ls, "block")["header"].update(stateRoot="0x" + "11" * 32),
        "does not hash to its name",
    ),
    "a time": (lambda ls: first(ls, "block").update(timestamp=5), "another time"),
    "the code": (lambda ls: first(ls, "code").update(code="6000"), "is not this version's"),
    "the address of code": (lambda ls: first(ls, "code").update(address="11" * 20), "is not where the deployment"),
    "no deployment": (lambda ls: ls.remove(first(ls, "deployment")), "no deployment"),
    "no end": (lambda ls: ls.pop(), "no sealed end"),
    "behind the end": (lambda ls: ls.append(copy(ls[1])), "behind the sealed end"),
    "an unknown field": (lambda ls: first(ls, "block").update(note="x"), "cannot be read"),
    "another schema": (lambda ls: first(ls, "block").update(schema=2), "schema 2"),
}


@pytest.mark.chain
@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_change_is_seen_even_when_every_link_is_made_anew(record_lines, name):
    assert parse(reseal(copy(record_lines))).problems == ()
    change, sentence = TAMPERINGS[name]
    lines = copy(record_lines)
    change(lines)
    problems = parse(reseal(lines)).problems
    assert any(__import__("re").search(sentence, p.sentence) for p in problems), problems


@pytest.mark.chain
def test_any_flipped_byte_breaks_the_links(record_lines):
    raw = bytearray(reseal(copy(record_lines)))
    for at in range(0, len(raw), len(raw) // 60):
        changed = bytearray(raw)
        changed[at] ^= 1
        assert parse(bytes(changed)).problems


def test_a_missing_record_is_said(tmp_path):
    with pytest.raises(InputError, match="is this a run directory"):
        read_export(tmp_path / "chain.jsonl")
    assert parse(b"").problems
