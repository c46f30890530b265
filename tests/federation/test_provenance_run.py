"""Where the models of real runs come from: asked, verified from files, exported, and asked of damaged evidence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launched import PATIENT, command, sentence_of, toml
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from peerage.cli.main import app
from peerage_crypto.digest import sha256
from peerage_crypto.errors import PeerageError
from peerage_ledger.provenance import open_envelope
from peerage_ledger.transcript import decode_round

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

SMALL = {
    "name": "p",
    "peers": 4,
    "rounds": 3,
    "timing": PATIENT,
    "ledger": {"engine": "embedded"},
    "model": {"hidden": 8},
}
PEERS = [f"peer-{i:02}" for i in range(1, 5)]


def made(folder: Path, **changes: Any) -> Path:
    settings = toml(folder / "federation.toml", {**SMALL, **changes})
    done = command("run", settings, "--out", "out", "--json", folder=folder, seconds=400)
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("masked"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("plain"), peers=3, rounds=2, exchange="plain")


@pytest.fixture
def copy(masked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(masked, tmp_path / "copy", ignore=shutil.ignore_patterns("devnet", "secrets")))


def said(*words: object) -> tuple[int, str]:
    """(exit code, what the command says); in this process, since each question is a quick one."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is None or isinstance(done.exception, SystemExit):
        return done.exit_code, done.stdout
    assert isinstance(done.exception, PeerageError), done.exception
    return done.exception.exit_code, str(done.exception)


def asked(run: Path, *question: object) -> dict[str, Any]:
    code, answer = said("provenance", run, *question, "--json")
    assert code == 0, answer
    return json.loads(answer)


def verified(model: Path, *where: object) -> tuple[int, str]:
    return said("verify", model, *where)


def store_of(run: Path) -> dict[bytes, bytes]:
    return {bytes.fromhex(p.name): p.read_bytes() for p in (run / "store").iterdir()}


# -- the graph and its questions ---------------------------------------------------------------------------------------


def test_the_graph_is_what_the_run_did(masked: Path) -> None:
    told = asked(masked)
    first, *rounds = told["models"]
    assert first["exchange"] == "genesis"
    assert [m["round"] for m in rounds] == [1, 2, 3]
    assert [m["parents"] for m in rounds] == [[m["record"]] for m in (first, *rounds[:-1])]
    assert all(m["paid_line"] and not m["voided"] and m["unproven"] is None for m in rounds)
    assert [{p["name"]: p["version"] for p in m["members"]} for m in rounds] == [
        dict.fromkeys(PEERS, k) for k in (1, 2, 3)
    ]
    summary = json.loads((masked / "summary.json").read_text())
    assert rounds[-1]["aggregate"] == summary["aggregate_sha256"]
    assert first["aggregate"] == decode_round(store_of(masked)[bytes.fromhex(rounds[0]["transcript"])]).base.hex()
    assert told["chain_faults"] == []


def test_every_signed_digest_is_in_the_store_and_says_what_it_stands_for(masked: Path) -> None:
    store = store_of(masked)
    members = [p for m in asked(masked)["models"][1:] for p in m["members"]]
    kinds = {
        (key, json.loads(store[bytes.fromhex(p[key])])["manifest"]) for p in members for key in p if "manifest" in key
    }
    assert kinds == {("data_manifest", "data/1"), ("code_manifest", "code/1")}
    assert len({p["data_manifest"] for p in members}) == len(PEERS)


def test_plain_exchange_is_a_graph_with_many_parents(plain: Path) -> None:
    told = asked(plain)
    models = {m["record"]: m for m in told["models"]}
    assert {m["exchange"] for m in models.values()} == {"genesis", "plain"}
    assert max(len(m["parents"]) for m in models.values()) > 1
    assert all(models[p]["round"] < m["round"] for m in models.values() for p in m["parents"])
    assert not told["settled"]


def test_which_models_contain_a_version(masked: Path) -> None:
    models = asked(masked)["models"]
    found = asked(masked, "--contains", "peer-02:2")["contains"]
    assert (found["direct"], found["later"]) == ([models[2]["record"]], [models[3]["record"]])
    by_address = asked(masked, "--contains", f"{found['peer']}:2")["contains"]
    assert by_address == found


def test_what_is_between_two_models(masked: Path) -> None:
    models = asked(masked)["models"]
    found = asked(masked, "--between", "1", models[3]["record"][:10])["between"]
    assert found["ahead"] == [m["record"] for m in models[2:]]
    assert (found["back"], found["changes"]) == ([], [])
    assert sorted({v["version"] for v in found["versions"]}) == [2, 3]


