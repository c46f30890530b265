"""A finished run's model is sold, paid, opened and watched with the commands alone; the audit reads it all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from launched import Launched, RunFolder, command, require

from peerage.market.artefact import check_model
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.chain, pytest.mark.federation, pytest.mark.timeout(600)]


def test_a_model_is_sold_opened_paid_and_replaced(tmp_path: Path) -> None:
    require("anvil")
    with Launched(["devnet", "--engine", "anvil", "--port", "0", "--json"], tmp_path) as devnet:
        devnet.wait_for_words("\n")
        chain = json.loads(devnet.said)
        password = (tmp_path / "devnet" / "secrets" / "deployer.password").read_text()
        owner = {"PEERAGE_KEYSTORE": chain["keystore"], "PEERAGE_PASSWORD": password}

        def ok(*arguments: object, code: int = 0) -> dict[str, object]:
            done = command(*arguments, "--json", folder=tmp_path, seconds=400, **owner)
            assert done.returncode == code, done.stdout + done.stderr
            return json.loads(done.stdout) if code == 0 else {"said": done.stderr}

        ok("run", "--peers", 3, "--rounds", 2, "--ledger", chain["rpc"], "--country", "DEU", "--out", "r")
        (tmp_path / "licence").write_text("Use it well.\n")
        here = ["--deployment", "r/deployment.json"]
        listed = ok("market", "list", "r", "--price", "2.5", "--licence", "licence")
        name, artefact = listed["listing"], listed["artefact"]
        terms = ["--artefact", artefact, "--licence", "licence", *here]

        refused = ok("market", "buy", name, "--key", "k", *terms[2:], "--artefact", "licence", code=2)
        assert "keep your money" in refused["said"]
        bought = ok("market", "buy", name, "--key", "my.key", *terms)
        again = ok("market", "buy", name, "--key", "my.key", *terms, code=2)
        assert "exists already" in again["said"]
        early = ok("market", "open", "my.key", "--artefact", artefact, *here, code=3)
        assert "no key is delivered yet" in early["said"]
        assert ok("market", "deliver", "r")["delivered"] == [bought["sale"]]
        assert ok("market", "deliver", "r")["delivered"] == []
        opened = ok("market", "open", "my.key", "--artefact", artefact, "--out", "mine", *here)
        model = (tmp_path / "mine").read_bytes()
        assert model == (tmp_path / "r" / "model.safetensors").read_bytes()
        assert opened["aggregate"] == RunFolder(tmp_path / "r").summary["aggregate_sha256"]
        assert opened["accepted"] is True
        check_model(model, bytes.fromhex(str(opened["aggregate"])), "mine")
        with pytest.raises(InputError, match="holds the model"):
            check_model(model[:-4] + bytes(4), bytes.fromhex(str(opened["aggregate"])), "mine")

        paid = ok("market", "collect", "r", name)
        shares = {account: int(units) for account, units in paid["collected"].items()}
        assert sum(shares.values()) + int(paid["dust"]) == 25 * 10**17
        earned = RunFolder(tmp_path / "r").summary["rewards"]["by_peer"]
        assert {a for a, units in earned.items() if int(units) > 0} == set(shares)
        shown = ok("market", "show", name, *here)["listings"][0]
        assert (shown["for_sale"], shown["sales"][0]["state"]) == (True, "settled")
        ok("market", "delist", "r", name)
        late = ok("market", "buy", name, "--key", "other.key", *terms, code=2)
        assert "off the market" in late["said"]

        told = [ok("watch", "r", "--threshold", "99", "--recovery", "99.5") for _ in range(3)]
        assert [period["bad"] for period in told] == [1, 2, 3]
        assert [bool(period["task"]) for period in told] == [False, False, True]
        assert told[0]["watchers"] == 3
        assert (tmp_path / "r" / "watch" / told[2]["transcript"]).is_file()
        assert json.loads((tmp_path / "r" / "watch" / "period-3.json").read_text()) == told[2]
        assert "is over" in ok("watch", "r", code=2)["said"]

        store = (tmp_path / "r" / "store").as_uri()
        report = ok("audit", *here, "--rpc", chain["rpc"], "--store", store)
        assert report["findings"] == []
