"""What people and other machines write into files that a peer starts from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from unittest.mock import patch

import msgspec
import numpy as np

from fuzz.builder import build, tree
from fuzz.draw import Draw, edited
from fuzz.place import place
from fuzz.target import target
from peerage import config_toml, keys
from peerage.config import Federation
from peerage.effects import PrivateState
from peerage.emissions.host import HostProbe, probe_from_json
from peerage.launch.node_file import read_node_file
from peerage.learning import partitions
from peerage.metrics import read_metrics
from peerage.private_state import load_state, save_state
from peerage_crypto import identity
from peerage_crypto.errors import InputError
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.audit.journal import Signatures, check_ends, check_journalled, read_journal
from peerage_ledger.contracts import NAMES
from peerage_ledger.deployment import Deployment
from peerage_ledger.devnets.evm_log import RawLog
from peerage_ledger.outbox import OutboxFile, Refused, Reopened, Settled, Signed, Voided, Wanted

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = [bytes([n * 3, n, 5, n * 11 % 256, 1]) for n in range(12)]


def placed(name: str, data: bytes) -> Path:
    (place() / name).write_bytes(data)
    return place() / name


RECURSING = 64 << 20  # tomllib is Python: a frame for each bracket, up to the recursion limit


@target(
    "settings.federation",
    allowed=(InputError,),
    seeds=lambda: [config_toml.to_toml(Federation()).encode()],
    memory=RECURSING,
)
def federation(data: bytes) -> None:
    found = config_toml.load_federation(placed("federation.toml", data))
    again = config_toml.parse_federation(config_toml.to_toml(found), where="again")
    assert again == found
    config_toml.federation_hash(found)


@target("settings.federation-spoilt", allowed=(InputError,), seeds=lambda: SHAPES)
def federation_spoilt(data: bytes) -> None:
    tables = edited(tree(Federation()) | {"regions": [{"name": "a", "peers": ["peer-01"]}]}, Draw(data), lambda _: [[]])
    if not isinstance(tables, dict):
        return
    found = config_toml.federation_of(tables, where="it")
    assert config_toml.parse_federation(config_toml.to_toml(found), where="again") == found


@target(
    "settings.node",
    allowed=(InputError,),
    seeds=lambda: [b'name = "a"\nindex = 0\nrpc = "http://x"\n'],
    memory=RECURSING,
)
def node(data: bytes) -> None:
    read_node_file(placed("node.toml", data))


SPECS = ("iid", "dirichlet:0.5", "shards:2", "quantity:0.5")


@target("settings.partition", allowed=(InputError, UnicodeDecodeError), seeds=lambda: [s.encode() for s in SPECS])
def partition(data: bytes) -> None:
    spec = data.decode()
    partitions.parse(spec)
    parts = partitions.partition(np.arange(40) % 3, spec, 4, 1)
    assert sorted(np.concatenate(parts).tolist()) == list(range(40))


PLACES = {name: bytes([number]) * 20 for number, name in enumerate(NAMES)}
DEPLOYMENT = Deployment(31337, "http://x", bytes(32), PLACES, 0, 1, 2, dict.fromkeys(NAMES, bytes(32)))


def deployment_file() -> bytes:
    return DEPLOYMENT.to_json()


@target("settings.deployment", allowed=(InputError,), seeds=lambda: [deployment_file()])
def deployment(data: bytes) -> None:
    found = Deployment.from_json(data, "it")
    assert Deployment.from_json(found.to_json(), "again") == found


@target("settings.deployment-spoilt", allowed=(InputError,), seeds=lambda: SHAPES)
def deployment_spoilt(data: bytes) -> None:
    deployment(msgspec.json.encode(edited(json.loads(deployment_file()), Draw(data))))


def keystore_file() -> bytes:
    return json.dumps(identity.encrypt_keystore(b"\1" * 32, "p", rand=bytes(64), n=2)).encode()


@target("settings.keystore", allowed=(InputError,), seeds=lambda: [keystore_file()])
def keystore(data: bytes) -> None:
    """A keystore names its own cost, up to 1 GiB and seconds: the decoder is the same with less."""
    with patch.multiple(identity, MAX_SCRYPT_MEMORY=1 << 18, MAX_PBKDF2_ROUNDS=100):
        keys.load_account(placed("key.json", data), "p")


@target("settings.keystore-spoilt", allowed=(InputError,), seeds=lambda: SHAPES)
def keystore_spoilt(data: bytes) -> None:
    keystore(msgspec.json.encode(edited(json.loads(keystore_file()), Draw(data))))


def probe() -> HostProbe:
    return msgspec.structs.replace(build(HostProbe, Draw(b"probe" * 40)), schema=1)


@target("settings.host-probe", allowed=(InputError,), seeds=lambda: [probe().to_json().encode()])
def host_probe(data: bytes) -> None:
    assert probe_from_json(data).schema == 1


def state_file() -> bytes:
    two = np.ones(2, np.float32)
    save_state(
        place() / "seed.state",
        PrivateState(
            version=1,
            status="free",
            sid=bytes(32),
            head=bytes(32),
            head_transcript=bytes(32),
            head_round=0,
            local=two,
            base=two,
            metrics=(1, 2, 3),
            acked=b"",
            been_in=(),
        ),
    )
    return (place() / "seed.state").read_bytes()


@target("own.state", allowed=(InputError,), seeds=lambda: [state_file()])
def state(data: bytes) -> None:
    found = load_state(placed("state", data), 2)
    assert found is not None
    save_state(place() / "state.again", found)
    assert load_state(place() / "state.again", 2) is not None


def lines(*values: object) -> bytes:
    return b"".join(msgspec.json.encode(v) + b"\n" for v in values)


def outbox_file() -> bytes:
    return b'{"type":"header","schema":1,"chain_id":1,"account":"%s"}\n' % (b"61" * 20) + lines(
        Wanted("a", "round", {}), Signed("a", 0, "00"), Voided("a", "x"), Signed("a", 1, "01"), Settled("a", "", 1, 1),
        Reopened("a"), Wanted("b", "round", {}), Refused("b", "y"),
    )  # fmt: skip


@target("own.outbox", allowed=(InputError,), seeds=lambda: [outbox_file()])
def outbox(data: bytes) -> None:
    file = OutboxFile(placed("outbox.jsonl", data), 1, b"a" * 20)
    try:
        box = file.outbox
        box.judge(1, {}), box.forgotten(0), box.doubted(), box.unseen(0), box.next_nonce(0)
    finally:
        file.close()


@target("own.devnet-log", allowed=(InputError,), seeds=lambda: [b'{"timestamp":1,"raw":"00","hash":"ab"}\n'])
def devnet_log(data: bytes) -> None:
    log = RawLog(placed("transactions.jsonl", data))
    log.close()
    for entry in log.replay():
        entry.payload()


@target("own.metrics", seeds=lambda: [b'{"x":1}\n'])
def metrics(data: bytes) -> None:
    read_metrics(placed("metrics.jsonl", data))


def journal_file() -> bytes:
    from peerage.journal import PeerJournal
    from peerage_crypto.identity import Account

    path = place() / "seed.journal"
    path.unlink(missing_ok=True)
    journal = PeerJournal(path, Account.from_secret(b"\1" * 32))
    journal.write("signed", 1, {"sid": "00" * 32, "digest": "11" * 32, "type": "Vote"})
    journal.write("signed", 1, {"sid": "00" * 32, "digest": "12" * 32, "type": "Abstention"})
    journal.seal(1, end=True)
    journal.close()
    return path.read_bytes()


@target("own.journal", seeds=lambda: [journal_file()])
def journal(data: bytes) -> None:
    """An auditor reads journals that others have written."""
    book, found = Notebook(), Signatures()
    read = read_journal("x", data, book)
    found.add_journal(read, book)
    found.check(book)
    check_journalled([read], found, book)
    check_ends([read], frozenset(), finished=True, book=book)


@target("own.journal-spoilt", seeds=lambda: SHAPES)
def journal_spoilt(data: bytes) -> None:
    draw = Draw(data)
    entries = edited([json.loads(line) for line in journal_file().splitlines()], draw)
    if isinstance(entries, list):
        journal(b"".join(msgspec.json.encode(e) + b"\n" for e in entries))
