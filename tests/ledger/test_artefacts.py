"""The compiled contracts that we ship are those of the sources, and have the shape that the ledger reads."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from peerage_ledger.names import NAMES, OPTIONAL, PENDING
from peerage_ledger.records import ROUND_TUPLE

ROOT = Path(__file__).resolve().parents[2]
ABI = ROOT / "ledger" / "peerage_ledger" / "abi"
SCRIPT = ROOT / "scripts" / "compile_contracts"
ARTEFACTS = sorted((*NAMES, *OPTIONAL, *PENDING))


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
    assert sorted(path.stem for path in ABI.glob("*.json")) == ARTEFACTS


@pytest.mark.parametrize("name", ARTEFACTS)
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


@pytest.mark.parametrize("name", ARTEFACTS)
def test_the_sources_are_those_that_were_compiled(name):
    """Needs no compiler: a digest over the sources it imports, settings and pinned packages."""
    assert artefact(name)["sourceSha256"] == digests(SCRIPT)[name], "run scripts/compile_contracts and commit"


def digests(script):
    """What sourceSha256 must be, by contract."""
    told = subprocess.run([sys.executable, script, "--digest"], check=True, capture_output=True, text=True).stdout
    return {name: digest for digest, name in (line.split("  ") for line in told.splitlines())}


def workshop(folder, *, copied=()):
    """The script and what it reads in a folder of its own; `copied` parts of contracts/ can be changed there."""
    (folder / "scripts").mkdir()
    (folder / "contracts").mkdir()
    shutil.copy(SCRIPT, folder / "scripts")
    for part in ("src", "solc-wrapper", "node_modules", "foundry.toml", "package.json"):
        if part in copied:
            shutil.copytree(ROOT / "contracts" / part, folder / "contracts" / part)
        else:
            (folder / "contracts" / part).symlink_to(ROOT / "contracts" / part)
    shutil.copytree(ABI, folder / "ledger" / "peerage_ledger" / "abi")
    shutil.copy(ABI.parent / "names.py", folder / "ledger" / "peerage_ledger")
    return folder / "scripts" / "compile_contracts"


def test_a_change_makes_stale_what_imports_it_and_nothing_else(tmp_path):
    script = workshop(tmp_path, copied=("src",))
    before = digests(script)
    interface = tmp_path / "contracts" / "src" / "interfaces" / "IMemberAdmission.sol"
    interface.write_text(interface.read_text() + "// changed\n")
    after = digests(script)
    assert {name for name in before if before[name] != after[name]} == {"MemberAdmission"}
    interface = tmp_path / "contracts" / "src" / "interfaces" / "IPeerRegistry.sol"
    interface.write_text(interface.read_text() + "// changed\n")
    final = digests(script)
    assert {name for name in before if after[name] == final[name]} == {"DrawJudge", "PeerageToken"}


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


def check(script, *names):
    command = [sys.executable, script, "--check", *names]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("name", ARTEFACTS)
@pytest.mark.usefixtures("compiler")
def test_the_code_is_what_the_pinned_compiler_makes_of_the_sources(name):
    done = check(SCRIPT, name)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 artefacts match the sources\n"


@pytest.mark.usefixtures("compiler")
def test_the_check_sees_one_flipped_byte(tmp_path):
    script = workshop(tmp_path)
    vault = tmp_path / "ledger" / "peerage_ledger" / "abi" / "RewardVault.json"
    vault.write_text(vault.read_text().replace('"bytecode": "0x6', '"bytecode": "0x7', 1))
    done = check(script, "RewardVault", "RoundLedger")
    assert done.returncode == 1
    assert "RewardVault.json" in done.stderr
    assert "RoundLedger.json" not in done.stderr


@pytest.mark.usefixtures("compiler")
def test_what_forge_refuses_ends_a_step():
    """The launcher of the package ends with 0 whatever forge says; ours passes its status on."""
    contracts = ROOT / "contracts"
    for step in json.loads((contracts / "package.json").read_text())["scripts"].values():
        calls = [re.sub(r"^([A-Z_]+=\w+ )+", "", call) for call in step.split(" && ")]
        assert all(call.startswith("forge-wrapper/forge ") for call in calls)
    for arguments, status in ((["--version"], 0), (["no-such-command"], 2)):
        done = subprocess.run(["forge-wrapper/forge", *arguments], check=False, cwd=contracts, capture_output=True)
        assert done.returncode == status, done.stderr


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
        ("RewardVault", "function", "publish(uint64,bytes32,uint256,bytes32,bytes32[],bytes32[],bytes)"),
        ("RewardVault", "function", "claim(address,uint256,bytes32[])"),
        ("RewardVault", "function", "claimMany(address[],uint256[],bytes32[][])"),
        ("RewardVault", "event", "RootPublished(uint64,bytes32,uint256,bytes32,bytes32)"),
        ("RewardVault", "event", "RewardClaimed(address,uint256,uint256)"),
    ],
)
def test_what_others_rely_on_keeps_its_signature(name, kind, expected):
    assert signature(entries(name, kind)[expected.split("(")[0]]) == expected


def test_the_lockfile_names_no_registry():
    lock = json.loads((ROOT / "contracts" / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/solc"]["version"] == "0.8.30"
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
