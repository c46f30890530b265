"""What a journal tells a peer that comes back without its private state: whether it had signed anything."""

from pathlib import Path

import pytest

from peerage.journal import PeerJournal
from peerage_crypto.identity import Account

ACCOUNT = Account.from_secret(b"\x07" * 32)


def again(path: Path, *kinds: str) -> bool:
    """Whether a journal with these lines says, opened again, that nothing was signed."""
    journal = PeerJournal(path, ACCOUNT)
    for kind in kinds:
        journal.write(kind, 1, {})
    journal.close()
    reopened = PeerJournal(path, ACCOUNT)
    reopened.close()
    return reopened.untouched


def test_a_life_that_signed_nothing_lost_nothing(tmp_path: Path) -> None:
    assert again(tmp_path / "j", "started", "fault")


@pytest.mark.parametrize("kind", ["locked", "signed"])
def test_a_life_that_signed_something_may_have_lost_it(tmp_path: Path, kind: str) -> None:
    assert not again(tmp_path / "j", "started", kind, "closed")


def test_a_journal_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    first = PeerJournal(tmp_path / "j", ACCOUNT)
    first.close()
    assert not first.untouched
