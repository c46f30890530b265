"""A small network of network namespaces for tests: every node has an address of its own, and there is weather between
them. Bounded in size, and gone when the test is, however it ends.

Each namespace has one TUN device; a thread here carries packets from device to device (the air). Delay, loss and
bandwidth are tc netem's where the kernel has it; where it has not (many small kernels), the air itself delays, loses
and queues each packet by the same rules. A partition is air that carries nothing between two groups. TCP above sees no
difference: it is the kernel's, with real retransmissions between separate stacks.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import heapq
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 6  # namespaces of one network
PREFIX = "peerage-"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
QUEUE = 1000  # packets that wait for one sender's bandwidth; as in netem, the next one is lost
CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21


def require() -> None:
    """Skip with the reason where namespaces cannot be made; fail where CI demands them."""
    why = _why_not()
    if why and os.environ.get("CI") == "true":
        pytest.fail(why)
    if why:
        pytest.skip(why)


def _why_not() -> str:
    if shutil.which("ip") is None or shutil.which("tc") is None:
        return "network namespaces need iproute2 (the commands ip and tc)"
    if not os.path.exists("/dev/net/tun"):  # noqa: PTH110 - a device
        return "network namespaces need /dev/net/tun"
    with open("/proc/self/status") as status:  # noqa: PTH123
        held = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff"))
    if not (held >> CAP_NET_ADMIN & 1 and held >> CAP_SYS_ADMIN & 1):
        return "network namespaces need root (CAP_NET_ADMIN and CAP_SYS_ADMIN)"
    return ""


@dataclass(frozen=True)
class Weather:
    """Of what leaves one node: one way's delay in seconds, the share of packets lost, bits a second (0: no limit)."""

    delay: float = 0.0
    loss: float = 0.0
    rate: float = 0.0


@dataclass
class Node:
    """One namespace; `run` is what a command begins with to run in it."""

    name: str
    address: str
    device: str
    tun: int

    @property
    def run(self) -> list[str]:
        return ["ip", "netns", "exec", self.name]


@dataclass
class Network:
    """`nodes` namespaces with addresses 10.77.0.1 and on; leaving the block takes everything away."""

    count: int
    seed: int = 0
    nodes: list[Node] = field(default_factory=list)
    carried: int = 0  # packets
    lost: int = 0
    cut_off: int = 0

    def __enter__(self) -> Self:
        assert 0 < self.count <= MOST
        _sweep()
        self._by_address: dict[bytes, Node] = {}
        self._weather: dict[str, Weather] = {}
        self._sides: dict[str, int] = {}
        self._free: dict[str, float] = {}
        self._random = random.Random(self.seed)
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._ends, self._end = os.pipe()
        atexit.register(self._remove)
        try:
            for number in range(1, self.count + 1):
                self._add(number)
        except BaseException:
            self._remove()
            raise
        self.netem = self._has_netem()
        self._air = threading.Thread(target=self._carry, name="air", daemon=True)
        self._air.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._end, b"x")
        self._air.join(5)
        self._remove()
        atexit.unregister(self._remove)

    # -- what a test does ----------------------------------------------------------------------------------------------

    def weather(self, weather: Weather, nodes: Iterable[Node] | None = None) -> None:
        """From now on, for packets that leave these nodes (default: all)."""
        for node in nodes or self.nodes:
            if self.netem:
                how = ["delay", f"{1000 * weather.delay:.0f}ms", "loss", f"{100 * weather.loss:g}%"]
                how += ["rate", f"{weather.rate:.0f}bit"] if weather.rate else []
                _ip("tc", "-n", node.name, "qdisc", "replace", "dev", node.device, "root", "netem", *how)
            else:
                self._weather[node.name] = weather

    def partition(self, *sides: Iterable[Node]) -> None:
        """From now on packets stay on their side."""
        self._sides = {node.name: side for side, nodes in enumerate(sides) for node in nodes}

    def heal(self) -> None:
        self._sides = {}

    # -- making and removing -------------------------------------------------------------------------------------------

    def _add(self, number: int) -> None:
        name = f"{PREFIX}{os.getpid()}-{number}"
        device, address = f"pg{os.getpid() % 10**7}n{number}", f"10.77.0.{number}"
        _ip("ip", "netns", "add", name)
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        node = Node(name, address, device, tun)
        self.nodes.append(node)
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN | IFF_NO_PI))
        _ip("ip", "link", "set", "dev", device, "netns", name)
        _ip("ip", "-n", name, "addr", "add", f"{address}/24", "dev", device)
        _ip("ip", "-n", name, "link", "set", "lo", "up")
        _ip("ip", "-n", name, "link", "set", "dev", device, "up")
        self._by_address[socket.inet_aton(address)] = node

    def _remove(self) -> None:
        for node in self.nodes:
            with contextlib.suppress(OSError):
                os.close(node.tun)  # the device goes with it
            subprocess.run(["ip", "netns", "del", node.name], check=False, capture_output=True)
        self.nodes = []

    def _has_netem(self) -> bool:
        first = self.nodes[0]
        asked = ["tc", "-n", first.name, "qdisc", "replace", "dev", first.device, "root", "netem", "delay", "0ms"]
        return subprocess.run(asked, check=False, capture_output=True).returncode == 0

    # -- the air -------------------------------------------------------------------------------------------------------

    def _carry(self) -> None:
        by_tun = {node.tun: node for node in self.nodes}
        count = 0
        while True:
            due = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else 1.0
            ready, _, _ = select.select([self._ends, *by_tun], [], [], due)
            if self._ends in ready:
                return
            for tun in ready:
                with contextlib.suppress(BlockingIOError):
                    while packet := os.read(tun, 65536):
                        count += 1
                        self._send(by_tun[tun], packet, count)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, tun, packet = heapq.heappop(self._waiting)
                with contextlib.suppress(OSError):  # a full queue at the receiver: the packet is lost
                    os.write(tun, packet)
                    self.carried += 1

    def _send(self, sender: Node, packet: bytes, count: int) -> None:
        receiver = self._by_address.get(packet[16:20]) if packet[0] >> 4 == 4 else None
        if receiver is None:
            return
        if self._sides.get(sender.name) != self._sides.get(receiver.name):
            self.cut_off += 1
            return
        weather, now = self._weather.get(sender.name, Weather()), time.monotonic()
        free = max(now, self._free.get(sender.name, 0.0))
        each = 8 * len(packet) / weather.rate if weather.rate else 0.0
        if self._random.random() < weather.loss or (each and free - now > QUEUE * 8 * 1500 / weather.rate):
            self.lost += 1
            return
        self._free[sender.name] = free + each
        heapq.heappush(self._waiting, (free + each + weather.delay, count, receiver.tun, packet))


def _ip(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def _sweep() -> None:
    """Namespaces of tests that were killed: their process is gone."""
    listed = subprocess.run(["ip", "netns", "list"], check=False, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        name = line.split()[0] if line.split() else ""
        pid = name.removeprefix(PREFIX).split("-")[0]
        if name.startswith(PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


FORWARD = """
import asyncio, sys

async def pour(source, sink):
    try:
        while block := await source.read(65536):
            sink.write(block)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()

async def connect(reader, writer):
    theirs = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(pour(reader, theirs[1]), pour(theirs[0], writer))

async def main():
    server = await asyncio.start_server(connect, sys.argv[1], int(sys.argv[2]))
    print("forwarding", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""  # python -c FORWARD ADDRESS PORT: what listens on a namespace's loopback answers on its address too
