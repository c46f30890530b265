"""The rules for starting many peers, one test each, with stand-in peers in real processes."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest

from peerage.config import Part
from peerage.launch.cast import Cast
from peerage.launch.crew import Crew
from peerage.launch.live import Screen, View
from peerage.launch.processes import PeerLauncher, PeerProcess, stop_all
from peerage.status import PeerSpec, Status, receive_status
from peerage_crypto.errors import InputError, Unreachable

# Stand-ins for peerage.peer: imported by the children from a folder on their path.
STAND_INS = """
import os, random, signal, sys, time
from multiprocessing.connection import wait
import numpy as np, torch
from peerage.status import Status, send_status

def say(pipe, spec, **more):
    send_status(pipe, Status(peer=spec.name, **more))

def obedient(spec, pipe):
    say(pipe, spec, state="ready")
    wait([pipe])
    return 0

def deaf(spec, pipe):
    say(pipe, spec, state="ready")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)

def telling(spec, pipe):
    facts = [random.random(), float(np.random.random()), float(torch.rand(1)), torch.get_num_threads(),
             0,
             os.urandom(8).hex(), sys.modules["stand_in_preload"].PID, os.getpid(),
             signal.getsignal(signal.SIGINT) is signal.SIG_IGN]
    say(pipe, spec, state="ready", note=repr(facts))
    wait([pipe])
    return 0

def computing(spec, pipe):
    torch.randn(300, 300) @ torch.randn(300, 300)
    say(pipe, spec, state="ready")
    return 0

def buggy(spec, pipe):
    raise ZeroDivisionError("oops")

def wrong(spec, pipe):
    from peerage_crypto.errors import InputError
    raise InputError("the model does not fit the data")

def training(spec, pipe):
    start = 1
    if spec.resume:
        start = int(open(spec.run_dir + "/" + spec.name).read())
    for n in range(start, 9):
        open(spec.run_dir + "/" + spec.name, "w").write(str(n))
        say(pipe, spec, state="running", round=n, phase="train", version=n, note="resumed" if spec.resume else "")
        time.sleep(0.06)
    say(pipe, spec, state="finished", round=8, version=8)
    wait([pipe])
    return 0

def dying(spec, pipe):
    if spec.index == 1:
        say(pipe, spec, state="running", round=1)
        os.kill(os.getpid(), signal.SIGKILL)
    return training(spec, pipe)

def silent(spec, pipe):
    say(pipe, spec, state="running", round=1)
    wait([pipe])
    return 0
"""
PRELOAD = """
import os, threading
import torch
torch.set_num_threads(1)
torch.set_num_interop_threads(1)
PID = os.getpid()
"""


@pytest.fixture(autouse=True, scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One fork server for all tests here, with the stand-ins on its path."""
    folder = tmp_path_factory.mktemp("stand_ins")
    (folder / "stand_ins.py").write_text(STAND_INS)
    (folder / "stand_in_preload.py").write_text(PRELOAD)
    forkserver._forkserver._stop()  # another module's has other imports
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder))
        yield folder
    forkserver._forkserver._stop()


def launcher(what: str) -> PeerLauncher:
    made = PeerLauncher(("stand_in_preload",), f"stand_ins:{what}")
    made.warm_up()
    return made


def spec(folder: Path, index: int = 0, **more: object) -> PeerSpec:
    return PeerSpec(
        name=f"peer-{index + 1:02d}",
        index=index,
        run_dir=str(folder),
        secrets_dir="",
        password_file="",
        deployment="",
        host_probe="",
        **more,
    )


def first(peer: PeerProcess) -> Status:
    assert peer.pipe.poll(60)
    return receive_status(peer.pipe)


