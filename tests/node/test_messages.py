"""Decode into a class or refuse: nothing else comes in."""

import contextlib
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from peerage import messages as m
from peerage_crypto.errors import PeerError

sys.path.insert(0, str(Path(__file__).parent))

from schedules import kill_at
from simulator import Simulation, Weather

SENDER = b"s" * 20


@pytest.fixture(scope="module")
def wire() -> list[m.Message]:
    """Every message of a run in bad weather."""
    sim = Simulation(5, seed=31, rounds=2, weather=Weather(loss=0.1, delay=(0.001, 0.3))).start()
    victim = next(iter(sim.hosts.values()))
    sim.at(0.07, lambda: sim.crash(victim))
    sim.at(20, lambda: sim.revive(victim))
    sim.run()
    screened = Simulation(4, rounds=1, sketches=8).start().run()
    private = Simulation(10, seed=4, rounds=1, private=True).start()
    kill_at(private, m.Gradient, 3, 3.0)  # asked for meanwhile; it comes back without its keys, and says so
    private.run()
    return [message for _, _, message in [*sim.wire, *screened.wire, *private.wire]]


def test_every_message_survives_its_encoding(wire: list[m.Message]) -> None:
    for message in wire:
        frame = m.encode(message)
        assert len(frame) <= m.MAX_FRAME_BYTES
        assert m.decode(SENDER, frame) == message


def test_the_run_used_nearly_all_messages(wire: list[m.Message]) -> None:
    assert {k.__name__ for k in get_args(m.Message)} - {type(x).__name__ for x in wire} <= {
        "Abandoned",
        "Abstained",
        "Gathered",  # in rounds with regional leaders only, as are products
        "LeavesAsked",  # where sums are too large to be added up by everybody
        "LeavesTold",
        "PlainNews",
        "Products",
    }


def test_a_cut_or_changed_frame_is_refused_or_is_another_message_of_ours(wire: list[m.Message]) -> None:
    for message in wire[::50]:
        frame = m.encode(message)
        for position in range(0, len(frame), 7):
            with pytest.raises(PeerError) as caught:
                m.decode(SENDER, frame[:position])
            assert caught.value.address == SENDER
            mutant = frame[:position] + bytes([frame[position] ^ 0xFF]) + frame[position + 1 :]
            with contextlib.suppress(PeerError):
                assert isinstance(m.decode(SENDER, mutant), get_args(m.Message))


@pytest.mark.parametrize(
    "value",
    [
        {"type": "nonsense"},
        {"type": "fresh", "record": b"short", "round": 1, "transcript": bytes(32), "version": 1, "ready": True},
        {"type": "fresh", "record": bytes(32), "round": -1, "transcript": bytes(32), "version": 1, "ready": True},
        {"type": "refusal", "sid": bytes(32), "sentence": "x" * 301},
        [1, 2, 3],
        "head?",
    ],
)
def test_what_is_no_message_is_its_senders_fault(value: object) -> None:
    with pytest.raises(PeerError):
        m.decode(SENDER, msgspec.msgpack.encode(value))


def test_an_oversized_frame_is_refused_unread() -> None:
    with pytest.raises(PeerError, match="above the limit"):
        m.decode(SENDER, bytes(m.MAX_FRAME_BYTES + 1))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(PeerError):
        m.decode(SENDER, b"\x91" * 100_000)
