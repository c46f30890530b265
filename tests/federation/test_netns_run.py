"""Real nodes, each in a network namespace with an address of its own, over a bad network: latency, loss, a narrow line,
a partition in the middle of a round, a machine that stands still, one that is killed and comes back.

One federation lives through all of it; the tests look at what is left. The chain is in a namespace of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import netns
import pytest
from launched import Launched, RunFolder, command, kill, toml, wait_until

from peerage.keys import create_with_random_password

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

PEERS = 5  # with the chain: six namespaces
ROUNDS = 12
CUT_SECONDS, FREEZE_SECONDS = 6.0, 5.0
BAD = netns.Weather(delay=0.05, loss=0.01, rate=10e6)  # 50 ms, 1 %, 10 Mbit/s
NAMES = [f"site-{number}" for number in range(1, PEERS + 1)]
TIMING = {"join": 3.0, "step": 5.0, "stall": 10.0}
# nobody's training ends while a certain file is there: so the others do not finish before a killed site is back
MODEL = """import pathlib
import time

from torch import nn

HOLD = pathlib.Path({hold!r})


class Held(nn.Sequential):
    def forward(self, rows):
        while self.training and HOLD.exists():
            time.sleep(0.05)
        return super().forward(rows)


def build(input_shape, classes):
    return Held(nn.Linear(input_shape[0], 32), nn.ReLU(), nn.Linear(32, classes))
"""


@dataclass
class Story:
    """What happened, and where each site's run lies."""

    sites: list[RunFolder]
    accounts: list[str]
    cut_in: int = 0
    frozen_in: int = 0
    killed_in: int = 0
    carried: int = 0
    lost: int = 0
    cut_off: int = 0
    codes: tuple[int, ...] = ()
    said: tuple[str, ...] = ()
    audit: str = ""
    audit_code: int = -1
    endpoints: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    netns.require()
    folder = tmp_path_factory.mktemp("network")
    with netns.Network(PEERS + 1, seed=11) as network, contextlib.ExitStack() as stack:
        return _told(folder, network, stack)


def _told(folder: Path, network: netns.Network, stack: contextlib.ExitStack) -> Story:
    chain, places = network.nodes[0], network.nodes[1:]
    sites, accounts = _sites(folder, chain, stack)
    network.weather(BAD)
    nodes = [
        stack.enter_context(Launched(["node", "node.toml"], site, inside=place.run))
        for site, place in zip(sites, places, strict=True)
    ]
    runs = [RunFolder(site / "run") for site in sites]
    story = Story(runs, accounts)

    _all_closed(runs, 2, nodes)

    story.cut_in = _next_opening(runs, 3)
    network.partition([chain, *places[:3]], places[3:])  # neither side may open a round: four make the smallest roster
    time.sleep(CUT_SECONDS)
    network.heal()
    _all_closed(runs, story.cut_in, nodes)

    story.frozen_in = _next_opening(runs, story.cut_in + 1)
    frozen = _python_of(nodes[2])
    os.kill(frozen, signal.SIGSTOP)
    time.sleep(FREEZE_SECONDS)
    os.kill(frozen, signal.SIGCONT)
    _all_closed(runs, story.frozen_in, nodes)

    story.killed_in = _next_opening(runs, story.frozen_in + 1)
    kill(_python_of(nodes[4]))
    (folder / "hold").touch()
    nodes[4].end(20)
    nodes[4] = stack.enter_context(Launched(["node", "node.toml", "--resume"], sites[4], inside=places[4].run))
    wait_until(lambda: " running, " in nodes[4].said or nodes[4].process.poll() is not None, 90, nodes[4].said)
    (folder / "hold").unlink()

    for node in nodes:
        wait_until(lambda node=node: "finished" in node.said or node.process.poll() is not None, 150, node.said)
    for node in nodes:
        os.kill(_python_of(node), signal.SIGINT)
    story.codes = tuple(node.end(30) for node in nodes)
    story.said = tuple(node.said for node in nodes)
    story.carried, story.lost, story.cut_off = network.carried, network.lost, network.cut_off
    story.endpoints = tuple((site / "secrets" / f"{site.name}.endpoint").read_text() for site in sites)

    store = folder / "store"
    store.mkdir()
    for site in sites:
        for artefact in (site / "run" / "store").iterdir():
            shutil.copy(artefact, store)
    rpc = json.loads((folder / "chain" / "devnet.json").read_text())["rpc"]
    asked = ["--deployment", folder / "deployment.json", "--rpc", rpc, "--store", store]
    done = command("audit", *asked, folder=folder, inside=chain.run, seconds=400)
    story.audit, story.audit_code = done.stdout + done.stderr, done.returncode
    return story


