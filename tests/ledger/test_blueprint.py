"""A deployment before it happens: every contract knows where the others will stand."""

from dataclasses import replace

import pytest

from peerage_crypto.errors import ChainError, InputError
from peerage_ledger import deploy as deploying
from peerage_ledger.blueprint import NOBODY, DeployTerms, created_address, plan
from peerage_ledger.contracts import NAMES, OPTIONAL, ORDER, contract
from peerage_ledger.rpc import Rpc

DEPLOYER, FEDERATION = b"\x0d" * 20, b"\x01" * 32


def test_contracts_stand_at_consecutive_nonces() -> None:
    planned = plan(DEPLOYER, 7, FEDERATION, DeployTerms())
    assert planned.names() == NAMES
    assert [planned.at[name] for name in NAMES] == [created_address(DEPLOYER, 7 + i) for i in range(len(NAMES))]
    assert set(planned.at) == set(ORDER)
    assert len(set(planned.at.values())) == len(ORDER)


def test_an_address_is_what_the_chain_makes_of_sender_and_nonce() -> None:
    sender = bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")  # of the main chain, with its first contracts
    assert created_address(sender, 0).hex() == "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert created_address(sender, 1).hex() == "343c43a37d37dff08ae8c4a11544c718abb4fcf8"


def test_founders_bring_the_admission_and_it_comes_first() -> None:
    planned = plan(DEPLOYER, 0, FEDERATION, DeployTerms(founders=(b"\x0f" * 20,)))
    assert planned.names() == (*OPTIONAL, *NAMES)
    assert planned.at["MemberAdmission"] == created_address(DEPLOYER, 0)
    assert planned.arguments("MemberAdmission") == (planned.at["PeerRegistry"], [b"\x0f" * 20])
    assert planned.arguments("PeerRegistry")[3] == planned.at["MemberAdmission"]
    assert plan(DEPLOYER, 0, FEDERATION, DeployTerms()).arguments("PeerRegistry")[3] == NOBODY


@pytest.mark.parametrize("name", [*NAMES, *OPTIONAL])
def test_every_constructor_takes_what_the_table_gives(name: str) -> None:
    planned = plan(DEPLOYER, 0, FEDERATION, DeployTerms(founders=(b"\x0f" * 20,)))
    made = contract(name)
    given = made.creation_arguments(made.creation(*planned.arguments(name)))
    assert len(given) == len(planned.arguments(name))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"unbonding_seconds": 599}, "raise the unbonding time"),
        ({"activation_delay": 3001}, "raise the unbonding time"),
        ({"pool": 10**27 + 1}, "lower it"),
        ({"founders": (b"a" * 20, b"a" * 20)}, "list each account once"),
        ({"founders": (NOBODY,)}, "list each account once"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(edit: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(DeployTerms(), **edit)


def test_a_stake_may_come_free_the_moment_the_last_dispute_ends() -> None:
    assert DeployTerms(unbonding_seconds=1000, activation_delay=400, answer_seconds=600)


@pytest.mark.chain
def test_a_closed_federation_is_wired_and_let_only_founders_in(start_federation) -> None:
    federation = start_federation("embedded", peers=1)
    rpc = Rpc(federation.devnet.rpc_url)
    founder = federation.peers[0].address
    made, _ = deploying.deploy(rpc.url, federation.operator, FEDERATION, DeployTerms(founders=(founder,)))
    deploying.verify_code(made, rpc)
    admission = contract("MemberAdmission")
    place = "0x" + made.places["MemberAdmission"].hex()

    def admitted(who: bytes) -> bool:
        data = admission.call("admits", who, [])
        return bool(int(rpc.call("eth_call", {"to": place, "data": "0x" + data.hex()}, "latest"), 16))

    assert admitted(founder)
    assert not admitted(federation.operator.address)
    elsewhere = replace(made, places={**made.places, "MemberAdmission": federation.deployment.registry})
    with pytest.raises(InputError, match="not this version's MemberAdmission"):
        deploying.verify_code(elsewhere, rpc)
    without = replace(made, places={name: at for name, at in made.places.items() if name != "MemberAdmission"})
    with pytest.raises(InputError, match="belongs to another admission"):
        deploying.verify_code(without, rpc)


@pytest.mark.chain
def test_a_transaction_between_two_contracts_is_said(start_federation, monkeypatch) -> None:
    """The addresses would be others than those that the contracts were told."""
    federation = start_federation("embedded", peers=1)
    create = deploying._create

    def interrupted(deployer, planned, name):  # type: ignore[no-untyped-def] # stands for _create
        create(deployer, planned, name)
        if name == "PeerageToken":
            deployer.send_all([("a transfer", federation.peers[0].address, b"")])

    monkeypatch.setattr(deploying, "_create", interrupted)
    with pytest.raises(ChainError, match="the others expect it at"):
        deploying.deploy(federation.devnet.rpc_url, federation.operator, FEDERATION)
