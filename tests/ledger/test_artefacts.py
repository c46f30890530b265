"""The compiled contracts that we ship are those of the sources, and have the shape that the ledger reads."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from peerage_ledger.records import ROUND_TUPLE

ROOT = Path(__file__).resolve().parents[2]
ABI = ROOT / "ledger" / "peerage_ledger" / "abi"
SCRIPT = ROOT / "scripts" / "compile_contracts"
NAMES = ("PeerRegistry", "PeerageToken", "RewardVault", "RoundLedger")


def artefact(name):
    return json.loads((ABI / f"{name}.json").read_text())


def entries(name, kind):
    return {entry["name"]: entry for entry in artefact(name)["abi"] if entry["type"] == kind}


def signature(entry):
    return f"{entry['name']}({','.join(flat(one) for one in entry['inputs'])})"


def flat(one):
    if not one["type"].startswith("tuple"):
        return one["type"]
    return f"({','.join(flat(part) for part in one['components'])}){one['type'].removeprefix('tuple')}"


def test_there_is_one_artefact_per_contract():
    assert sorted(path.stem for path in ABI.glob("*.json")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_artefact_has_its_schema(name):
    document = artefact(name)
    assert set(document) == {
        "schema",
        "contractName",
        "abi",
        "bytecode",
        "deployedBytecode",
        "immutableReferences",
        "compiler",
        "sourceSha256",
    }
    assert document["schema"] == 1
    assert document["contractName"] == name
    for code in ("bytecode", "deployedBytecode"):
        assert re.fullmatch(r"0x(?:[0-9a-f]{2})+", document[code]), "unlinked or odd"
    runtime = bytes.fromhex(document["deployedBytecode"][2:])
    assert len(runtime) <= 24_576  # EIP-170
    for places in document["immutableReferences"].values():
        for place in places:
            assert set(place) == {"start", "length"}
            assert runtime[place["start"] : place["start"] + place["length"]] == bytes(place["length"])
    assert document["compiler"]["version"].startswith("0.8.30+")
    assert document["compiler"]["evmVersion"] == "shanghai"


@pytest.mark.parametrize("name", NAMES)
def test_the_sources_are_those_that_were_compiled(name):
    """Needs no compiler: a digest over sources, settings and pinned packages."""
    digest = subprocess.run([sys.executable, SCRIPT, "--digest"], check=True, capture_output=True, text=True).stdout
    assert artefact(name)["sourceSha256"] == digest.strip(), "run scripts/compile_contracts and commit"


@pytest.fixture
def compiler():
    missing = ""
    if shutil.which("node") is None:
        missing = "Node.js is not installed"
    elif not (ROOT / "contracts" / "node_modules" / "solc").is_dir():
        missing = "the compiler is not installed (run scripts/test once with Node.js)"
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{missing}, and CI must compile the contracts")
    if missing:
        pytest.skip(missing)


def check(script):
    return subprocess.run([sys.executable, script, "--check"], check=False, capture_output=True, text=True)


@pytest.mark.usefixtures("compiler")
def test_the_code_is_what_the_pinned_compiler_makes_of_the_sources():
    done = check(SCRIPT)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("compiler")
def test_the_check_sees_one_flipped_byte(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "contracts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    for part in ("src", "solc-wrapper", "node_modules", "foundry.toml", "package.json"):
        (tmp_path / "contracts" / part).symlink_to(ROOT / "contracts" / part)
    shutil.copytree(ABI, tmp_path / "ledger" / "peerage_ledger" / "abi")
    vault = tmp_path / "ledger" / "peerage_ledger" / "abi" / "RewardVault.json"
    vault.write_text(vault.read_text().replace('"bytecode": "0x6', '"bytecode": "0x7', 1))
    done = check(tmp_path / "scripts" / "compile_contracts")
    assert done.returncode == 1
    assert "RewardVault.json" in done.stderr
    assert "RoundLedger.json" not in done.stderr


def test_a_round_is_the_tuple_that_the_ledger_hashes():
    function = entries("RoundLedger", "function")["recordRound"]
    assert signature(function) == f"recordRound({ROUND_TUPLE})"
    event = entries("RoundLedger", "event")["RoundRecorded"]
    assert signature(event) == f"RoundRecorded(uint64,bytes32,address,{ROUND_TUPLE})"
    assert [one["indexed"] for one in event["inputs"]] == [True, True, True, False]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("PeerRegistry", "function", "register(bytes32,string,uint256)"),
        ("PeerRegistry", "event", "PeerRegistered(address,bytes32,string,uint256)"),
        ("PeerRegistry", "event", "EndpointChanged(address,string)"),
        ("PeerRegistry", "event", "TransportKeyRotated(address,bytes32)"),
        ("PeerRegistry", "event", "PeerLeft(address,uint64)"),
        ("PeerRegistry", "event", "StakeWithdrawn(address,uint256)"),
        ("RewardVault", "function", "publish(uint64,bytes32,uint256,bytes32,bytes[])"),
        ("RewardVault", "function", "claim(address,uint256,bytes32[])"),
        ("RewardVault", "function", "claimMany(address[],uint256[],bytes32[][])"),
        ("RewardVault", "event", "RootPublished(uint64,bytes32,uint256,bytes32)"),
        ("RewardVault", "event", "RewardClaimed(address,uint256,uint256)"),
    ],
)
def test_what_others_rely_on_keeps_its_signature(name, kind, expected):
    assert signature(entries(name, kind)[expected.split("(")[0]]) == expected


def test_the_lockfile_names_no_registry():
    lock = json.loads((ROOT / "contracts" / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/solc"]["version"] == "0.8.30"
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
