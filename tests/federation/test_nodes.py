"""One peer per machine, as the README tells it: every command typed by hand, each site with a table of its own.

On the loopback, because that is the machine there is; nothing is shared but what the sites would send each other.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tomllib
from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, Launched, RunFolder, command, toml, wait_until
from test_tables import table

from peerage.config_toml import load_federation, to_toml
from peerage.launch.agree import agreed
from peerage_ledger.deploy import verify_code
from peerage_ledger.deployment import Deployment
from peerage_ledger.rpc import connect

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

SITES = ["hospital-1", "hospital-2", "hospital-3"]
ROUNDS = 2
MODEL = """from torch import nn


def build(input_shape, classes):
    return nn.Sequential(nn.Linear(input_shape[0], {hidden}), nn.ReLU(), nn.Linear({hidden}, classes))
"""


def ok(*arguments: object, folder: Path) -> str:
    done = command(*arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_sites_with_tables_of_their_own_started_by_hand(tmp_path: Path) -> None:
    common = tmp_path / "common"
    common.mkdir()
    table(common / "sample.csv", 200, 0)  # made up by the sites together, so that they agree on columns and classes
    table(common / "public.csv", 200, 9)
    settings = {
        "peers": 3,
        "rounds": ROUNDS,
        "data": {
            "source": f"csv:{common / 'sample.csv'}",
            "label": "diagnosis",
            "validation_file": str(common / "public.csv"),
        },
        "timing": PATIENT | {"join": 2.0},  # the one that is mended is not waited for
    }
    file = toml(common / "federation.toml", settings)
    agreement = agreed(load_federation(file))  # what the launcher writes in a trial run
    columns = agreement.data.columns
    settings["data"] |= {"columns": columns, "classes": list(agreement.data.classes)}
    settings["model"] = {"factory": "model.py:build"}
    toml(file, settings)
    assert tomllib.loads(to_toml(agreement))["data"]["columns"] == columns

    with contextlib.ExitStack() as stack:
        devnet = stack.enter_context(Launched(["devnet", "--engine", "embedded", "--port", "0", "--json"], common))
        devnet.wait_for_words("\n")
        chain = json.loads(devnet.said)

        sites, peers = [tmp_path / name for name in SITES], list[str]()
        for number, site in enumerate(sites):
            site.mkdir()
            (site / "password").write_text(f"a long password {number}\n")
            made = ok("keys", "new", "--name", site.name, "--password-file", "password", "--json", folder=site)
            peers += ["--peer", json.loads(made)["address"]]
        keystore = ["--keystore", chain["keystore"], "--password-file", chain["password_file"]]
        ok("deploy", file, "--rpc", chain["rpc"], *keystore, *peers, "--fund", folder=common)

        for number, site in enumerate(sites):
            for name in ("federation.toml", "deployment.json"):
                shutil.copy(common / name, site)
            table(site / "rows.csv", 300, number + 1)
            (site / "model.py").write_text(MODEL.format(hidden=16))
            node = {"name": site.name, "index": number, "password_file": "password"}
            toml(site / "node.toml", node | {"data_source": f"csv:{site / 'rows.csv'}"})

        (sites[2] / "model.py").write_text(MODEL.format(hidden=17))  # the third brings another model
        first, second, odd = (stack.enter_context(Launched(["node", "node.toml"], site)) for site in sites)
        assert odd.end(90) == 2, odd.said
        assert "the model's layout differs" in odd.said.splitlines()[-1]
        assert "Traceback" not in odd.said
        assert first.process.poll() is None, first.said
        assert second.process.poll() is None, second.said

        (sites[2] / "model.py").write_text(MODEL.format(hidden=16))  # and mends it
        third = stack.enter_context(Launched(["node", "node.toml", "--resume"], sites[2]))
        nodes = [first, second, third]
        for node in nodes:
            wait_until(lambda node=node: "finished" in node.said or node.process.poll() is not None, 100, node.said)
        told = json.loads(
            ok(
                "status",
                "--keystore",
                f"secrets/{SITES[0]}.json",
                "--password-file",
                "password",
                "--json",
                folder=sites[0],
            )
        )
        for node in nodes:
            node.interrupt()
        assert [node.end(20) for node in nodes] == [0, 0, 0], [node.said for node in nodes]
        assert not any("Traceback" in node.said for node in nodes)
        assert not any(node.pids() for node in nodes)
        deployment = Deployment.read(common / "deployment.json")
        verify_code(deployment, connect(deployment.rpc, deployment.chain_id))

    assert (told["registered"], told["active"], told["rounds_recorded"], told["reward_epoch"]) == (True, True, 2, 1)
    assert int(told["claimed"]) > 0
    found = [RunFolder(site / "run") for site in sites]
    histories = [run.aggregates(name) for run, name in zip(found, SITES, strict=True)]
    assert histories == [histories[0]] * 3
    assert len(histories[0]) == ROUNDS
    scales = {run.journal(name, "standardiser")[0]["artefact"] for run, name in zip(found, SITES, strict=True)}
    assert len(scales) == 1  # one scale, though no site saw another's rows
    archives = [option for site in sites for option in ("--archive", site / "run" / "chain" / "chain.jsonl")]
    assert "they agree wherever they overlap" in ok("audit", *archives, folder=tmp_path)  # each wrote what it was shown
    faults = [line for run, name in zip(found[:2], SITES, strict=False) for line in run.journal(name, "fault")]
    assert any("layout" in line["sentence"] for line in faults)  # whoever heard it before it left
