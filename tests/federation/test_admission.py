"""Who may join, and what becomes of a stake: invitations, leaving, a lost key, with the commands that people use."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from peerage import keys
from peerage_crypto.errors import InputError
from peerage_crypto.identity import Account
from peerage_ledger import events
from peerage_ledger.blueprint import DeployTerms
from peerage_ledger.chain import ChainLedger
from peerage_ledger.deploy import deploy
from peerage_ledger.devnets import devnet, engines
from peerage_ledger.invitations import Invitation, from_json, invite, to_json
from peerage_ledger.rpc import Rpc

pytestmark = pytest.mark.chain
ETHER = 10**18
NAMES = ("ada", "bob", "cem", "dora", "vault-key")
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PEERAGE_")} | {"PEERAGE_PASSWORD": "secret"}


def engine() -> str:
    """A real engine where there is one: what is tested here is what people run."""
    found = next((e for e in (engines.Engine.ANVIL, engines.Engine.GANACHE) if engines.find(e)), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("neither Anvil nor Ganache is installed: run scripts/test once with Node.js")
    return (found or engines.Engine.EMBEDDED).value


@pytest.fixture
def town(tmp_path):
    """Three founders, dora who is not, and a key that is kept elsewhere; stakes come free after a second."""
    secrets = tmp_path / "secrets"
    people = {
        name: keys.create_keys(secrets, name, "secret", scrypt_n=keys.SCRYPT_RANDOM_PASSWORD).account for name in NAMES
    }
    funds = {account.address: 100 * ETHER for account in people.values()}
    chain = devnet.start(engine(), tmp_path / "chain", accounts=funds)
    terms = DeployTerms(
        pool=1000,
        unbonding_seconds=1,
        answer_seconds=1,
        founders=tuple(people[name].address for name in ("ada", "bob", "cem")),
    )
    place, _ = deploy(
        chain.rpc_url, people["ada"], b"\1" * 32, terms, peers={a.address: ETHER for a in people.values()}
    )
    place.write(tmp_path / "deployment.json")
    opened = []

    def ledger(name):
        opened.append(ChainLedger(place, people[name], tmp_path / f"{name}.outbox.jsonl"))
        return opened[-1]

    yield SimpleNamespace(folder=tmp_path, secrets=secrets, people=people, place=place, ledger=ledger, chain=chain)
    for one in opened:
        one.close()
    chain.stop()


def founded(town):
    ledgers = [town.ledger(name) for name in ("ada", "bob", "cem")]
    for i, one in enumerate(ledgers):
        one.register(bytes([i + 1]) * 32, f"tcp://127.0.0.1:{5000 + i}", ETHER)
    assert all(one.settle(30) for one in ledgers)
    return ledgers


def peerage(town, *arguments, keystore=""):
    environment = dict(ENVIRONMENT)
    if keystore:
        environment["PEERAGE_KEYSTORE"] = str(keys.account_file(town.secrets, keystore))
    return subprocess.run(
        [sys.executable, "-m", "peerage", *arguments],
        capture_output=True,
        text=True,
        cwd=town.folder,
        env=environment,
        timeout=60,
        check=False,
    )


def well(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_quorum_invites_a_fourth_peer(town):
    founded(town)
    dora = "0x" + town.people["dora"].address.hex()
    well(peerage(town, "invite", "new", dora, keystore="ada"))
    well(peerage(town, "invite", "sign", "invitation.json", keystore="bob"))
    well(peerage(town, "invite", "sign", "invitation.json", keystore="bob"))  # again: nothing changes
    told = peerage(town, "invite", "show", "invitation.json", "--json")
    shown = json.loads(told.stdout)
    assert (shown["active_signatures"], shown["needed"], shown["admitted"]) == (2, 3, False)
    short = from_json((town.folder / "invitation.json").read_bytes(), "it", town.place)

    ledger = town.ledger("dora")
    ledger.register(b"\x09" * 32, "tcp://127.0.0.1:5009", ETHER)
    assert ledger.wait_for(lambda x: any(isinstance(e, events.Delayed) for e in x._events), 20)
    assert any("NotAdmitted" in e.reason for e in ledger.poll() if isinstance(e, events.Delayed))
    ledger.close()
    Path(town.folder / "dora.outbox.jsonl").unlink()
    ledger = town.ledger("dora")
    ledger.register(b"\x09" * 32, "tcp://127.0.0.1:5009", ETHER, short.blobs())
    assert not ledger.settle(2)
    ledger.close()
    Path(town.folder / "dora.outbox.jsonl").unlink()

    well(peerage(town, "invite", "sign", "invitation.json", keystore="cem"))
    assert "the register takes it" in well(peerage(town, "invite", "show", "invitation.json"))
    whole = from_json((town.folder / "invitation.json").read_bytes(), "it", town.place)
    ledger = town.ledger("dora")
    ledger.register(b"\x09" * 32, "tcp://127.0.0.1:5009", ETHER, whole.blobs())
    assert ledger.settle(30)
    assert ledger.wait_for(lambda x: len([r for r in x.registrations() if r.active]) == 4, 20)


def test_a_founder_leaves_and_takes_its_stake(town):
    founded(town)
    said = well(peerage(town, "stake", "leave", keystore="bob"))
    assert "comes free at Unix second" in said
    again = peerage(town, "stake", "leave", keystore="bob")
    assert again.returncode == 2
    assert "NotAPeer" in again.stderr
    time.sleep(2)
    assert "withdrawn" in well(peerage(town, "stake", "withdraw", keystore="bob"))
    nothing = peerage(town, "stake", "withdraw", keystore="bob")
    assert nothing.returncode == 2
    assert "NothingToWithdraw" in nothing.stderr


def test_a_lost_key_is_recovered_from_the_key_kept_elsewhere(town):
    (ada, *_) = founded(town)
    bob, elsewhere = ("0x" + town.people[name].address.hex() for name in ("bob", "vault-key"))
    before = balance(town, "vault-key")
    well(peerage(town, "stake", "recovery", elsewhere, keystore="bob"))
    stranger = peerage(town, "stake", "recover", bob, keystore="cem")
    assert stranger.returncode == 2
    assert "NotRecovery" in stranger.stderr
    assert f"withdraw --peer {bob}" in well(peerage(town, "stake", "recover", bob, keystore="vault-key"))
    assert ada.wait_for(lambda x: len([r for r in x.registrations() if r.active]) == 2, 20)
    time.sleep(2)
    thief = peerage(town, "stake", "withdraw", keystore="bob")
    assert thief.returncode == 2
    assert "AccountBarred" in thief.stderr
    well(peerage(town, "stake", "withdraw", "--peer", bob, keystore="vault-key"))
    assert balance(town, "vault-key") == before + ETHER


def balance(town, name):
    from peerage_ledger.contracts import contract

    data = contract("PeerageToken").call("balanceOf", town.people[name].address)
    call = {"to": "0x" + town.place.token.hex(), "data": "0x" + data.hex()}
    return int(Rpc(town.chain.rpc_url).call("eth_call", call, "latest"), 16)


def test_a_node_that_would_not_be_let_in_is_told_before_it_waits(town):
    """Its whole machine set up, no invitation: one sentence and exit 2 instead of waiting for ever."""
    (town.folder / "federation.toml").write_text('peers = 3\nname = "town"\n')
    (town.folder / "node.toml").write_text('name = "dora"\n')
    done = peerage(town, "node", "node.toml")
    assert done.returncode == 2, done.stderr
    assert "by invitation only, and it needs one" in done.stderr
    founded(town)
    well(peerage(town, "invite", "new", "0x" + town.people["vault-key"].address.hex(), keystore="ada"))
    (town.folder / "node.toml").write_text('name = "dora"\ninvitation = "invitation.json"\n')
    done = peerage(town, "node", "node.toml")
    assert done.returncode == 2
    assert "not this peer's account" in done.stderr


ME, OTHER = Account.from_secret(b"\5" * 32), Account.from_secret(b"\6" * 32)
EMPTY = Invitation(1, 31337, b"\1" * 20, b"\2" * 20, b"\3" * 20, 2**40)


def test_an_invitation_comes_back_from_its_file_with_signers_in_order():
    signed = EMPTY.signed_by(ME).signed_by(OTHER).signed_by(ME)
    assert list(signed.signers()) == sorted([ME.address, OTHER.address])
    assert from_json(to_json(signed), "it") == signed
    assert signed.blobs()[0] == (2**40).to_bytes(32, "big")
    assert len(signed.blobs()) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("account"),
        lambda d: d.update(account="0x12"),
        lambda d: d.update(account=5),
        lambda d: d.update(schema=2),
        lambda d: d.update(deadline=-1),
        lambda d: d.update(signatures=["0x00"]),
        lambda d: d.update(signatures=["0x" + "00" * 65]),
        lambda d: d.update(signatures="0x"),
        lambda d: d.update(more=1),
    ],
)
def test_what_is_no_invitation_is_said_in_one_sentence(change):
    document = json.loads(to_json(EMPTY.signed_by(ME)))
    change(document)
    with pytest.raises(InputError, match="it"):
        from_json(json.dumps(document).encode(), "it")


def test_an_invitation_to_another_federation_is_refused():
    place = SimpleNamespace(chain_id=31337, places={"MemberAdmission": b"\1" * 20}, registry=b"\7" * 20)
    with pytest.raises(InputError, match="another federation"):
        from_json(to_json(EMPTY), "it", place)
    with pytest.raises(InputError, match="open to everybody"):
        invite(SimpleNamespace(places={}), b"\3" * 20, 5)
