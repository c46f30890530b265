"""What a message proves beside its content: the signed statements in it, held against what their signers said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peerage import messages as m
from peerage_crypto.equivocation import Equivocation, Witness, artefact_of, encode
from peerage_crypto.opening import Openings, Pledge
from peerage_crypto.session import Ballot, Certificate, Manifest, Survivors
from peerage_crypto.sketch_messages import Approval, Cleared, Screened, Sketched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage_crypto.statements import Signed

MOST = 256  # statements in one message: more than any legal one has

__all__ = ["Witness", "artefact_of", "encode", "found_in"]


def found_in(witness: Witness, message: m.Message) -> list[Equivocation[Any]]:
    """Evidence that this message completes: a statement in it contradicts an earlier one of the same signer."""
    return [evidence for signed in _signed(message)[:MOST] if (evidence := witness.hear(signed)) is not None]


def _signed(message: m.Message) -> Sequence[Signed[Any]]:
    match message:
        case Manifest() | Ballot() | Sketched() | Approval() | Pledge() | Openings() | m.Ack() | m.Gradient():
            return (message.signed,)
        case m.Direction():
            return message.gradients
        case Survivors():
            return message.manifests
        case Certificate() | Cleared():
            return message.votes
        case Screened():
            return tuple(sketch.signed for sketch in message.sketches)
        case _:
            return ()
