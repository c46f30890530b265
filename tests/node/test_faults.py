"""Who misbehaved, who says so, and what that rests on: a word is no proof, and the summary does not say that it is."""

from pathlib import Path

from peerage.config import Federation
from peerage.launch.cast import announced
from peerage.launch.faults import faults_of
from peerage.launch.summary_words import _faults
from peerage_ledger.audit.journal import Entry, Journal

ACCOUNTS = {f"peer-0{number}": bytes([number]) * 20 for number in range(1, 6)}  # five peers: one may collude


def journal(name: str, *lines: tuple[str, int, str, str]) -> Journal:
    """Lines as (kind, round, culprit's name, sentence or type)."""
    entries = [
        Entry(
            number,
            round_,
            kind,
            {"culprit": "0x" + ACCOUNTS[of].hex(), "sentence": said, "type": said, "artefact": "ab" * 32},
        )
        for number, (kind, round_, of, said) in enumerate(lines, 1)
    ]
    return Journal(name, ACCOUNTS[name], entries)


def told(*journals: Journal) -> str:
    return "\n".join(_faults(faults_of(journals, ACCOUNTS)))


def test_one_peers_word_is_told_as_such() -> None:
    (fault,) = faults_of([journal("peer-01", ("fault", 2, "peer-04", "it was late"))], ACCOUNTS)

    assert (fault.peer, fault.by, fault.round, fault.count, fault.proof) == ("peer-04", ("peer-01",), 2, 1, "word")
    assert fault.evidence == "peers/peer-01/journal.jsonl:1"
    assert "the word of peer-01 alone" in told(journal("peer-01", ("fault", 2, "peer-04", "it was late")))


def test_more_than_can_collude_is_stronger_and_still_no_proof() -> None:
    line = ("fault", 2, "peer-04", "it left me out")
    (fault,) = faults_of([journal("peer-01", line, line), journal("peer-02", line)], ACCOUNTS)

    assert (fault.proof, fault.by, fault.count) == ("many", ("peer-01", "peer-02"), 3)
    assert "no signature proves it, peer-01 and peer-02 say so" in told(
        journal("peer-01", line), journal("peer-02", line)
    )


def test_a_peers_own_word_does_not_count_for_itself() -> None:
    line = ("fault", 1, "peer-04", "a NaN")
    (fault,) = faults_of([journal("peer-04", line), journal("peer-01", line)], ACCOUNTS)

    assert fault.proof == "word"
    assert "says it of itself" in told(journal("peer-04", line))


def test_two_signatures_are_told_first_and_as_proof() -> None:
    said = told(
        journal("peer-01", ("fault", 1, "peer-02", "it was late"), ("equivocation", 3, "peer-05", "Vote")),
    ).splitlines()

    assert "peer-05 in round 3: signed two different Vote statements in one session [PROVEN" in said[1]
    assert "peer-02" in said[2]


def test_random_bytes_are_one_fault_however_they_are_wrong() -> None:
    lines = [
        ("fault", 1, "peer-02", f"peer 0x{'ab' * 20}: a frame that is no message of ours: {why}")
        for why in ("Expected `object`, got `int`", "Input data was truncated")
    ]
    (fault,) = faults_of([journal("peer-01", *lines)], ACCOUNTS)

    assert (fault.sentence, fault.count) == ("a frame that is no message of ours", 2)


def test_nobody_at_fault_is_said_too() -> None:
    assert told() == "Nobody wrote down a fault of anybody."


def test_the_night_is_announced_part_by_part() -> None:
    from peerage.config_toml import load_federation

    night = load_federation(Path(__file__).parents[2] / "examples" / "overnight.toml")
    assert announced(Federation()) == {}
    assert announced(night) == {
        "peer-03": "killed in round 4 for good",
        "peer-14": "killed in round 6 for good",
        "peer-05": "killed in round 3, back in round 5",
        "peer-07": "10 times slower",
        "peer-09": "plays examples/liars.py:garbage",
        "peer-11": "plays examples/liars.py:dropped_alive",
        "peer-12": "frozen for 5 s in round 2",
    }
