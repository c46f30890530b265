"""What an audit remembers of an earlier one: whole rounds without a fault, under the same code, terms and artefacts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import test_audit_forged as forged

from peerage_crypto.digest import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

finished, forge = forged.finished, forged.forge
ROUNDS = forged.ROUNDS


class Kept(dict):  # type: ignore[type-arg]
    """A memory in memory."""

    code = sha256(b"this code")

    def put(self, key: bytes, value: bytes, /) -> None:
        self[key] = value


def recalled(judged: Any) -> int:
    told = [note for note in judged.book.notes if "by an earlier audit" in note]
    return int(told[0].split()[0]) if told else 0


def without(store: Mapping[bytes, bytes], *names: bytes) -> dict[bytes, bytes]:
    return {name: blob for name, blob in store.items() if name not in names}


def test_what_was_judged_once_is_recalled_with_the_same_verdict(forge: Any) -> None:
    kept = Kept()
    first, again = forge.judge(memory=kept), forge.judge(memory=kept)
    assert (recalled(first), recalled(again)) == (0, ROUNDS)
    assert again.findings == first.findings == ()
    assert again.checks == first.checks
    assert again.accounts.due == first.accounts.due
    assert again.book.counts == first.book.counts


def test_other_code_other_terms_or_other_peers_recall_nothing(forge: Any) -> None:
    kept = Kept()
    forge.judge(memory=kept)
    other = Kept(kept)
    other.code = sha256(b"another")
    assert recalled(forge.judge(memory=other)) == 0
    assert len(other) == 2 * ROUNDS


@pytest.mark.parametrize("what", ["sum_artefact", "direction", "session"])
def test_a_round_with_an_artefact_gone_is_judged_again(forge: Any, what: str) -> None:
    kept = Kept()
    forge.judge(memory=kept)
    gone = getattr(forge.transcript(), what)
    judged = forge.judge(memory=kept, store=without(forge.store, gone))
    assert recalled(judged) == ROUNDS - 1
    assert {finding.round for finding in judged.findings} >= {ROUNDS}


def test_what_stands_on_a_broken_round_is_not_recalled(forge: Any) -> None:
    kept = Kept()
    forge.judge(memory=kept)
    judged = forge.judge(memory=kept, store=without(forge.store, forge.transcript(1).sum_artefact))
    assert recalled(judged) == 1
    assert any("round 3 is not judged" in note for note in judged.book.notes)


def test_a_round_with_a_fault_is_kept_by_nobody(forge: Any) -> None:
    numbers = list(forge.transcript().numbers)
    numbers[2] = (numbers[2] or 0) + 10**6
    forge.change(numbers=tuple(numbers))
    forge.chain()
    kept = Kept()
    first, again = forge.judge(memory=kept), forge.judge(memory=kept)
    assert len(kept) == recalled(again) == ROUNDS  # of four: the journals still name the honest closing beside it
    assert forged.blamed(first, "number") == forged.blamed(again, "number") != set()


def test_garbage_in_the_memory_is_no_verdict(forge: Any) -> None:
    kept = Kept()
    forge.judge(memory=kept)
    spoilt = Kept(dict.fromkeys(kept, b"{"))
    judged = forge.judge(memory=spoilt)
    assert (recalled(judged), judged.findings) == (0, ())


def test_a_model_is_read_again_where_a_new_round_stands_on_a_recalled_one(forge: Any) -> None:
    kept = Kept()
    forge.judge(memory=kept)
    last = next(key for key, raw in kept.items() if f'"round":{ROUNDS},'.encode() in raw[:200])
    del kept[last]
    judged = forge.judge(memory=kept)
    assert (recalled(judged), judged.findings) == (ROUNDS - 1, ())
    assert len(judged.checks) == ROUNDS
