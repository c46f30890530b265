"""The network that other tests run on is what it says: separate addresses, delay, loss, bandwidth, and a partition."""

from __future__ import annotations

import subprocess
import sys

import netns
import pytest

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

ECHO = """
import socket, sys
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.bind((sys.argv[1], 7))
print("ready", flush=True)
while True:
    said, sender = peer.recvfrom(2048)
    peer.sendto(said, sender)
"""
ASK = """
import socket, sys, time
me = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
me.settimeout(0.4)
back, slowest, fastest = 0, 0.0, 9.0
start = time.monotonic()
for number in range(int(sys.argv[2])):
    sent = time.monotonic()
    me.sendto(b"." * int(sys.argv[3]), (sys.argv[1], 7))
    try:
        me.recv(2048)
    except OSError:
        continue
    back, fastest = back + 1, min(fastest, time.monotonic() - sent)
print(back, fastest)
"""


def ask(source: netns.Node, target: netns.Node, times: int, size: int = 64) -> tuple[int, float]:
    """(how many answers of so many questions came back, the fastest one's seconds)."""
    command = [*source.run, sys.executable, "-c", ASK, target.address, str(times), str(size)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=50).stdout.split()
    return int(said[0]), float(said[1])


def test_weather_and_partition_are_felt_between_two_addresses() -> None:
    netns.require()
    with netns.Network(2, seed=1) as network:
        here, there = network.nodes
        echo = subprocess.Popen(
            [*there.run, sys.executable, "-c", ECHO, there.address], stdout=subprocess.PIPE, text=True
        )
        try:
            assert echo.stdout is not None
            assert echo.stdout.readline() == "ready\n"
            assert ask(here, there, 5)[0] == 5

            network.weather(netns.Weather(delay=0.05))
            answered, fastest = ask(here, there, 5)
            assert answered == 5
            assert fastest >= 0.1  # there and back

            network.weather(netns.Weather(rate=100_000))
            assert ask(here, there, 3, 1250)[1] >= 0.2  # 1250 bytes at 100 kbit/s: a tenth of a second each way

            network.weather(netns.Weather(loss=0.5))
            answered, _ = ask(here, there, 40)
            assert 0 < answered < 30  # a quarter comes back

            network.weather(netns.Weather())
            network.partition([here], [there])
            assert ask(here, there, 3)[0] == 0
            network.heal()
            assert ask(here, there, 5)[0] == 5
        finally:
            echo.kill()
            echo.wait()
            echo.stdout.close()
        names = [node.name for node in network.nodes]
    left = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    assert not any(name in left for name in names)


def test_without_the_right_to_make_them_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns.shutil, "which", lambda _: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="iproute2"):
        netns.require()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="iproute2"):
        netns.require()
