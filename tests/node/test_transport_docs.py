"""docs/transport.md names tests that exist, and numbers that the settings have."""

import ast
import re
from pathlib import Path

import pytest

from peerage.transport.limits import TransportSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "transport.md").read_text()
FILES = {
    "X": "test_transport_exposed.py",
    "F": "test_transport_findings.py",
    "Z": "test_relay_zmq.py",
    "T": "test_relay_tunnels.py",
    "S": "test_relay_sealed.py",
    "W": "test_relay_forwarding.py",
}
NAMED = re.findall(r"`([A-Z])::(test_\w+)`", PAGE)


def test_every_attack_names_a_test():
    rows = re.findall(r"^\|(?! attack|---).*\| `\w::", PAGE, re.MULTILINE)
    assert len(rows) >= 29
    assert len(NAMED) == PAGE.count("::test_")


@pytest.mark.parametrize("letter", FILES)
def test_the_named_tests_exist(letter):
    assert f"`{letter}`" in PAGE
    tree = ast.parse((Path(__file__).parent / FILES[letter]).read_text())
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    wanted = {name for one, name in NAMED if one == letter}
    assert wanted
    assert wanted <= there


def test_the_limits_are_those_of_the_settings():
    s = TransportSettings()
    assert (
        f"{s.frames_a_second:.0f} frames, {s.bytes_a_second / 2**20:.0f} MiB, {s.requests_a_second:.0f} requests"
        in PAGE
    )
    assert f"{s.pending_bytes >> 20} MiB, {s.pending_frames} frames and {s.pending_age:.0f} s" in PAGE
    assert f"`HANDSHAKE_IVL` ({s.handshake:.0f} s)" in PAGE
    assert f"share its {s.credits} credits" in PAGE
    assert f"{s.relayed_a_second / 2**20:.0f} MiB a second" in PAGE
