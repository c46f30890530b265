"""Sites that come back as somebody else would: with an empty disk, with another transport key, twice in a row.

Real nodes on the loopback; each has a folder of its own. Only the keystore is what makes a site itself.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from launched import Launched, RunFolder, command, kill, toml, wait_until

from peerage.keys import create_with_random_password

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

PEERS, ROUNDS = 5, 16
NAMES = [f"site-{number}" for number in range(1, PEERS + 1)]
TIMING = {"join": 2.0, "step": 4.0, "stall": 8.0}
# nobody's training ends while a certain file is there: so the others do not finish before a site is back
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
    sites: list[Path]
    addresses: list[str]
    keys: dict[str, list[str]] = field(default_factory=dict)  # transport keys of the rotated site, in turn
    erased_in: int = 0
    rotated_in: int = 0
    killed: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    old_journal: list[dict[str, Any]] = field(default_factory=list)
    audit: str = ""
    audit_code: int = -1

    def run(self, number: int) -> RunFolder:
        return RunFolder(self.sites[number] / "run")

    def closed(self, number: int) -> int:
        return max(self.run(number).closed(NAMES[number]), default=0)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("churn")
    with contextlib.ExitStack() as stack:
        return _told(folder, stack)


def _told(folder: Path, stack: contextlib.ExitStack) -> Story:
    story, rpc = _sites(folder, stack)
    nodes = [stack.enter_context(Launched(["node", "node.toml"], site)) for site in story.sites]

    hold = folder / "hold"

    def back(number: int, *more: str) -> None:
        """It comes back while nobody trains, and then they go on."""
        nodes[number] = stack.enter_context(Launched(["node", "node.toml", *more], story.sites[number]))
        node = nodes[number]
        wait_until(lambda: " running, " in node.said or node.process.poll() is not None, 90, node.said)
        hold.unlink()

    def closed(round_: int, *, by: int) -> None:
        assert round_ <= ROUNDS, "the others were done before it was back: this test means nothing"
        wait_until(lambda: story.closed(by) >= round_ or nodes[by].process.poll() is not None, 120, f"round {round_}")
        assert nodes[by].process.poll() is None, nodes[by].said

    closed(2, by=0)
    hold.touch()
    story.erased_in = story.closed(0) + 1
    kill(nodes[4].process.pid)
    nodes[4].end(20)
    story.old_journal = story.run(4).journal(NAMES[4])
    _erase(story.sites[4], NAMES[4])
    back(4)
    closed(story.erased_in + 1, by=4)

    hold.touch()
    story.rotated_in = story.closed(0) + 1
    nodes[3].interrupt()
    nodes[3].end(20)
    asked = ["--name", NAMES[3], "--password-file", f"secrets/{NAMES[3]}.password", "--json"]
    for verb in ("show", "rotate"):
        done = command("keys", verb, *asked, folder=story.sites[3])
        assert done.returncode == 0, done.stderr
        story.keys.setdefault(NAMES[3], []).append(json.loads(done.stdout)["transport_key"])
    back(3, "--resume")
    closed(story.rotated_in + 1, by=3)

    for _ in range(2):  # killed, and killed again as soon as it is back
        hold.touch()
        story.killed.append(story.closed(0) + 1)
        kill(nodes[2].process.pid)
        nodes[2].end(20)
        back(2, "--resume")

    for node in nodes:
        wait_until(lambda node=node: "finished" in node.said or node.process.poll() is not None, 150, node.said)
    for node in nodes:
        node.interrupt()
    story.codes = [node.end(30) for node in nodes]
    story.said = [node.said for node in nodes]
    told = command(
        "status", "--deployment", "deployment.json", "--address", story.addresses[3], "--json", folder=story.sites[3]
    )
    story.status = json.loads(told.stdout)
    store = folder / "store"
    store.mkdir()
    for site in story.sites:
        for artefact in (site / "run" / "store").iterdir():
            shutil.copy(artefact, store)
    asked = ["--json", "--deployment", str(folder / "deployment.json"), "--rpc", rpc, "--store", str(store)]
    done = command("audit", *asked, folder=folder, seconds=400)
    story.audit, story.audit_code = done.stdout, done.returncode
    return story


def _erase(site: Path, name: str) -> None:
    """A new disk: what is left is the keystore (from a safe), the password, and the files that everybody has."""
    shutil.rmtree(site / "run")
    for path in (site / "secrets").iterdir():
        if path.name not in {f"{name}.json", f"{name}.curve.json", f"{name}.password"}:
            path.unlink()


def _sites(folder: Path, stack: contextlib.ExitStack) -> tuple[Story, str]:
    devnet = stack.enter_context(Launched(["devnet", "--engine", "embedded", "--port", "0", "--json"], folder))
    devnet.wait_for_words("\n")
    chain = json.loads(devnet.said)
    settings = {"peers": PEERS, "rounds": ROUNDS, "data": {"partition": "iid"}, "timing": TIMING}
    settings["model"] = {"factory": "model.py:build"}
    (folder / "model.py").write_text(MODEL.format(hold=str(folder / "hold")))
    file = toml(folder / "federation.toml", settings)
    sites = [folder / name for name in NAMES]
    made = [create_with_random_password(site / "secrets", site.name) for site in sites]
    addresses = ["0x" + keys.account.address.hex() for keys in made]
    keystore = ["--keystore", chain["keystore"], "--password-file", chain["password_file"]]
    peers = [word for address in addresses for word in ("--peer", address)]
    done = command("deploy", file, "--rpc", chain["rpc"], *keystore, *peers, "--fund", folder=folder, seconds=400)
    assert done.returncode == 0, done.stderr
    for number, site in enumerate(sites):
        for name in ("federation.toml", "deployment.json", "model.py"):
            shutil.copy(folder / name, site)
        toml(site / "node.toml", {"name": site.name, "index": number, "password_file": f"secrets/{site.name}.password"})
    return Story(sites, addresses), chain["rpc"]


def test_everybody_finishes_on_one_history(story: Story) -> None:
    assert story.codes == [0] * PEERS, story.said
    histories = [story.run(number).aggregates(name) for number, name in enumerate(NAMES)]

    assert {len(history) for history in histories} == {ROUNDS}
    assert histories == [histories[0]] * PEERS


def test_a_site_with_an_empty_disk_takes_part_again(story: Story) -> None:
    """It catches up from its peers, and its versions go on from where the model has them."""
    lines = {line["round"]: {a.lower() for a in line["survivors"]} for line in story.run(0).metrics(NAMES[0])}
    after = [
        round_ for round_, survivors in lines.items() if round_ > story.erased_in and story.addresses[4] in survivors
    ]

    assert after
    assert max(after) == ROUNDS
    before = [line["version"] for line in story.old_journal if line["kind"] == "locked"]
    locked = [line["version"] for line in story.run(4).journal(NAMES[4], "locked")]
    assert max(locked) > max(before)


def test_a_rotated_transport_key_is_registered_and_used(story: Story) -> None:
    old, new = story.keys[NAMES[3]]
    lines = {line["round"]: {a.lower() for a in line["survivors"]} for line in story.run(0).metrics(NAMES[0])}

    assert old != new
    assert story.status["active"]
    assert story.addresses[3] in lines[ROUNDS]


def test_whoever_is_killed_twice_is_in_the_last_sum(story: Story) -> None:
    lines = {line["round"]: {a.lower() for a in line["survivors"]} for line in story.run(0).metrics(NAMES[0])}
    versions = [line["version"] for line in story.run(2).journal(NAMES[2], "locked")]

    assert story.addresses[2] in lines[ROUNDS]
    assert versions == sorted(versions)


def test_nobody_is_convicted_for_coming_back(story: Story) -> None:
    for number, name in enumerate(NAMES):
        assert story.run(number).journal(name, "equivocation") == []


def test_the_audit_misses_what_was_on_the_erased_disk_alone_and_finds_nothing_else(story: Story) -> None:
    """A site's emission records lie on its own disk, and so do the directions of the rounds that it opened: those of
    the rounds before the loss are named as missing.
    """
    found = json.loads(story.audit)["findings"]

    assert {f["peer"].lower() for f in found} == {story.addresses[4]}
    assert "emission-missing" in {f["code"] for f in found} <= {"emission-missing", "direction-missing"}
    assert {f["round"] for f in found} <= set(range(1, story.erased_in + 1))
    assert story.audit_code == 1