def test_where_the_file_comes_from(masked: Path) -> None:
    found = asked(masked, "--of", masked / "model.safetensors")["of"]
    assert list(found["versions"].values()) == [[1, 2, 3]] * len(PEERS)
    _, words = said("provenance", masked, "--of", masked / "model.safetensors")
    assert "peer-01: versions 1-3." in words
    assert "On the paid line" in words


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (["--contains", "peer-9:1"], "there is no peer 'peer-9'"),
        (["--contains", "peer-01:99"], "no model contains version 99"),
        (["--contains", "peer-01"], "PEER:VERSION"),
        (["--between", "1", "77"], "there is no round 77"),
        (["--of", "nowhere.safetensors"], "cannot be read as safetensors"),
        (["--svg", "no/such/folder/x.svg"], "cannot be written"),
        (["--keystore", "key.json"], "give --in-toto"),
        (["--rpc", "http://127.0.0.1:1"], "whose models?"),
    ],
)
def test_a_wrong_question_is_one_sentence(masked: Path, question: list[str], words: str) -> None:
    code, sentence = said("provenance", masked, *question)
    assert code == 2
    assert words in sentence


def test_the_overview_the_log_and_the_picture_speak_of_every_round(masked: Path, tmp_path: Path) -> None:
    models = asked(masked)["models"]
    _, overview = said("provenance", masked)
    _, log = said("provenance", masked, "--log")
    assert said("provenance", masked, "--svg", tmp_path / "dag.svg")[0] == 0
    drawing = (tmp_path / "dag.svg").read_text()
    for model in models[1:]:
        assert model["record"][:8] in overview
        assert model["record"] in log
        assert model["record"] in drawing


# -- other registries --------------------------------------------------------------------------------------------------


def test_statements_are_signed_with_the_peers_key(masked: Path, tmp_path: Path) -> None:
    key = ["--keystore", masked / "secrets/peer-01.json", "--password-file", masked / "secrets/peer-01.password"]
    files = [Path(name) for name in asked(masked, "--in-toto", tmp_path / "signed", *key)["in_toto"]]
    accounts = json.loads((masked / "summary.json").read_text())["accounts"]
    subjects = set()
    for file in files:
        statement, signers = open_envelope(file.read_bytes())
        assert ["0x" + s.hex() for s in signers] == [accounts["peer-01"].lower()]
        subjects.add(statement["subject"][0]["digest"]["sha256"])
    assert subjects == {m["aggregate"] for m in asked(masked)["models"]}
    bare = asked(masked, "--in-toto", tmp_path / "bare")["in_toto"]
    assert {json.loads(Path(name).read_text())["_type"] for name in bare} == {"https://in-toto.io/Statement/v1"}


def test_mlflow_has_every_paid_model_once_however_often_it_is_told(masked: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="the extra peerage[mlflow] is not installed")
    uri = (tmp_path / "registry").as_uri()
    allowed = {"MLFLOW_ALLOW_FILE_STORE": "true"}  # MLflow's own switch for registries in a folder
    for added in (3, 0):
        done = command("provenance", masked, "--mlflow", uri, "--json", folder=tmp_path, **allowed)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)["mlflow"]
        assert (told["added"], told["known"]) == (added, 3 - added)
    versions = _versions(tmp_path / "registry", told["name"])
    models = asked(masked)["models"][1:]
    assert {v["peerage.record"] for v in versions} == {m["record"] for m in models}
    by_record = {v["peerage.record"]: v for v in versions}
    for model in models:
        tags = by_record[model["record"]]
        assert (tags["peerage.round"], tags["peerage.aggregate"]) == (str(model["round"]), model["aggregate"])
        assert json.loads(tags["peerage.versions"]) == model["versions"]
        assert json.loads(tags["peerage.code"]) == {p["peer"]: p["code_manifest"] for p in model["members"]}


def _versions(root: Path, name: str) -> list[dict[str, str]]:
    """The tags of each version, as MLflow keeps them in a folder."""
    folders = sorted((root / "models" / name).glob("version-*"))
    return [{tag.name: tag.read_text() for tag in (folder / "tags").iterdir()} for folder in folders]


# -- one file against the chain ----------------------------------------------------------------------------------------


def test_the_product_verifies_whatever_its_metadata(masked: Path, plain: Path, tmp_path: Path) -> None:
    for run in (masked, plain):
        save_file(load_file(run / "model.safetensors"), tmp_path / "again.safetensors", {"by": "somebody else"})
        for model in (run / "model.safetensors", tmp_path / "again.safetensors"):
            code, words = verified(model, run)
            assert (code, words.splitlines()[0]) == (0, "VERIFIED:"), words
    code, words = verified(masked / "model.safetensors", masked)
    assert "Acknowledged by 4 of 4 peers" in words
    assert "On the paid line" in words
    assert "peer-04 v3" in words


def _flip(tensors: dict[str, np.ndarray]) -> None:
    tensors["1.weight"].view(np.uint32)[0, 0] ^= 1


def _rename(tensors: dict[str, np.ndarray]) -> None:
    tensors["2.weight"] = tensors.pop("1.weight")


def _swap(tensors: dict[str, np.ndarray]) -> None:
    tensors["1.bias"] = tensors["1.bias"][::-1].copy()


def _add(tensors: dict[str, np.ndarray]) -> None:
    tensors["more"] = np.zeros(1, np.float32)


def _halve(tensors: dict[str, np.ndarray]) -> None:
    tensors["1.bias"] = tensors["1.bias"].astype(np.float16)


