"""What we would publish: sdist and wheel are built as a user's pip builds them, and the wheel works from elsewhere.

A wheel built from an sdist was once silently empty (the packages stood under hatchling's global table). No network.
"""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from peerage_ledger.names import NAMES, OPTIONAL, PENDING

ROOT = Path(__file__).parents[2]
PACKAGES = {"peerage": "node", "peerage_ledger": "ledger", "peerage_crypto": "crypto"}


def build(target, source, out):
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """From the sdist, not from the checkout: the long way that a user takes."""
    place = tmp_path_factory.mktemp("build")
    checkout = place / "checkout"
    skipped = shutil.ignore_patterns("node_modules", "__pycache__", "runs", ".*_cache", ".venv")
    for name in ("node", "ledger", "crypto"):
        shutil.copytree(ROOT / name, checkout / name, ignore=skipped)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, checkout)
    sdist = build("sdist", checkout, place / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    return build("wheel", unpacked, place / "wheel")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel's files alone; the libraries come from the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed, code, cwd):
    guard = f"import sys; sys.path.insert(0, {str(installed)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", guard + code], cwd=cwd, check=False, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_and_artefact_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for package, folder in PACKAGES.items():
        sources = {str(path.relative_to(ROOT / folder)) for path in (ROOT / folder / package).rglob("*.py")}
        assert sources
        assert sources <= names
        assert f"{package}/py.typed" in names
    assert {f"peerage_ledger/abi/{name}.json" for name in (*NAMES, *OPTIONAL, *PENDING)} <= names
    assert not {name for name in names if name.startswith(("tests/", "contracts/", "scripts/"))}


def test_the_wheel_imports_and_finds_its_contracts(installed, tmp_path):
    told = run(
        installed,
        "import json, peerage, peerage_crypto, peerage_ledger\n"
        "from peerage_ledger.contracts import NAMES, contract\n"
        "print(json.dumps([[m.__file__ for m in (peerage, peerage_crypto, peerage_ledger)],\n"
        "  [name for name in NAMES if contract(name).bytecode]]))",
        tmp_path,
    )
    files, contracts = json.loads(told)
    assert all(Path(file).is_relative_to(installed) for file in files)
    assert contracts == list(NAMES)


@pytest.mark.federation
def test_the_examples_run_from_the_wheel(installed, tmp_path):
    """The example's model in a federation as small as it gets, by the wheel's own command line."""
    model = f"{ROOT / 'examples' / 'own_model.py'}:build"
    flags = ["--peers", "3", "--rounds", "2", "--ledger", "embedded", "--out", "run", "--json"]
    arguments = ["run", "--model", model, *flags]
    out = run(installed, f"sys.argv[1:] = {arguments!r}\nfrom peerage.cli.main import main\nmain()", tmp_path)
    summary = json.loads(out)
    assert summary["rounds"] == 2
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert summary["audit"] == {"ok": True, "findings": 0}


def test_the_demo_is_a_legal_federation(installed, tmp_path):
    told = run(
        installed,
        "from pathlib import Path\nfrom peerage.config_toml import load_federation\n"
        f"demo = load_federation(Path({str(ROOT / 'examples' / 'demo.toml')!r}))\n"
        "print(demo.peers, demo.rounds, sorted(part.behaviour for part in demo.cast))",
        tmp_path,
    )
    assert told.strip() == "12 12 ['honest', 'parent-back', 'random-labels']"
