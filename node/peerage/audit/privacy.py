"""What a run has given away of each peer, computed again: from the judged rounds, and from the votes in the journals.

The summary's figures come from the peers' own lines of metrics, which are their word; these from signed statements.
"""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING

from eth_utils.address import to_checksum_address
from msgspec.structs import asdict

from peerage.launch.summary import privacy_of
from peerage.own_meter import entries_of
from peerage.privacy.meter import RoundSeen, perhaps_revealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from peerage.config import Federation
    from peerage.launch.summary import Summary
    from peerage.privacy.meter import PrivacySummary
    from peerage_ledger.audit.judge import Judgement
    from peerage_ledger.audit.told import Told

LAST_DIGITS = 1e-9  # a machine's logarithm may differ from another's in the last place


def given_away(told: Summary, judged: Judgement, federation: Federation) -> Iterator[tuple[str, object, object]]:
    """(key, as it follows, as it is told) of every figure that the summary has wrong."""
    if federation.exchange == "plain":
        yield "privacy", None, told.privacy
        return
    journals = [journal for journal in judged.journals if journal.peer is not None]
    if judged.broken or len(journals) != len(told.accounts):
        return  # other findings say why; without all rounds and journals the figures do not follow
    wanted = computed(judged, federation)
    if told.privacy is None:
        yield "privacy", "a meter of each peer", None
        return
    have, by_peer = asdict(told.privacy), told.privacy.by_peer
    for key, value in asdict(wanted).items():
        if key != "by_peer" and have[key] != value:
            yield f"privacy.{key}", value, have[key]
    yield "privacy.by_peer", sorted(wanted.by_peer), sorted(by_peer)
    for peer in sorted(wanted.by_peer.keys() & by_peer.keys()):
        said = asdict(by_peer[peer])
        for key, value in asdict(wanted.by_peer[peer]).items():
            if not _same(value, said[key]):
                yield f"privacy.by_peer.{peer}.{key}", value, said[key]


def computed(judged: Judgement, federation: Federation) -> PrivacySummary:
    """The meter of every peer that has a journal; forks count, since their sums were known as well."""
    rounds = list(judged.rounds.judged.values())
    parameters = judged.rounds.start.model.size if rounds else 0
    accounts = {j.name: _checksummed(j.peer) for j in judged.journals if j.peer is not None}
    left_open = {
        j.name: perhaps_revealed(entries_of((entry.kind, entry.fields) for entry in j.entries)) for j in judged.journals
    }
    return privacy_of(federation, [_seen(one) for one in rounds], int(parameters), accounts, left_open)


def _seen(one: Told) -> RoundSeen:
    opened = (peer for peer, number in zip(one.u3, one.transcript.numbers, strict=True) if number is not None)
    sums = tuple(_names(group) for group in one.groups)
    halves = tuple(_names(half) for half in one.halves)
    return RoundSeen(one.round, one.sid.hex(), _names(one.members), sums, _names(opened), halves)


def _names(peers: Iterable[bytes]) -> frozenset[str]:
    return frozenset(_checksummed(peer) for peer in peers)


def _checksummed(address: bytes) -> str:
    return str(to_checksum_address(address))


def _same(wanted: object, have: object) -> bool:
    if isinstance(wanted, float) and isinstance(have, float):
        return isclose(wanted, have, rel_tol=LAST_DIGITS)
    return wanted == have