@pytest.mark.parametrize("change", [_flip, _rename, _swap, _add, _halve])
def test_a_changed_model_does_not_verify(masked: Path, tmp_path: Path, change: Any) -> None:
    tensors = load_file(masked / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "changed.safetensors")
    code, words = verified(tmp_path / "changed.safetensors", masked)
    assert (code, words.startswith("NOT VERIFIED")) == (1, True), words


def test_a_model_of_another_federation_does_not_verify(masked: Path, plain: Path, tmp_path: Path) -> None:
    assert verified(plain / "model.safetensors", masked)[0] == 1


def test_names_of_equal_shape_cannot_be_exchanged_even_with_the_files_own_order(masked: Path, tmp_path: Path) -> None:
    tensors = load_file(masked / "model.safetensors")
    order = ["3.bias", "3.weight", "1.bias", "1.weight"]
    renamed = dict(zip(order, (tensors[n] for n in ("1.weight", "1.bias", "3.weight", "3.bias")), strict=True))
    save_file(renamed, tmp_path / "renamed.safetensors", {"order": json.dumps(order)})
    assert verified(tmp_path / "renamed.safetensors", masked)[0] == 1


def test_what_is_no_model_cannot_be_verified(masked: Path, tmp_path: Path) -> None:
    (tmp_path / "junk.safetensors").write_bytes(b"\xff" * 64)
    assert "cannot be read" in sentence_of(command("verify", tmp_path / "junk.safetensors", masked, folder=tmp_path))
    assert "no run directory" in sentence_of(command("verify", masked / "model.safetensors", tmp_path, folder=tmp_path))


def test_with_the_transcript_gone_nobody_stands_behind_it(copy: Path) -> None:
    transcript = asked(copy)["models"][-1]["transcript"]
    (copy / "store" / transcript).unlink()
    code, words = verified(copy / "model.safetensors", copy)
    assert (code, words.splitlines()[0]) == (2, "CANNOT BE VERIFIED:"), words
    assert asked(copy)["models"][-1]["unproven"] == "its transcript is not in the store"


def test_a_transcript_with_fewer_signatures_than_a_quorum_does_not_pass_for_the_recorded_one(copy: Path) -> None:
    """It has another name than the record has: whoever writes it under the recorded name is caught by its hash."""
    name = asked(copy)["models"][-1]["transcript"]
    path = copy / "store" / name
    document = json.loads(path.read_bytes())
    document["acks"] = document["acks"][:1]
    path.write_text(json.dumps(document, separators=(",", ":")))
    assert sha256(path.read_bytes()).hex() != name
    assert verified(copy / "model.safetensors", copy)[0] == 2


def test_a_chain_record_that_was_changed_verifies_nothing(copy: Path) -> None:
    path = copy / "chain" / "chain.jsonl"
    lines = path.read_bytes().split(b"\n")
    at = max(i for i, line in enumerate(lines) if b'"kind":"transaction"' in line)
    del lines[at]
    path.write_bytes(b"\n".join(lines))
    code, words = verified(copy / "model.safetensors", copy)
    assert code == 1, words
    assert "history has" in words


def test_a_record_that_is_not_on_the_chain_leaves_its_model_unknown(copy: Path) -> None:
    """The transaction that recorded the last round is taken out of the history, the artefacts stay."""
    last = asked(copy)["models"][-1]
    path = copy / "chain" / "chain.jsonl"
    lines = path.read_bytes().split(b"\n")
    kept = [line for line in lines if last["recorded"]["transaction"].encode() not in line]
    assert len(kept) < len(lines)
    path.write_bytes(b"\n".join(kept))
    code, words = verified(copy / "model.safetensors", copy)
    assert (code, "NOT VERIFIED" in words) == (1, True)


def test_a_run_that_goes_on_can_be_asked(copy: Path) -> None:
    """Its history has no sealed end yet; that alone is no fault."""
    path = copy / "chain" / "chain.jsonl"
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:-2]) + b"\n")
    assert asked(copy)["chain_faults"] == []
    assert verified(copy / "model.safetensors", copy)[0] == 0


def test_the_commands_answer_help_without_torch(tmp_path: Path) -> None:
    probe = (
        "import sys; sys.argv=['peerage',*{}]\ntry:\n import peerage.cli.main as m; m.main()\nexcept SystemExit: pass\n"
    )
    probe += "print({{'torch','web3'}} & set(sys.modules))"
    for words in (["provenance", "--help"], ["verify", "--help"]):
        done = _python(probe.format(words), tmp_path)
        assert done.splitlines()[-1] == "set()"


def test_verifying_imports_no_torch(masked: Path, tmp_path: Path) -> None:
    probe = (
        "import sys; from pathlib import Path\n"
        "from peerage.provenance.sources import open_run\nfrom peerage.provenance.verifying import verify\n"
        f"print(verify(Path({str(masked / 'model.safetensors')!r}), open_run(Path({str(masked)!r}))).code)\n"
        "print({'torch', 'web3'} & set(sys.modules))"
    )
    assert _python(probe, tmp_path).splitlines() == ["0", "set()"]


def _python(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True, timeout=60
    )
    return done.stdout
