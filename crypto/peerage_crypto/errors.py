"""Whose fault it is: the user's, a peer's, the chain's, nobody's, or ours.

Every message is one sentence that says what, where, and what to do. The command line prints it and leaves with
`exit_code`: 1 the work found fault, 2 wrong usage or input, 3 a part was unreachable. Malformed bytes from outside
raise a ValueError where they are decoded; whoever knows the sender turns that into a PeerError.
"""

from __future__ import annotations

from typing import ClassVar


class PeerageError(Exception):
    """Any failure that we can name."""

    exit_code: ClassVar[int] = 1


class InputError(PeerageError):
    """The user's input: a flag, a setting, a file, a password."""

    exit_code: ClassVar[int] = 2


class PeerError(PeerageError):
    """A peer sent what no honest peer sends; `address` (20 bytes) is the one to blame."""

    def __init__(self, address: bytes, sentence: str) -> None:
        super().__init__(address, sentence)
        self.address = address
        self.sentence = sentence

    def __str__(self) -> str:
        return f"peer 0x{self.address.hex()}: {self.sentence}"


class ChainError(PeerageError):
    """The chain said no, or is not what it should be."""


class Unreachable(PeerageError):
    """A part did not answer; the same request may succeed later."""

    exit_code: ClassVar[int] = 3


class OurError(PeerageError):
    """A state that our own code should have made impossible: a bug, to be reported with its log."""
