"""What several peers archived of one chain, held against each other: who saw what, and from where on they differ.

The operator of a chain can give each peer another history, start it anew, or take blocks back. Nobody who looks at one
history alone can tell; whoever has two can. Pure: bytes of `chain.jsonl` files in, findings out.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerage_ledger import rawtx
from peerage_ledger.archive.reading import UNSEALED, Reading, read_lines
from peerage_ledger.contracts import BadEncoding, contract
from peerage_ledger.records import RoundRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from peerage_ledger.archive.lines import TransactionLine
    from peerage_ledger.audit.findings import Notebook

TOLD: Final = 20  # records that are named one by one


@dataclass(frozen=True, slots=True)
class Witness:
    """An archive by the name that sentences give it. `audited`: its own lines are judged elsewhere; `live`: it was read
    from the node just now, so that what it lacks is not there any more.
    """

    name: str
    raw: bytes
    audited: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    """One witness's last word: block number -> hash, round -> records (record -> block)."""

    witness: Witness
    reading: Reading
    blocks: Mapping[int, str]
    records: Mapping[int, Mapping[bytes, int]]

    @property
    def name(self) -> str:
        return self.witness.name

    @property
    def last(self) -> int:
        return max(self.blocks, default=-1)


def compare(witnesses: Sequence[Witness], book: Notebook) -> None:
    """Every contradiction is a finding; where one witness merely saw less than another, a note says so."""
    seen = [_see(witness, book) for witness in witnesses]
    groups: defaultdict[tuple[int, bytes], list[_Seen]] = defaultdict(list)
    for one in seen:
        if one.reading.deployment is not None:
            groups[one.reading.deployment.chain_id, one.reading.deployment.ledger].append(one)
    if len(groups) > 1:
        told = "; ".join(
            f"{_names(group)}: round ledger 0x{ledger.hex()} on chain {chain}"
            for (chain, ledger), group in sorted(groups.items())
        )
        sentence = (
            f"the archives are of different contracts ({told}): the federation was deployed again at other addresses"
        )
        book.find("archive-deployment", sentence)
    for group in groups.values():
        _compare_group(group, book)
    for one in seen:
        _check_gone(one, book)
    book.count("archives compared", len(seen))


def _see(witness: Witness, book: Notebook) -> _Seen:
    reading = read_lines(witness.raw)
    if not witness.audited:
        for problem in reading.problems:
            if problem.sentence == UNSEALED:
                book.note(f"{witness.name} has no sealed end: it was still written, or cut off")
            else:
                book.find("chain-archive", f"{witness.name}, line {problem.line}: {problem.sentence}")
    blocks = {number: block.hash for number, (_, block) in reading.blocks.items()}
    records: defaultdict[int, dict[bytes, int]] = defaultdict(dict)
    for number, transactions in reading.transactions.items():
        good = [
            line
            for _, line in transactions
            if line.hash in reading.receipts and reading.receipts[line.hash][1].status == 1
        ]
        for record in _records(reading, good):
            records[record.round][record.record_hash()] = number
    return _Seen(witness, reading, blocks, records)


def _records(reading: Reading, transactions: Iterable[TransactionLine]) -> Iterable[RoundRecord]:
    """The rounds that these transactions record, from their signed bytes."""
    if reading.deployment is None:
        return
    ledger = reading.deployment.ledger
    for line in transactions:
        try:
            signed = rawtx.decode(bytes.fromhex(line.raw))
            if signed.to != ledger:
                continue
            call = contract("RoundLedger").decode_call(signed.data)
        except (ValueError, BadEncoding):
            continue  # said by whoever reads the archive
        if call.name == "recordRound":
            yield RoundRecord(*call.values["round"])
        elif call.name == "recordRounds":
            yield from (RoundRecord(*one) for one in call.values["batch"])


