"""A federation in which two of four sites cannot be dialled: real processes, masked rounds, everybody in every sum."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
from pathlib import Path

import psutil
import pytest

from peerage.launch.node_file import NodeFile, listening
from peerage_crypto.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "federation"))

from launched import PATIENT, Launched, RunFolder, command, toml, wait_until

SITES = ["relay", "open", "hidden-1", "hidden-2"]
ROUNDS = 2
ME, OTHER = "0x" + "11" * 20, "0x" + "22" * 20


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({}, "127.0.0.1"),
        ({"listen_host": "192.0.2.7", "forwards": True}, "192.0.2.7+relay"),
        ({"relay": (OTHER,)}, f"relay:{OTHER}"),
        ({"relay": (OTHER,), "listen_host": ""}, f"relay:{OTHER}"),
    ],
)
def test_a_site_says_where_it_listens_or_who_forwards_for_it(settings, host):
    assert listening(NodeFile(name="x", **settings), bytes.fromhex(ME[2:])) == host


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"listen_host": ""}, "empty"),
        ({"relay": (OTHER,), "listen_host": "192.0.2.7"}, "listens nowhere"),
        ({"relay": (OTHER,), "forwards": True}, "listens nowhere"),
        ({"relay": (ME,)}, "itself"),
        ({"relay": (OTHER, OTHER)}, "1 to 4 different"),
        ({"relay": ("the hospital",)}, "1 to 4 different"),
        ({"relay": tuple(f"0x{n:040x}" for n in range(1, 6))}, "1 to 4 different"),
    ],
)
def test_what_contradicts_itself_is_refused_with_a_sentence(settings, word):
    with pytest.raises(InputError, match=word):
        listening(NodeFile(name="x", **settings), bytes.fromhex(ME[2:]))


def ok(*arguments: object, folder: Path) -> str:
    done = command(*arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listens(node: Launched) -> bool:
    return any(
        connection.status == psutil.CONN_LISTEN and connection.family in (socket.AF_INET, socket.AF_INET6)
        for pid in node.pids()
        for connection in psutil.Process(pid).net_connections()
    )


@pytest.mark.federation
@pytest.mark.timeout(600)
def test_masked_rounds_with_two_sites_that_nobody_can_dial(tmp_path: Path) -> None:
    common = tmp_path / "common"
    common.mkdir()
    file = toml(common / "federation.toml", {"peers": 4, "rounds": ROUNDS, "timing": PATIENT})
    with contextlib.ExitStack() as stack:
        devnet = stack.enter_context(Launched(["devnet", "--engine", "embedded", "--port", "0", "--json"], common))
        devnet.wait_for_words("\n")
        chain = json.loads(devnet.said)
        sites, addresses, peers = [tmp_path / name for name in SITES], list[str](), list[str]()
        for site in sites:
            site.mkdir()
            (site / "password").write_text("a long password\n")
            made = ok("keys", "new", "--name", site.name, "--password-file", "password", "--json", folder=site)
            addresses.append(json.loads(made)["address"])
            peers += ["--peer", addresses[-1]]
        keystore = ["--keystore", chain["keystore"], "--password-file", chain["password_file"]]
        ok("deploy", file, "--rpc", chain["rpc"], *keystore, *peers, "--fund", folder=common)
        place = [{"forwards": True}, {}, {"relay": addresses[:1]}, {"relay": addresses[:1]}]
        for number, site in enumerate(sites):
            for name in ("federation.toml", "deployment.json"):
                shutil.copy(common / name, site)
            node = {"name": site.name, "index": number, "password_file": "password"}
            toml(site / "node.toml", node | place[number])
        nodes = [stack.enter_context(Launched(["node", "node.toml"], site)) for site in sites]
        for node in nodes:
            wait_until(lambda node=node: "finished" in node.said or node.process.poll() is not None, 150, node.said)
        assert [listens(node) for node in nodes] == [True, True, False, False]
        for node in nodes:
            node.interrupt()
        assert [node.end(20) for node in nodes] == [0, 0, 0, 0], [node.said for node in nodes]
    found = [RunFolder(site / "run") for site in sites]
    histories = [run.aggregates(name) for run, name in zip(found, SITES, strict=True)]
    assert histories == [histories[0]] * 4
    assert len(histories[0]) == ROUNDS
    faults = [line for run, name in zip(found, SITES, strict=True) for line in run.journal(name, "fault")]
    assert faults == []
    sums = {line["sid"] for line in found[0].journal(SITES[0], "adopted")}
    for run, name in zip(found, SITES, strict=True):  # nobody was left out of a sum
        assert {one["sid"] for one in run.journal(name, "signed") if one["type"] == "MaskedUpdate"} == sums