def gone(pid: int, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def crew(folder: Path, what: str, peers: int, parts: tuple[Part, ...] = (), patience: float = 60.0) -> Crew:
    specs = [spec(folder, index) for index in range(peers)]
    view = View(names=tuple(s.name for s in specs), rounds=8, statuses={}, behaviours={})
    return Crew(launcher(what), specs, view, Cast(parts), [].append, patience_seconds=patience)


def played(crew: Crew) -> Crew:
    crew.start()
    try:
        with Path(os.devnull).open("w") as nowhere:
            crew.run(Screen(to_stderr=False, file=nowhere), lambda: ())
    finally:
        crew.stop()
    return crew


def test_children_share_the_imports_but_no_randomness(tmp_path: Path) -> None:
    start = launcher("telling")
    peers = [start.start(spec(tmp_path, index, seed=7)) for index in (0, 1, 0)]
    facts = [eval(first(peer).note) for peer in peers]
    stop_all(peers)
    one, other, again = facts
    assert {f[6] for f in facts} != {f[7] for f in facts}
    assert len({f[6] for f in facts}) == 1  # imported once, in the server
    assert all(a != b for a, b in zip(one[:3], other[:3], strict=True))
    assert one[:3] == again[:3]  # derived from (seed, index), so a repeated run draws the same
    assert len({f[5] for f in facts}) == 3  # the operating system's is everybody's own
    assert all(f[3] == 1 for f in facts)
    assert all(f[8] for f in facts)  # Ctrl-C is the launcher's to answer


def test_a_child_computes_after_the_fork(tmp_path: Path) -> None:
    peer = launcher("computing").start(spec(tmp_path))
    assert first(peer).state == "ready"
    peer.process.join(30)
    assert peer.process.exitcode == 0


def test_the_preload_has_one_thread_no_context_and_no_computation() -> None:
    """In a fresh interpreter, as the fork server sees it."""
    script = """
    import importlib, sys, types
    for name in ("peerage.peer",):  # its own imports are its own tests' business
        sys.modules.setdefault(name, types.ModuleType(name))
    import torch
    calls = []
    from torch.utils._python_dispatch import TorchDispatchMode
    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, kinds, args=(), kwargs=None):
            calls.append((str(func), torch.get_num_threads())); return func(*args, **(kwargs or {}))
    with Watch():
        import peerage.launch.preload
    import threading, zmq
    assert torch.get_num_threads() == 1 and torch.get_num_interop_threads() == 1
    assert all(threads == 1 for _, threads in calls), calls
    assert not [c for c in calls if not c[0].startswith(("aten.empty", "aten.detach"))], calls
    assert threading.active_count() == 1
    assert zmq.Context._instance is None
    assert "codecarbon" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_peer_that_is_asked_stops_and_one_that_is_deaf_is_ended(tmp_path: Path) -> None:
    good, deaf = launcher("obedient").start(spec(tmp_path, 0)), launcher("deaf").start(spec(tmp_path, 1))
    first(good)
    first(deaf)
    stop_all([good, deaf])
    assert good.process.exitcode == 0
    assert deaf.process.exitcode not in (0, None)


def test_a_second_interrupt_kills_at_once(tmp_path: Path) -> None:
    deaf = launcher("deaf").start(spec(tmp_path))
    first(deaf)
    stop_all([deaf], at_once=True)
    assert deaf.process.exitcode == -signal.SIGKILL


def test_a_launcher_killed_with_kill_9_leaves_no_orphans(tmp_path: Path, stand_ins: Path) -> None:
    script = f"""
    import sys, time
    sys.path.insert(0, {str(stand_ins)!r})
    from peerage.launch.processes import PeerLauncher
    from peerage.status import PeerSpec, receive_status
    made = []
    for n, what in enumerate(("obedient", "deaf")):
        start = PeerLauncher(("stand_in_preload",), "stand_ins:" + what)
        peer = start.start(PeerSpec(name=what, index=n, run_dir={str(tmp_path)!r}, secrets_dir="", password_file="",
                                    deployment="", host_probe=""))
        receive_status(peer.pipe)
        made.append(peer)
    print(*(p.process.pid for p in made), flush=True)
    time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_bug_and_a_wrong_input_are_told_apart(tmp_path: Path) -> None:
    buggy, wrong = launcher("buggy").start(spec(tmp_path, 0)), launcher("wrong").start(spec(tmp_path, 1))
    assert "ZeroDivisionError: oops" in first(buggy).note
    assert first(wrong).note == "the model does not fit the data"
    for peer in (buggy, wrong):
        peer.process.join(30)
    assert (buggy.process.exitcode, wrong.process.exitcode) == (1, 2)
    assert "Traceback" in (tmp_path / "peers" / "peer-01" / "log.txt").read_text()
    assert int((tmp_path / "peers" / "peer-02" / "pid").read_text()) == wrong.process.pid


def test_without_a_fork_server_it_spawns_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("peerage.launch.processes.multiprocessing.get_all_start_methods", lambda: ["spawn"])
    start = PeerLauncher(("stand_in_preload",), "stand_ins:obedient")
    assert "no fork server" in start.note
    start.warm_up()
    peer = start.start(spec(tmp_path))
    assert first(peer).state == "ready"
    stop_all([peer])
    assert peer.process.exitcode == 0


def test_the_crew_plays_the_cast_to_the_end(tmp_path: Path) -> None:
    done = played(crew(tmp_path, "training", 3, (Part(peer="peer-02", kill_in_round=3, return_in_round=5),)))
    assert {s.state for s in done.view.statuses.values()} == {"finished"}
    assert done.view.statuses["peer-02"].version == 8
    assert any("peer-02 was killed in round 3" in note for note in done.view.notes)
    assert "peer-02: resumed" in done.view.notes
    assert done.lost == {}
    assert done.times.trained is not None


def test_a_peer_that_never_returns_is_away_and_the_run_ends(tmp_path: Path) -> None:
    done = played(crew(tmp_path, "training", 2, (Part(peer="peer-02", kill_in_round=2),)))
    assert done.view.away == {"peer-02"}
    assert done.view.statuses["peer-01"].state == "finished"


def test_a_peer_that_dies_unasked_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    done = played(crew(tmp_path, "dying", 2))
    assert done.lost == {"peer-02": "ended with exit code -9"}
    assert done.view.statuses["peer-01"].state == "finished"


def test_a_wrong_input_in_a_peer_ends_the_run_with_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the model does not fit the data"):
        played(crew(tmp_path, "wrong", 2))


def test_a_run_in_which_nothing_moves_is_ended(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="nothing has moved"):
        played(crew(tmp_path, "silent", 2, patience=1.0))
