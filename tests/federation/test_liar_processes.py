"""Every lie of examples/liars.py as a real process among honest ones: the run ends by itself, the audit is clean or
finds exactly the lie, whoever was honest writes down whose lie it was, and nothing more than allowed becomes known.

Each run plays several lies, one a round, in the first session of that round.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from launched import RunFolder, command, toml

from peerage_crypto.digest import sha256
from peerage_crypto.equivocation import decode, encode, judge_equivocation
from peerage_crypto.statements import signing_domain
from peerage_ledger.deployment import Deployment
from peerage_ledger.transcript import decode_session

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

LIARS = Path(__file__).parents[2] / "examples" / "liars.py"
LIAR = "peer-02"
TIMING = {"join": 3.0, "step": 4.0, "stall": 8.0}  # a run with lies must notice a silence soon, also on a busy machine
TOURS = {"who_is_in": 11, "what_comes_out": 5, "as_member": 6}
CROWD = {"peer-02": "garbage", "peer-05": "selfish", "peer-07": "replayed"}
AT_ONCE = 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """All runs; they mostly wait for silent peers, so some at a time."""
    folder = tmp_path_factory.mktemp("liars")
    wanted = {tour: (5, rounds, {LIAR: tour}) for tour, rounds in TOURS.items()} | {"crowd": (8, 2, CROWD)}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = {name: pool.submit(_run, folder, name, *what) for name, what in wanted.items()}
        return {name: future.result() for name, future in done.items()}


def _run(folder: Path, name: str, peers: int, rounds: int, lies: dict[str, str]) -> RunFolder:
    settings = {
        "peers": peers,
        "rounds": rounds,
        "data": {"partition": "iid"},
        "timing": TIMING,
        "cast": [{"peer": peer, "behaviour": f"{LIARS}:{lie}"} for peer, lie in lies.items()],
    }
    file = toml(folder / f"{name}.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", name, folder=folder, seconds=400)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    (folder / f"{name}.said").write_text(done.stdout)
    return RunFolder(folder / name)


def accused(run: RunFolder, liars: set[str]) -> list[dict[str, Any]]:
    """Faults in the summary that an honest peer wrote down."""
    return [fault for fault in run.summary["faults"] if set(fault["by"]) - liars]


def attacked(run: RunFolder) -> dict[int, str]:
    """The first session that the liar opened in each round: the one it lied in."""
    first: dict[int, str] = {}
    for line in run.journal(LIAR, "signed"):
        if line["type"] == "Opened":
            first.setdefault(line["round"], line["sid"])
    return first


def signed(run: RunFolder, sid: str, kind: str) -> list[tuple[str, str]]:
    """(peer, digest) of what honest peers signed in a session."""
    names = [name for name in run.summary["accounts"] if name not in run.summary["parts"]]
    lines = ((name, line) for name in names for line in run.journal(name, "signed"))
    return [(name, line["digest"]) for name, line in lines if (line["sid"], line["type"]) == (sid, kind)]


def sessions(run: RunFolder) -> dict[str, list[Any]]:
    """The session transcripts in the store, by session."""
    found: dict[str, list[Any]] = defaultdict(list)
    for path in (run.path / "store").iterdir():
        blob = path.read_bytes()
        if blob.startswith(b'{"schema":1,"opened"'):
            session = decode_session(blob)
            found[session.opened.statement.sid.hex()].append(session)
    return found


EVERY = [*TOURS, "crowd"]


@pytest.mark.parametrize("name", EVERY)
def test_the_run_ends_by_itself_with_everybody_on_one_model(runs: dict[str, RunFolder], name: str) -> None:
    run = runs[name]
    honest = [peer for peer in run.summary["accounts"] if peer not in run.summary["parts"]]
    histories = [run.aggregates(peer) for peer in honest]

    assert histories == [histories[0]] * len(honest)
    assert len(histories[0]) == run.summary["rounds"]
    assert run.summary["lost"] == {}


@pytest.mark.parametrize("name", EVERY)
def test_nobody_honest_is_named_by_anybody_honest(runs: dict[str, RunFolder], name: str) -> None:
    run = runs[name]
    liars = set(run.summary["parts"])

    assert {fault["peer"] for fault in accused(run, liars)} <= liars


@pytest.mark.parametrize("name", EVERY)
def test_the_part_is_announced_in_log_and_summary(runs: dict[str, RunFolder], name: str) -> None:
    run = runs[name]
    log = (run.path / "run.log").read_text()
    said = run.path.with_suffix(".said").read_text()
    for peer, part in run.summary["parts"].items():
        assert part.startswith(f"plays {LIARS}:")
        assert f"CAST: {peer} {part}" in log
        assert f"{peer}: WARNING peerage THIS PEER LIES" in log
        assert any(line.startswith(peer) and line.endswith(part) for line in said.splitlines())


@pytest.mark.parametrize("name", EVERY)
def test_no_two_secrets_of_one_peer_are_in_any_transcript(runs: dict[str, RunFolder], name: str) -> None:
    """The store has all that a session makes public: of each member one kind of secret, for one survivor set."""
    found = sessions(runs[name])
    assert found
    for told in found.values():
        assert len({(session.u2, session.u3, session.manifests) for session in told}) == 1
        for session in told:
            u2, u3 = (int.from_bytes(bitmap, "little") for bitmap in (session.u2, session.u3))
            assert len(session.self_seeds) == u3.bit_count() >= 4
            assert len(session.mask_secrets) == len(session.rands) == (u2 & ~u3).bit_count()


@pytest.mark.parametrize("name", EVERY)
def test_every_honest_peer_opened_one_direction_of_a_session_at_most(runs: dict[str, RunFolder], name: str) -> None:
    run = runs[name]
    for sid in sessions(run):
        peers = [peer for peer, _ in signed(run, sid, "Opening")]
        assert len(peers) == len(set(peers))


# round: (words of the fault, how many honest peers at least write them down)
NAMED = {
    "who_is_in": {
        1: ("outside the legal", 4),
        2: ("leaves out 1 join", 3),
        4: ("withheld share packets", 4),
        6: ("left out a peer whose vector can be had", 3),
        7: ("left out a peer whose vector can be had", 1),
        8: ("too few valid votes", 4),
        9: ("names other survivors than the vote", 4),
        10: ("not signed by it under this federation's terms", 4),
    },
    "what_comes_out": {
        1: ("is not the sum of the survivors' masked vectors", 4),
        2: ("another model", 4),
        3: ("not certified by a quorum", 4),
        4: ("not the one that the public path gives", 4),
        5: ("a second direction", 4),
    },
}
LIES = [(name, round_) for name, rounds in NAMED.items() for round_ in rounds]


@pytest.mark.parametrize(("name", "round_"), LIES, ids=str)
def test_a_lying_initiator_is_named_by_those_it_lied_to(runs: dict[str, RunFolder], name: str, round_: int) -> None:
    words, least = NAMED[name][round_]
    told = [fault for fault in runs[name].summary["faults"] if fault["round"] == round_ and words in fault["sentence"]]

    assert [fault["peer"] for fault in told] == [LIAR]
    assert len(told[0]["by"]) >= least
    assert told[0]["proof"] == ("many" if least > 1 or len(told[0]["by"]) > 1 else "word")  # no signature convicts it


@pytest.mark.parametrize("name", ["who_is_in", "what_comes_out"])
def test_lies_of_an_initiator_leave_nothing_for_the_audit_to_find(runs: dict[str, RunFolder], name: str) -> None:
    assert runs[name].summary["audit"] == {"ok": True, "findings": 0}


@pytest.mark.parametrize("round_", [1, 2, 4])
def test_nothing_is_masked_for_a_roster_or_shares_that_are_wrong(runs: dict[str, RunFolder], round_: int) -> None:
    run = runs["who_is_in"]
    sid = attacked(run)[round_]

    assert signed(run, sid, "JoinIntent"), "the session was under way"
    assert not signed(run, sid, "MaskedUpdate")


def test_a_session_with_such_a_lie_has_no_sum(runs: dict[str, RunFolder]) -> None:
    lied_in = attacked(runs["who_is_in"])

    assert not {lied_in[round_] for round_ in (1, 2, 3, 4, 6, 7, 8)} & sessions(runs["who_is_in"]).keys()


def test_a_wrong_result_is_acknowledged_and_opened_by_nobody(runs: dict[str, RunFolder]) -> None:
    run = runs["what_comes_out"]
    lied_in = attacked(run)

    assert not any(signed(run, lied_in[round_], "ResultAck") for round_ in (1, 2, 3))
    assert not any(signed(run, lied_in[round_], "Opening") for round_ in (1, 2, 3, 4))
    assert len({digest for _, digest in signed(run, lied_in[5], "Opening")}) == len(signed(run, lied_in[5], "Opening"))


def test_nobody_joins_a_session_twice_that_is_given_up_and_opened_again(runs: dict[str, RunFolder]) -> None:
    run = runs["who_is_in"]
    joined = [peer for peer, _ in signed(run, attacked(run)[11], "JoinIntent")]

    assert len(joined) == len(set(joined)) == 4
    assert not signed(run, attacked(run)[11], "Vote")


def test_two_contradicting_signatures_convict_and_the_audit_finds_them_and_nothing_else(
    runs: dict[str, RunFolder],
) -> None:
    run = runs["as_member"]
    address = run.summary["accounts"][LIAR]
    done = command("audit", run.path, "--json", folder=run.path)
    found = json.loads(done.stdout)["findings"]
    proven = [fault for fault in run.summary["faults"] if fault["proof"] == "signatures"]

    kinds = ["ResultAck", "Vote", "MaskedUpdate", "Opening"]
    assert {fault["peer"] for fault in proven} == {LIAR}
    assert [f["sentence"].split("different ")[1].split()[0] for f in sorted(proven, key=lambda f: f["round"])] == kinds
    convicted = {f["sentence"] for f in found if f["code"] == "equivocation"}
    assert convicted == {f"{address.lower()} signed 2 different {kind} statements in one session" for kind in kinds}
    assert {f["peer"] for f in found} == {address}
    assert {f["code"] for f in found} <= {"equivocation", "unjournalled", "opening-lie"}  # signed beside its journal

    deployment = Deployment.read(run.path / "deployment.json")
    domain = signing_domain(deployment.chain_id, deployment.ledger)
    for fault in proven:  # the artefact convicts anybody's reader, without journals, chain or witnesses
        evidence = decode((run.path / fault["evidence"]).read_bytes())
        assert judge_equivocation(domain, evidence) == bytes.fromhex(address[2:])


def test_the_two_signatures_convict_without_any_journal_and_forged_evidence_convicts_nobody(
    runs: dict[str, RunFolder], tmp_path: Path
) -> None:
    run = runs["as_member"]
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("peers", "secrets", "summary.json"))
    fault = next(fault for fault in run.summary["faults"] if fault["proof"] == "signatures")
    evidence = decode((run.path / fault["evidence"]).read_bytes())
    other = next(s for told in sessions(run).values() for session in told for s in session.votes)
    forged = encode(msgspec.structs.replace(evidence, second=msgspec.structs.replace(other, signature=bytes(65))))
    (copy / "store" / sha256(forged).hex()).write_bytes(forged)
    twice = encode(msgspec.structs.replace(evidence, second=evidence.first))
    (copy / "store" / sha256(twice).hex()).write_bytes(twice)

    audited = json.loads(command("audit", copy, "--json", folder=tmp_path).stdout)
    convicted = [f for f in audited["findings"] if f["code"] == "equivocation"]
    assert {f["peer"] for f in convicted} == {run.summary["accounts"][LIAR]}
    assert len({f["sentence"] for f in convicted}) == 4
    assert any("proves nothing: it is one statement twice" in note for note in audited["notes"])


def test_a_lying_member_is_named_with_what_it_did(runs: dict[str, RunFolder]) -> None:
    told = {fault["round"]: fault for fault in runs["as_member"].summary["faults"] if fault["proof"] != "signatures"}

    assert "a share that it revealed is not the one it was dealt" in told[5]["sentence"]
    assert "contradict those of more peers than can collude" in told[6]["sentence"]
    assert {told[5]["peer"], told[6]["peer"]} == {LIAR}
    assert told[5]["proof"] == "word"  # only the initiator saw the share


def test_in_a_crowd_garbage_is_named_and_whoever_gives_nothing_is_missing(runs: dict[str, RunFolder]) -> None:
    run = runs["crowd"]
    summary = run.summary
    sentences = {fault["sentence"] for fault in accused(run, set(CROWD)) if fault["peer"] == "peer-02"}
    missing = {peer: [line["round"] for line in summary["missing"] if line["peer"] == peer] for peer in CROWD}

    assert any("no message of ours" in sentence for sentence in sentences)
    assert missing["peer-02"] == missing["peer-05"] == [1, 2]
    assert missing["peer-07"] == []  # saying old things again is no reason to leave it out
    earned = {peer: int(summary["rewards"]["by_peer"].get(summary["accounts"][peer], "0")) for peer in CROWD}
    assert earned["peer-02"] == earned["peer-05"] == 0
    assert summary["audit"] == {"ok": True, "findings": 0}


def test_every_lie_of_the_examples_is_played_here() -> None:
    text = LIARS.read_text()
    lies = {line.split("(")[0].removeprefix("def ") for line in text.splitlines() if line.startswith("def ")}
    tours = [line for line in text.splitlines() if line.split(" ")[0].isupper()]
    toured = set(itertools.chain.from_iterable(line.split("(")[1].rstrip(")").split(", ") for line in tours))
    helpers = {"edits", "initiator", "member", "victim_of", "one_half"}

    assert {lie for lie in lies if not lie.startswith("_")} - helpers == toured | set(CROWD.values())
