"""What a transcript proves of its screening: first certificate, sketches, second certificate, and who lied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage_crypto.screening import Screen, judge_words
from peerage_crypto.secagg_member import is_certificate
from peerage_crypto.session import MANIFEST_FAULTS, RosterRefused, manifest_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from peerage_crypto.session import Roster, SessionTranscript
    from peerage_crypto.sketches import Directions, Stated, Verdict

LIES = {
    "sketch-self": "the projections that it stated of its own mask are not those of the seed that it committed to",
    "sketch-pair": "the projections that it stated of a mask are not those of the key that was revealed",
    "sketch-vector": "the projections that it stated of its masked vector are not those of the vector that it signed",
}
Found = tuple[str, "bytes | None", str]  # code, culprit, sentence


@dataclass(frozen=True, slots=True)
class Screening:
    """A screening whose statements all hold. `liars` were left out and lied about masks all the same."""

    case: Screen
    words: Mapping[bytes, Stated]
    directions: Directions
    verdict: Verdict
    false: frozenset[bytes]
    liars: Mapping[bytes, str]

    @property
    def failed(self) -> dict[bytes, str]:
        """Who was left out for what it sent, and why; who was only silent is not here."""
        return {m: why for m, why in (dict(self.verdict.failed) | dict(self.liars)).items() if why != "silent"}

    def false_vectors(self, vectors: Mapping[bytes, NDArray[np.unsignedinteger]]) -> list[Found]:
        """Survivors whose stated projections are not those of their vectors, which signatures tie to them."""
        lying = self.case.false_among(vectors, self.words, self.directions)
        return [("sketch-vector", m, LIES["sketch-vector"]) for m in sorted(lying - self.false)]


def judge_screening(  # noqa: C901 - one line for each rule
    roster: Roster, u2: tuple[bytes, ...], u4: tuple[bytes, ...], t: SessionTranscript
) -> Screening | list[Found]:
    """Everything between the two certificates, screened again; the secrets in the transcript are checked by now."""
    initiator, terms, record = roster.plan.initiator, roster.plan.sketches, t.screening
    if terms is None or record is None:
        return [("screening-missing", initiator, "a screening is where none was agreed, or none where one was")]
    try:
        u3, false = roster.select(record.u3), frozenset(roster.select(record.false))
    except RosterRefused as error:
        return [("screening-shape", initiator, f"the screening does not hold: {error}")]
    out = [m for m in u3 if m not in u4]
    if not set(u4) <= set(u3) <= set(u2) or len(record.left_out) != len(out) or len(record.lates) != len(u3):
        return [("screening-shape", initiator, "the lists of a screening do not fit its survivors")]
    manifests = dict(zip(u4, t.manifests, strict=True)) | dict(zip(out, record.left_out, strict=True))
    u2_digest = roster.u2_digest(t.u2)
    faults = (manifest_fault(roster, u2_digest, m, manifests[m]) for m in out)
    if code := next((fault for fault in faults if fault), ""):
        return [(code, initiator, MANIFEST_FAULTS[code])]
    survivors = roster.survivors_digest(record.u3, tuple(manifests[m] for m in u3))
    if not is_certificate(roster, survivors, t.votes):
        return [("session-votes", initiator, "the survivors are not certified by a quorum of votes")]
    case = Screen(roster, terms, u2, u2_digest, u3, survivors, manifests)
    if not all(map(case.is_late, u3, record.lates)):
        return [("screening-seed", initiator, "the late randomness is not what stands behind the manifests")]
    found = [case.stated(sketch) for sketch in record.sketches]
    words = dict(one for one in found if one is not None)
    if len(words) != len(found) or list(words) != sorted(words):
        return [("screening-sketches", initiator, "a sketch is signed by nobody, or stands in the wrong place")]
    verdict = case.verdict(words, false)
    if case.passing(verdict) != u4:
        return [("screening-verdict", initiator, "the survivors are not those that pass by what they stated")]
    if not is_certificate(roster, case.digest(t.u3, record.false, record.sketches), record.votes):
        return [("screening-votes", initiator, "the screening is not certified by a quorum of votes")]
    directions = case.directions(record.lates)
    secrets = dict(zip((m for m in u2 if m not in u4), t.mask_secrets, strict=True))
    lies = judge_words(case, words, directions, dict(zip(u4, t.self_seeds, strict=True)), secrets)
    in_sum = [(code, who, LIES[code]) for who, code in sorted(lies.items()) if who in u4]
    if in_sum:  # nobody knows what such a vector is: the round does not stand, and everybody sees whose fault it is
        return [*in_sum]
    return Screening(case, words, directions, verdict, false, lies)
