"""`flood`: an exposed peer before, under and after what strangers and insiders do to it; and what a relay costs."""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Self

import zmq

from benchmarks.exposed import GREETING, MIB, Here, Strangers, There, address, half_a_command, keys
from benchmarks.result import Aim, Result, at_most, say
from peerage.transport.interface import Fetched
from peerage_crypto.identity import CurveKeys

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

VICTIM, HONEST, INSIDER, HIDDEN = 1, 2, 3, 4
NOWHERE = "tcp://127.0.0.1:1/2"
MOST = 500  # connections: loopback or not, this is a measurement and no attack


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("flood", help="memory and latency of a peer under floods; a relay beside direct")
    parser.add_argument("--connections", type=int, default=300, help=f"of strangers at a time, at most {MOST}")
    parser.add_argument("--echoes", type=int, default=200, help="frames there and back for each latency")
    parser.add_argument("--seconds", type=float, default=3.0, help="of the insider's flood")
    parser.add_argument("--megabytes", type=int, default=64, help="MiB pulled, direct and through the relay")
    parser.set_defaults(measure=flood)


def flood(args: argparse.Namespace) -> Result:
    count = min(args.connections, MOST)
    ours: dict[str, Any] = {}
    for name, words in (("silent", b""), ("greeted", GREETING), ("half_a_command", half_a_command(200 * 1024))):
        say(f"flood: {count} connections of strangers, {name}")
        with LaterStrangers(count, words) as crowd:
            ours[f"strangers_{name}"] = under(args, crowd.start, crowd.stop)
    say(f"flood: {count} connections with keys that nobody registered")
    with Keyed(count) as keyed:
        ours["strangers_with_keys"] = under(args, keyed.start, keyed.stop)
    say("flood: an insider that sends without measure")
    with Insider(args.seconds) as insider:
        ours["insider"] = under(args, insider.start, insider.stop) | {"its_frames_a_second": insider.rate()}
    say("flood: an insider that reads nothing")
    ours["slow_reader"] = slow_reader()
    say("flood: a relay beside direct")
    relayed, direct = relaying(args)
    ratios = {
        "latency relayed / direct": relayed["median_ms"] / direct["median_ms"],
        "throughput direct / relayed": direct["mib_a_second"] / relayed["mib_a_second"],
    }
    grown = {name: one["memory_grown_mib"] for name, one in ours.items()}
    aims: list[Aim] = [
        at_most("MiB for each half-open stranger", grown["strangers_half_a_command"] / count, 0.25),
        at_most("MiB under an insider's flood", grown["insider"], 48.0),
        at_most("MiB for a peer that never reads", grown["slow_reader"], 80.0),
        at_most("MiB that the relay grew by", relayed["relay_grown_mib"], 4.0 * 2 * 2 + 16),
    ]
    return Result(
        "flood",
        {"connections": count, "echoes": args.echoes, "seconds": args.seconds, "mebibytes": args.megabytes},
        {**ours, "relayed": relayed},
        {"direct": direct},
        ratios,
        tuple(aims),
        (
            "All on the loopback of one machine: attacker, victim and honest peer share its cores.",
            "memory_grown_mib is the highest resident memory of the victim's process over what it was before.",
            "Latencies are of 9-byte frames, there and back, of an honest peer that was connected before.",
        ),
    )


def under(args: argparse.Namespace, start: Callable[[There], None], stop: Callable[[], None]) -> dict[str, Any]:
    """The victim's figures before, while and after."""
    with There(VICTIM) as victim, Here(HONEST) as honest:
        directory = {VICTIM: victim.endpoint, HONEST: honest.endpoint, INSIDER: NOWHERE}
        honest.knows(directory)
        victim.knows(directory)
        honest.echoed(VICTIM)
        before = honest.latency(VICTIM, args.echoes)
        descriptors, memory = victim.descriptors(), victim.reset_most()
        start(victim)
        meanwhile = honest.latency(VICTIM, args.echoes)
        most_descriptors = victim.descriptors()
        with Here(INSIDER + 10) as late:
            wider = directory | {late.name: late.endpoint}
            victim.knows(wider)
            late.knows(wider)
            started = time.perf_counter()
            late.echoed(VICTIM)
            joined = time.perf_counter() - started
        stop()
        time.sleep(1.0)  # libzmq lets go
        after = honest.latency(VICTIM, args.echoes)
        faults = victim.ask("heard")["faults"]
        return {
            "before": before,
            "under": meanwhile,
            "after": after,
            "a_new_peer_is_heard_after_seconds": joined,
            "memory_grown_mib": (victim.most_memory() - memory) / MIB,
            "memory_kept_mib": (victim.memory() - memory) / MIB,
            "descriptors_grown": most_descriptors - descriptors,
            "refused": victim.ask("stats")["refused"],
            "named": sorted({who for who, _ in faults}),
        }


