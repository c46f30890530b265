"""The commands of docs/disputes.md, as they stand there: a planted fraud is found, filed and decided."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from launched import command, require

from peerage.keys import create_with_random_password, password_file, read_password
from peerage_ledger.devnets import devnet

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "disputes.md").read_text()


def afar(rpc: str, store: str) -> Iterator[list[str]]:
    """Bob's commands, with the addresses in their places."""
    block = next(b for b in PAGE.split("```")[1::2] if b.startswith("\npeerage audit   --deployment"))
    for line in block.strip().splitlines():
        yield line.partition("#")[0].replace("--rpc URL", f"--rpc {rpc}").replace("URL", store).split()[1:]


def steps() -> Iterator[list[str]]:
    """The words behind `peerage` in the first block of commands."""
    block = next(b for b in PAGE.split("```")[1::2] if b.startswith("\npeerage run"))
    for line in block.strip().splitlines():
        yield line.partition("#")[0].split()[1:]


@pytest.mark.parametrize("engine", ["anvil", "ganache"])
def test_the_page_settles_a_planted_fraud(engine: str, tmp_path: Path) -> None:
    require(engine)
    settings = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)[0]
    (tmp_path / "fraud.toml").write_text(settings.replace('"auto"', f'"{engine}"'))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    told = [command(*step, folder=tmp_path, seconds=400) for step in steps()]
    assert [done.returncode for done in told] == [1, 1, 1, 1, 0, 0], [done.stderr for done in told]
    _, audit, look, filed, again, settled = (done.stdout for done in told)
    assert "Decidable on chain (1: F1)" in audit
    assert "proveEquivocation" in look
    assert "peer-04" in look
    assert "DECIDED: peer-04" in filed
    assert again.endswith("Nothing to dispute.\n")
    assert "Decided on chain: peer-04" in settled
    assert settled.endswith("Audit clean: everything that was checked holds, or was decided on chain.\n")


@pytest.mark.parametrize("engine", ["anvil", "ganache"])
def test_two_who_distrust_each_other_settle_it_from_folders_of_their_own(engine: str, tmp_path: Path) -> None:
    require(engine)
    ada, bob = tmp_path / "ada", tmp_path / "bob"
    bob.mkdir()
    ada.mkdir()
    keys = create_with_random_password(ada, "deployer")
    with devnet.start(engine, ada / "chain", accounts={keys.account.address: 10**22}) as chain:
        settings = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)[0]
        (ada / "fraud.toml").write_text(settings.replace('"auto"', f'"{chain.rpc_url}"'))
        (ada / "examples").symlink_to(ROOT / "examples")
        password = read_password(password_file(ada, "deployer"))
        paid = {"PEERAGE_KEYSTORE": str(ada / "deployer.json"), "PEERAGE_PASSWORD": password}
        trained = command("run", "--out", "fraud", "fraud.toml", folder=ada, seconds=400, **paid)
        assert trained.returncode == 1, trained.stderr
        for name, source in (("deployment.json", "deployment.json"), ("bob.json", "secrets/peer-01.json")):
            shutil.copy(ada / "fraud" / source, bob / name)
        shutil.copy(ada / "fraud" / "secrets" / "peer-01.password", bob / "bob.password")
        shown = chain.rpc_url, (ada / "fraud" / "store").as_uri()
        create_with_random_password(bob, "poor")
        poor = [word.replace("bob.", "poor.") for word in list(afar(*shown))[2]]
        refused = command(*poor, folder=bob, seconds=400)
        assert refused.returncode == 2
        assert "too little for the gas" in refused.stderr
        told = [command(*step, folder=bob, seconds=400) for step in afar(*shown)]
        assert [done.returncode for done in told] == [1, 1, 1, 0], [done.stderr for done in told]
        assert "Decidable on chain (1: F1)" in told[0].stdout
        assert "is convicted (F1)" in told[2].stdout
        assert "Audit clean" in told[3].stdout
        hers = [command(word, "fraud", folder=ada, seconds=400) for word in ("dispute", "audit")]
        assert [done.returncode for done in hers] == [0, 0], [done.stdout for done in hers]
