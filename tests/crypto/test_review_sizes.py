"""The largest sessions: every message fits a frame, every transcript its limit, with room to spare."""

import msgspec
import numpy as np
import pytest

from cohort import Cohort
from peerage import messages as m
from peerage_crypto.secagg_judge import Proven, judge_session
from peerage_crypto.statements import Opening, ResultAck, Signed
from peerage_crypto.thresholds import LARGEST_ROSTER, colluders, smallest_roster, thresholds
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, SCHEMA, ParentLink, RoundTranscript, Versioned, encode

MAX64 = 2**64 - 1


@pytest.fixture(scope="module")
def largest() -> Cohort:
    return Cohort(LARGEST_ROSTER, length=2, bits=64).run()


def test_the_full_roster_has_the_most_neighbours_of_all_legal_ones():
    degrees = [
        thresholds(registered, roster).degree
        for registered in range(3, LARGEST_ROSTER + 1)
        for roster in range(smallest_roster(registered), registered + 1)
    ]
    assert max(degrees) == thresholds(LARGEST_ROSTER, LARGEST_ROSTER).degree == 80
    assert colluders(LARGEST_ROSTER) == 32


@pytest.mark.timeout(600)
def test_every_message_of_the_largest_session_fits_a_frame(largest):
    sizes: dict[str, int] = {}
    for _, _, message in largest.log:
        kind = type(message).__name__
        sizes[kind] = max(sizes.get(kind, 0), len(m.encode(message)))
    opening = largest.openings(largest.proven.u3[0], np.array([1, MAX64], np.uint64))
    most = msgspec.structs.replace(opening, values=(MAX64,) * len(opening.values))
    sizes["Openings"] = len(m.encode(most))
    sizes["Products"] = len(m.encode(m.Products(bytes(32), bytes(32), (MAX64,) * LARGEST_ROSTER)))

    assert {kind for kind, size in sizes.items() if size > m.MAX_FRAME_BYTES // 3} == set()
    assert sizes["RosterMessage"] == max(sizes.values())


@pytest.mark.timeout(600)
def test_the_largest_transcripts_are_a_fraction_of_what_may_be_fetched(largest):
    proven = largest.proven
    assert isinstance(proven, Proven)
    assert isinstance(judge_session(largest.plan, largest.transcript), Proven)
    assert len(encode(largest.transcript)) < MAX_TRANSCRIPT_BYTES // 16

    link, word = ParentLink(b"\xff" * 32, 2**62, b"\xff" * 32), b"\xff" * 32
    told = largest.openings(proven.u3[0], np.array([1, MAX64], np.uint64))
    opening = msgspec.structs.replace(
        told, values=(MAX64,) * len(told.values), signed=Signed(Opening(word, word, word, word), b"\xff" * 65)
    )
    round_transcript = RoundTranscript(
        schema=SCHEMA,
        round=2**62,
        sid=word,
        parents=(link,),
        session=word,
        sum_artefact=word,
        base=word,
        aggregate=word,
        versions=tuple(Versioned(a, 2**62) for a in largest.addresses),
        acks=tuple(Signed(ResultAck(word, word, word), b"\xff" * 65) for _ in largest.addresses),
        direction=word,
        exponent=-64,
        openings=(opening,) * LARGEST_ROSTER,
        numbers=(-(2**63),) * LARGEST_ROSTER,
    )
    assert len(encode(round_transcript)) < MAX_TRANSCRIPT_BYTES // 8