class LaterStrangers:
    """Connections that say something and wait."""

    def __init__(self, count: int, words: bytes) -> None:
        self.count, self.words = count, words
        self.crowd: Strangers | None = None

    def start(self, victim: There) -> None:
        self.crowd = Strangers(victim.doors.control, self.count, self.words)

    def stop(self) -> None:
        if self.crowd is not None:
            self.crowd.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Keyed:
    """DEALERs that shake hands and are refused."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.context = zmq.Context()
        self.context.set(zmq.MAX_SOCKETS, 4096)
        self.sockets: list[zmq.Socket[bytes]] = []  # one that nobody holds is closed

    def start(self, victim: There) -> None:
        for n in range(self.count):
            mine = CurveKeys.from_secret(n.to_bytes(32))
            one = self.context.socket(zmq.DEALER)
            self.sockets.append(one)
            one.linger, one.reconnect_ivl = 0, 100
            one.curve_secretkey, one.curve_publickey = mine.secret, mine.public
            one.curve_serverkey = keys(VICTIM).public
            one.connect(victim.doors.control_url())
        until = time.monotonic() + 10
        while victim.ask("stats")["refused"] < self.count and time.monotonic() < until:
            time.sleep(0.05)

    def stop(self) -> None:
        self.context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Insider:
    """A registered key that sends frames of 1 kB as fast as its socket takes them, for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.sent, self.took = seconds, 0, 0.0
        self.over = Event()
        self.thread: Thread | None = None

    def start(self, victim: There) -> None:
        self.thread = Thread(target=self._pour, args=(victim.doors.control_url(),), daemon=True)
        self.thread.start()
        time.sleep(self.seconds / 4)  # its burst is spent

    def _pour(self, url: str) -> None:
        context = zmq.Context()
        one = context.socket(zmq.DEALER)
        mine = keys(INSIDER)
        one.linger = 0
        one.curve_secretkey, one.curve_publickey, one.curve_serverkey = mine.secret, mine.public, keys(VICTIM).public
        one.connect(url)
        started = time.perf_counter()
        while time.perf_counter() < started + self.seconds and not self.over.is_set():
            if one.poll(10, zmq.POLLOUT):
                one.send(bytes(1000), zmq.NOBLOCK)
                self.sent += 1
        self.took = time.perf_counter() - started
        context.destroy(linger=0)

    def stop(self) -> None:
        self.over.set()
        if self.thread is not None:
            self.thread.join()

    def rate(self) -> float:
        return self.sent / self.took

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def slow_reader() -> dict[str, Any]:
    """200 MB for a peer whose door is open and who never reads."""
    context = zmq.Context()
    door = context.socket(zmq.ROUTER)
    door.linger, door.rcvhwm = 0, 1
    door.curve_server, door.curve_secretkey = True, keys(INSIDER).secret
    port = door.bind_to_random_port("tcp://127.0.0.1")
    with There(VICTIM) as victim, Here(HONEST) as honest:
        directory = {VICTIM: victim.endpoint, HONEST: honest.endpoint, INSIDER: f"tcp://127.0.0.1:{port}/2"}
        honest.knows(directory)
        victim.knows(directory)
        honest.echoed(VICTIM)
        while address(INSIDER).hex() not in victim.ask("heard")["up"]:
            time.sleep(0.05)
        memory = victim.reset_most()
        taken = []
        for _ in range(10):
            victim.ask("send", to=INSIDER, size=200_000, count=100)
            taken.append(1000 * honest.echoed(VICTIM))
        found = {
            "memory_grown_mib": (victim.most_memory() - memory) / MIB,
            "others_worst_ms": max(taken),
            "frames_dropped": victim.ask("stats")["frames_dropped"],
        }
    context.destroy(linger=0)
    return found


def relaying(args: argparse.Namespace) -> tuple[dict[str, float], dict[str, float]]:
    """An honest peer and one that nobody can dial, with the relay between them; and the same two, direct."""
    size = args.megabytes * MIB
    found = []
    for host in (f"relay:0x{address(VICTIM).hex()}", "127.0.0.1"):
        with ExitStack() as stack:
            relay = stack.enter_context(There(VICTIM, "127.0.0.1+relay"))
            hidden = stack.enter_context(There(HIDDEN, host))
            honest = stack.enter_context(Here(HONEST))
            directory = {VICTIM: relay.endpoint, HONEST: honest.endpoint, HIDDEN: hidden.endpoint}
            for one in (relay, hidden, honest):
                one.knows(directory)
            honest.echoed(HIDDEN)
            memory = relay.reset_most()
            # there through the relay, back direct: the hidden one can dial
            latency = honest.latency(HIDDEN, args.echoes)
            name = bytes.fromhex(hidden.ask("serve", size=size))
            started = time.perf_counter()
            honest.transport.fetch(address(HIDDEN), name, size)
            data = honest.next(Fetched, 120).data
            seconds = time.perf_counter() - started
            assert hashlib.sha256(data).digest() == name
            found.append(
                latency
                | {
                    "mib_a_second": args.megabytes / seconds,
                    "relay_grown_mib": (relay.most_memory() - memory) / MIB,
                }
            )
    return found[0], found[1]
