"""The first thing peers tell each other: the terms they stand on; a peer set up otherwise learns it in a sentence.

Sessions are bound to the terms anyway (`judgement.session_terms`): this only makes the refusal readable. Whoever
differs from more of the others than agree with it stops, once those have heard why; the rest record the odd one and go
on.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from peerage.learning.model import Layout, describe_difference
from peerage_crypto.errors import PeerError
from peerage_crypto.statements import Bytes32

Name = Annotated[str, msgspec.Meta(max_length=200)]
Shape = Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(max_length=16)]
MAX_ENTRIES = 2000  # tensors of a model


class Greeting(msgspec.Struct, frozen=True):
    """Hash by hash what a peer stands on; `settings` is the federation file's, `genesis` the initial model's."""

    settings: Bytes32
    genesis: Bytes32
    validation: Bytes32
    layout: Annotated[tuple[tuple[Name, Shape], ...], msgspec.Meta(max_length=MAX_ENTRIES)]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Greeting)


def encode(greeting: Greeting) -> bytes:
    return _encoder.encode(greeting)


def decode(sender: bytes, frame: bytes) -> Greeting:
    try:
        return _decoder.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(sender, f"a greeting that is none: {error}") from error


def difference(mine: Greeting, theirs: Greeting) -> str:
    """What differs, for people; empty when nothing does."""
    if mine.layout != theirs.layout:
        return f"the model's layout differs: {describe_difference(_layout(mine), _layout(theirs))}"
    if mine.settings != theirs.settings:
        return "the federation file has other settings there than here"
    if mine.genesis != theirs.genesis:
        return "the initial model differs: another seed, model code or build of torch"
    if mine.validation != theirs.validation:
        return "the validation rows differ: name the same public file everywhere"
    return ""


def _layout(greeting: Greeting) -> Layout:
    return tuple((name, tuple(shape)) for name, shape in greeting.layout)


class Greetings:
    """What the others stand on, as far as they have said, and who has been told what I stand on."""

    def __init__(self, mine: Greeting) -> None:
        self.mine = mine
        self._differing: dict[bytes, str] = {}
        self._agreeing: set[bytes] = set()
        self._told: set[bytes] = set()

    def on_greeting(self, sender: bytes, theirs: Greeting) -> str:
        """The difference to record against this sender (empty: none)."""
        why = difference(self.mine, theirs)
        if why:
            self._differing[sender] = why
        else:
            self._agreeing.add(sender)
        return why

    def told(self, address: bytes) -> None:
        """My greeting is on its way there."""
        self._told.add(address)

    @property
    def odd(self) -> str:
        """Why I cannot take part; empty while I can."""
        if len(self._differing) <= len(self._agreeing) + 1:
            return ""
        why = list(self._differing.values())[-1]
        return f"this peer cannot take part, {len(self._differing)} others stand on something else: {why}"

    @property
    def explained(self) -> bool:
        """Everybody who differs knows from me what I stand on, and can name me to its people."""
        return self._differing.keys() <= self._told
