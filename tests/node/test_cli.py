"""The command line as a person meets it: fast help, one sentence for wrong input, the right exit code."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from peerage.cli.run import assemble
from peerage.config import DataSettings, Federation, ModelSettings
from peerage.launch.agree import agreed
from peerage.launch.prune import already_pruned, prune_run
from peerage.rundir import RunDir, default_out, link_latest, lock_run_dir, open_run_dir
from peerage_crypto.errors import InputError

PEERAGE = [sys.executable, "-m", "peerage"]
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PEERAGE_")}


def peerage(*arguments: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PEERAGE, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=ENVIRONMENT | environment,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(flag: str) -> None:
    script = f"""
import sys
sys.argv = ["peerage", {flag!r}]
from peerage.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code
heavy = {{"torch", "web3", "numpy", "codecarbon", "zmq", "msgspec", "eth_account"}} & set(sys.modules)
assert not heavy, heavy
assert len(sys.modules) < 300, len(sys.modules)  # 0.2 s, most of it Python's own start
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "search",
        "node",
        "devnet",
        "deploy",
        "audit",
        "claim",
        "status",
        "prune",
        "keys new",
        "keys show",
        "stake leave",
        "invite new",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    done = peerage(*command.split(), "--help")
    assert done.returncode == 0
    assert "Usage: peerage" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--peers", "1"], "at least 2"),
        (["run", "--peers", "2"], "plain"),
        (["run", "--data", "digit"], "digits, mnist, csv:PATH"),
        (["run", "--data", "csv:none.csv", "--label", "y"], "none.csv"),
        (["run", "--data", "mnist"], "--data-dir"),
        (["run", "--country", "GER MANY"], "alpha-3"),
        (["run", "--validation", "mine"], "takes"),
        (["run", "--validation", "private"], "peers = 10"),
        (["run", "--resume"], "--out"),
        (["run", "missing.toml"], "missing.toml does not exist"),
        (["run", "wrong.toml"], "'training.epochs'"),
        (["run", "--out", "filled"], "not empty"),
        (["run", "--out", "filled", "--force"], "which no run makes"),
        (["audit"], "RUN_DIR"),
        (["audit", "filled"], "no run directory"),
        (["prune", "filled"], "no run directory"),
        (["keys", "show", "--password-file", "wrong.toml"], "does not exist"),
        (["keys", "new"], "PEERAGE_PASSWORD"),
        (["status", "--address", "0x12"], "no address"),
        (["claim", "filled"], "no run directory"),
        (["node", "missing.toml"], "missing.toml does not exist"),
        (["devnet", "--engine", "http://x"], "auto, anvil, ganache or embedded"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    (tmp_path / "wrong.toml").write_text("[training]\nepocs = 3\n")
    (tmp_path / "filled").mkdir()
    (tmp_path / "filled" / "thesis.txt").write_text("mine")
    done = peerage(*arguments, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert done.stderr.startswith("peerage: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert (tmp_path / "filled" / "thesis.txt").read_text() == "mine"


def test_an_unknown_option_is_exit_code_2() -> None:
    done = peerage("run", "--peerz", "3")
    assert done.returncode == 2
    assert "--peers" in done.stderr


def test_keys_are_made_and_shown_as_one_json_document(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("hunter of whales\n")
    made = peerage("keys", "new", "--password-file", "p", "--json", folder=tmp_path)
    shown = peerage("keys", "show", "--json", folder=tmp_path, PEERAGE_PASSWORD="hunter of whales")
    assert json.loads(made.stdout) == json.loads(shown.stdout)
    wrong = peerage("keys", "show", folder=tmp_path, PEERAGE_PASSWORD="other")
    assert wrong.returncode == 2
    assert "whales" not in made.stdout + made.stderr + wrong.stderr


def test_flags_go_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text("peers = 2\nrounds = 5\n[data]\npartition = 'iid'\n")
    mixed = assemble(tmp_path / "f.toml", {"peers": 6, "data.source": "csv:a.csv", "data.label": "y"})
    assert (mixed.peers, mixed.rounds, mixed.seed) == (6, 5, 0)
    assert (mixed.data.partition, mixed.data.label) == ("iid", "y")


def test_the_launcher_lists_the_classes_and_columns_of_a_csv(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,y\n" + "".join(f"{n},{'yes' if n % 2 else 'no'}\n" for n in range(10)))
    data = agreed(Federation(data=DataSettings(source=f"csv:{table}", label="y"))).data
    assert data.classes == ("no", "yes")
    assert json.loads(data.columns)["numeric"][0]["name"] == "a"


def test_paths_are_made_absolute_so_that_a_run_resumes_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    federation = Federation(data=DataSettings(source="mnist", data_dir="d"), model=ModelSettings(factory="my.py:net"))
    with pytest.raises(InputError, match="there is no folder d"):
        agreed(federation)
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError, match=r"there is no file my\.py"):
        agreed(federation)
    (tmp_path / "my.py").touch()
    settled = agreed(federation)
    assert settled.data.data_dir == str(tmp_path / "d")
    assert settled.model.factory == f"{tmp_path}/my.py:net"


def test_a_run_directory_is_refused_when_full_and_emptied_only_of_our_own(tmp_path: Path) -> None:
    run = open_run_dir(tmp_path / "r", force=False, resume=False)
    (run.federation).write_text("")
    with pytest.raises(InputError, match="not empty"):
        open_run_dir(tmp_path / "r", force=False, resume=False)
    open_run_dir(tmp_path / "r", force=False, resume=True)
    open_run_dir(tmp_path / "r", force=True, resume=False)
    assert not run.federation.exists()
    with pytest.raises(InputError, match="holds no run"):
        open_run_dir(tmp_path / "new", force=False, resume=True)


def test_one_launcher_at_a_time_holds_a_run(tmp_path: Path) -> None:
    run = open_run_dir(tmp_path / "r", force=False, resume=False)
    with lock_run_dir(run), pytest.raises(InputError, match="in use"):
        lock_run_dir(run)
    lock_run_dir(run).close()


def test_runs_are_named_by_time_and_data_and_latest_follows(tmp_path: Path) -> None:
    now = dt.datetime(2026, 1, 31, 23, 59, 59, tzinfo=dt.UTC)
    runs = tmp_path / "runs"
    first = default_out("csv:/a/My Data.csv", now, runs)
    assert first == runs / "20260131-235959-my-data"
    first.mkdir(parents=True)
    second = default_out("csv:/a/My Data.csv", now, runs)
    assert second.name == "20260131-235959-my-data-2"
    for path in (first, second):
        path.mkdir(exist_ok=True)
        link_latest(RunDir(path))
    assert (runs / "latest").resolve() == second


def test_pruning_leaves_what_is_no_masked_vector(tmp_path: Path) -> None:
    run = open_run_dir(tmp_path / "r", force=False, resume=False)
    run.federation.write_text("")
    (run.store / ("ab" * 32)).write_bytes(b"a model")
    assert prune_run(run, 0).files == 0
    assert (run.store / ("ab" * 32)).exists()
    assert already_pruned(run) == ()
