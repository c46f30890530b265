"""What peers say to each other in plain exchange: the answer to a ping (`HeadRequest`), and the same as news."""

from __future__ import annotations

import msgspec

from peerage_crypto.plain_statements import PlainUpdate
from peerage_crypto.statements import Bytes32, Count, Signed
from peerage_ledger.transcript import Versioned


class PlainNews(msgspec.Struct, frozen=True, tag="plain-news"):
    """I serve this version (None before my first), trained on the record whose transcript this is.

    `contains` is the version vector of that record: which version of each peer is in my model already. `merges`
    counts my merges; a finished peer makes no more, and no newer version will come from it. An idle one waits for
    others: no newer version will come from it before its next merge.
    """

    update: Signed[PlainUpdate] | None
    transcript: Bytes32
    contains: tuple[Versioned, ...]
    merges: Count
    finished: bool
    idle: bool
