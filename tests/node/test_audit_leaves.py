"""The audit takes evidence about one leaf from the store: it finds what convicts, and notes what does not."""

import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from peerage.audit.files import check_leaves
from peerage.audit.store import shelve
from peerage_crypto.digest import sha256
from peerage_crypto.leaf_check import decode, encode
from peerage_ledger.audit.findings import Notebook

sys.path.insert(0, str(Path(__file__).parents[1] / "crypto"))

from test_leaf_check import VECTORS, told


def audited(blob: bytes, plan: object) -> Notebook:
    book = Notebook()
    shelves = shelve([sha256(blob).hex()], lambda _: blob, book)
    assert len(shelves.leaves) == 1
    federation = SimpleNamespace(plan=lambda opened, _draw: plan if plan and opened == plan.opened else None)
    start = SimpleNamespace(record=bytes(32), seed=bytes(32))
    rounds = SimpleNamespace(federation=federation, start=start, by_record=dict)
    check_leaves(SimpleNamespace(book=book, rounds=rounds), shelves)  # type: ignore[arg-type]
    return book


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda c: c["name"])
def test_what_convicts_is_a_finding_and_what_does_not_a_note(case: dict) -> None:
    plan, blob = told(case["kind"]).plan, case["evidence"].encode()
    book = audited(blob, plan)
    assert [(f.code, f.peer) for f in book.findings] == ([(case["verdict"], plan.initiator)] if case["verdict"] else [])
    tampered = encode(msgspec.structs.replace(decode(blob), leaf=9))
    assert not audited(tampered, plan).findings
    assert not audited(blob, None).findings