def _sites(folder: Path, chain: netns.Node, stack: contextlib.ExitStack) -> tuple[list[Path], list[str]]:
    """A chain that runs and answers on its address, contracts on it, and a folder for every site."""
    (folder / "chain").mkdir()
    command_line = ["devnet", "--engine", "embedded", "--port", "0", "--json"]
    devnet = stack.enter_context(Launched(command_line, folder / "chain", inside=chain.run))
    devnet.wait_for_words("\n")
    (folder / "chain" / "devnet.json").write_text(devnet.said)
    told = json.loads(devnet.said)
    port = told["rpc"].rpartition(":")[2].strip("/")
    stack.enter_context(_forwarded(chain, port))
    settings = {"peers": PEERS, "rounds": ROUNDS, "data": {"partition": "iid"}, "timing": TIMING}
    settings["model"] = {"factory": "model.py:build"}
    (folder / "model.py").write_text(MODEL.format(hold=str(folder / "hold")))
    file = toml(folder / "federation.toml", settings)
    sites = [folder / name for name in NAMES]
    addresses = [
        "0x" + create_with_random_password(site / "secrets", site.name).account.address.hex() for site in sites
    ]
    keystore = ["--keystore", told["keystore"], "--password-file", told["password_file"]]
    peers = [word for address in addresses for word in ("--peer", address)]
    done = command(
        "deploy", file, "--rpc", told["rpc"], *keystore, *peers, "--fund", folder=folder, inside=chain.run, seconds=400
    )
    assert done.returncode == 0, done.stderr
    for number, site in enumerate(sites):
        for name in ("federation.toml", "deployment.json", "model.py"):
            shutil.copy(folder / name, site)
        node = {
            "name": site.name,
            "index": number,
            "password_file": f"secrets/{site.name}.password",
            "listen_host": f"10.77.0.{number + 2}",
            "rpc": f"http://{chain.address}:{port}",
        }
        toml(site / "node.toml", node)
    return sites, addresses


@contextlib.contextmanager
def _forwarded(chain: netns.Node, port: str) -> Iterator[None]:
    """A devnet listens on the loopback only; here it answers on its namespace's address too."""
    process = subprocess.Popen(
        [*chain.run, sys.executable, "-c", netns.FORWARD, chain.address, port], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "forwarding\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _all_closed(runs: list[RunFolder], round_: int, nodes: list[Launched]) -> None:
    def there() -> bool:
        assert all(node.process.poll() is None for node in nodes), [node.said for node in nodes]
        return all(round_ in run.closed(name) for run, name in zip(runs, NAMES, strict=True))

    wait_until(there, 120, f"everybody to close round {round_}")


def _next_opening(runs: list[RunFolder], least: int) -> int:
    """Blocks until a session of a round that nobody has closed is under way; its round."""

    def opening() -> int:
        closed = max(max(run.closed(name), default=0) for run, name in zip(runs, NAMES, strict=True))
        lines = [line for run, name in zip(runs, NAMES, strict=True) for line in run.journal(name, "signed")]
        rounds = {line["round"] for line in lines if line["type"] == "JoinIntent"}
        return next((r for r in sorted(rounds) if r > closed and r >= least), 0)

    return wait_until(opening, 90, f"round {least} or later to be opened")


def _python_of(node: Launched) -> int:
    """`ip netns exec` becomes the command it runs; what it started beside is not meant."""
    return node.process.pid


def test_everybody_has_an_address_of_its_own(story: Story) -> None:
    hosts = {endpoint.split("//")[1].split(":")[0] for endpoint in story.endpoints}

    assert hosts == {f"10.77.0.{number}" for number in range(2, PEERS + 2)}


def test_all_rounds_complete_and_everybody_has_the_same_models(story: Story) -> None:
    assert story.codes == (0,) * PEERS, story.said
    histories = [run.aggregates(name) for run, name in zip(story.sites, NAMES, strict=True)]

    assert histories == [histories[0]] * PEERS
    assert len(histories[0]) == ROUNDS


def test_the_network_was_as_bad_as_it_was_meant_to_be(story: Story) -> None:
    assert story.carried > 1000
    assert story.cut_off > 0


def test_things_happened_in_the_middle_of_rounds(story: Story) -> None:
    """The cut, the freeze and the kill each came after a join of a round that was not closed yet."""
    assert 2 < story.cut_in < story.frozen_in < story.killed_in <= ROUNDS


def test_whoever_was_away_is_in_later_sums(story: Story) -> None:
    lines = {line["round"]: set(line["survivors"]) for line in story.sites[0].metrics(NAMES[0])}
    last = {address.lower() for round_ in (ROUNDS - 1, ROUNDS) for address in lines[round_]}

    assert set(story.accounts) <= last
    lives = story.sites[4].journal(NAMES[4], "started")
    assert len(lives) == 2
    spent = [line["version"] for line in story.sites[4].journal(NAMES[4], "spent")]
    assert len(spent) == len(set(spent))


def test_it_audits_clean_from_the_chain_and_the_sites_stores(story: Story) -> None:
    assert story.audit_code == 0, story.audit
    assert "Audit clean" in story.audit


def test_no_honest_peer_is_convicted_of_anything(story: Story) -> None:
    """A bad network, a freeze and a restart look like no equivocation: what was signed is sent again as it was."""
    for run, name in zip(story.sites, NAMES, strict=True):
        assert run.journal(name, "equivocation") == []
