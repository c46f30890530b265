"""A peer's own meter: rounds as they close, sessions that its journal leaves open."""

import json
from pathlib import Path

from peerage.config import Federation, MaskingSettings, PrivacySettings, ScoreSettings
from peerage.own_meter import OwnMeter, ground_of
from peerage.privacy.accounting import spent
from peerage.privacy.meter import RoundSeen

NOISY = Federation(
    peers=8,
    privacy=PrivacySettings(noise=4.0),
    scores=ScoreSettings(openings="off"),
    masking=MaskingSettings(clip=1.0, frac_bits=10),
)
ALL = frozenset("abcdefgh")


def wrote(path: Path, *lines: dict) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps({"seq": 0, "round": 1, **line}) + "\n" for line in lines)


def vote(sid: str) -> dict:
    return {"kind": "signed", "type": "Vote", "sid": sid, "digest": ""}


def test_a_session_left_after_the_vote_is_paid_for(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    wrote(journal, vote("1"), {"kind": "adopted", "sid": "1"}, vote("2"), {"kind": "left", "sid": "2", "why": ""})
    mine = OwnMeter(NOISY, "a", journal)
    first = mine.take(RoundSeen(1, "1", ALL, (ALL,)), 1000)
    ground = ground_of(NOISY, 1000)
    assert (first.sums, first.perhaps) == (1, 1)
    assert ground.noise is not None
    assert first.epsilon == spent(ground.noise, 1000, {6: 1, ground.noise.honest: 1}, 1e-5).epsilon
    wrote(journal, vote("3"), {"kind": "closed", "record": ""})
    second = mine.take(RoundSeen(2, "3", ALL, (ALL,)), 1000)
    assert (second.sums, second.perhaps) == (2, 1)
    assert second.epsilon is not None
    assert second.epsilon > first.epsilon


def test_a_certificate_that_left_the_peer_out_costs_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    wrote(journal, vote("1"), {"kind": "released", "sid": "1", "version": 1})
    assert OwnMeter(NOISY, "a", journal).take(RoundSeen(1, "2", ALL, (ALL,)), 1000).perhaps == 0


def test_a_session_that_the_chain_closed_later_is_no_open_one(tmp_path: Path) -> None:
    """The peer voted, missed the result, and caught up."""
    journal = tmp_path / "journal.jsonl"
    wrote(journal, vote("1"))
    assert OwnMeter(NOISY, "a", journal).take(RoundSeen(1, "1", ALL, (ALL,)), 1000).perhaps == 0


def test_a_line_that_is_still_being_written_is_read_next_time(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_text(json.dumps(vote("1")) + "\n" + '{"kind": "sig')
    mine = OwnMeter(NOISY, "a", journal)
    assert mine.take(RoundSeen(1, "9", ALL, (ALL,)), 1000).perhaps == 1
    with journal.open("a") as file:
        file.write('ned", "type": "Vote", "sid": "2"}\n')
    assert mine.take(RoundSeen(2, "8", ALL, (ALL,)), 1000).perhaps == 2