def _compare_group(group: Sequence[_Seen], book: Notebook) -> None:
    fork = _first_difference(group)
    if fork is None:
        _compare_ends(group, book)
        return
    number, sides = fork
    told = "; ".join(f"{_names(side)} saw 0x{hash_[:12]}" for hash_, side in sides.items())
    common = max((n for one in group for n in one.blocks if n < number), default=None)
    if common is None:
        sentence = f"from its first block ({number}) on the chain is another one ({told}): it was started anew"
        book.find("archive-reset", sentence)
    else:
        sentence = f"up to block {common} all saw the same chain; in block {number} it parts ({told})"
        book.find("archive-fork", sentence)
    _compare_records(list(sides.values()), number, book)


def _first_difference(group: Sequence[_Seen]) -> tuple[int, dict[str, list[_Seen]]] | None:
    """The lowest block that two witnesses saw differently, and who saw which."""
    for number in sorted({n for one in group for n in one.blocks}):
        sides: dict[str, list[_Seen]] = {}
        for one in group:
            if number in one.blocks:
                sides.setdefault(one.blocks[number], []).append(one)
        if len(sides) > 1:
            return number, sides
    return None


def _compare_records(sides: Sequence[Sequence[_Seen]], number: int, book: Notebook) -> None:
    """Which rounds the sides have differently. A side is spoken for by its witness that saw most."""
    heads = [max(side, key=lambda one: one.last) for side in sides]
    told = 0
    for round_ in sorted({r for head in heads for r in head.records}):
        found = [frozenset(head.records.get(round_, {})) for head in heads]
        if len(set(found)) == 1:
            continue
        told += 1
        if told > TOLD:
            book.note("more rounds than are named here differ between the archives")
            return
        words = "; ".join(f"{_names(side)}: {_hashes(names)}" for side, names in zip(sides, found, strict=True))
        if all(found):
            book.find(
                "archive-record", f"round {round_} has another record from block {number} on: {words}", round_=round_
            )
        else:
            book.find("archive-lost", f"the record of round {round_} was not seen by all: {words}", round_=round_)


def _compare_ends(group: Sequence[_Seen], book: Notebook) -> None:
    """No contradiction up to where each stopped; a node that lacks now what was seen has lost it."""
    most = max(group, key=lambda one: one.last)
    for one in group:
        if one.last == most.last:
            continue
        missing = sorted(r for r, names in most.records.items() if not names.keys() <= one.records.get(r, {}).keys())
        what = f", and with them the records of rounds {_rounds(missing)}" if missing else ""
        if one.witness.live:
            sentence = (
                f"{most.name} saw blocks up to {most.last}, {one.name} ends with block {one.last}: its last "
                f"{most.last - one.last} blocks are gone{what}"
            )
            book.find("archive-lost", sentence, round_=missing[0] if missing else None)
        else:
            book.note(
                f"{one.name} saw blocks up to {one.last} only, {most.name} up to {most.last}; up to there they agree"
            )


def _check_gone(one: _Seen, book: Notebook) -> None:
    """Blocks that a witness saw taken back: what was in them must have come again."""
    lost: dict[int, int] = {}
    for block, transactions in one.reading.gone:
        for record in _records(one.reading, transactions):
            if record.record_hash() not in one.records.get(record.round, {}):
                lost[record.round] = block.number
    for round_, number in sorted(lost.items()):
        sentence = (
            f"{one.name} saw the record of round {round_} in block {number}, which was taken back and never came again"
        )
        book.find("archive-lost", sentence, round_=round_)
    if one.reading.gone and not lost and not one.witness.audited:
        book.note(f"{one.name} saw blocks taken back {one.reading.rewinds} times; their records came again")


def _names(side: Sequence[_Seen]) -> str:
    names = [one.name for one in side]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _hashes(names: frozenset[bytes]) -> str:
    return " and ".join(f"0x{name.hex()[:12]}" for name in sorted(names)) or "none"


def _rounds(rounds: Sequence[int]) -> str:
    return ", ".join(str(r) for r in rounds[:TOLD]) + (" ..." if len(rounds) > TOLD else "")
