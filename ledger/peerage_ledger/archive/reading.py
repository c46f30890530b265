"""The first pass over `chain/chain.jsonl`: each line by itself, its link to the line before, blocks taken back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_ledger.archive import lines
from peerage_ledger.contracts import contract
from peerage_ledger.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of the archive itself; `line` counts from 1, 0 stands for the file as a whole."""

    line: int
    sentence: str


UNSEALED: Final = "the record has no sealed end"

_ByBlock: TypeAlias = "dict[int, list[tuple[int, lines.TransactionLine]]]"


@dataclass(slots=True)
class Reading:
    """What the lines so far say; each is kept with its number."""

    problems: list[Problem] = field(default_factory=list[Problem])
    deployment: Deployment | None = None
    codes: dict[str, bytes] = field(default_factory=dict[str, bytes])
    blocks: dict[int, tuple[int, lines.BlockLine]] = field(default_factory=dict[int, tuple[int, lines.BlockLine]])
    transactions: _ByBlock = field(default_factory=dict[int, list[tuple[int, lines.TransactionLine]]])
    receipts: dict[str, tuple[int, lines.ReceiptLine]] = field(default_factory=dict[str, tuple[int, lines.ReceiptLine]])
    rewinds: int = 0
    gone: list[tuple[lines.BlockLine, tuple[lines.TransactionLine, ...]]] = field(
        default_factory=list[tuple[lines.BlockLine, tuple[lines.TransactionLine, ...]]]
    )  # blocks that the chain took back, with what was in them
    counted: list[int] = field(default_factory=lambda: [0, 0])
    sealed: bool = False


def read_lines(raw: bytes) -> Reading:
    reading = Reading()
    prev = lines.FIRST_PREV
    body = raw.split(b"\n")
    if body.pop():
        reading.problems.append(Problem(len(body) + 1, "the last line is torn"))
    for number, line in enumerate(body, 1):
        try:
            value: lines.Line = msgspec.json.decode(line, type=lines.Line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reading.problems.append(Problem(number, f"cannot be read: {error}"))
        else:
            if value.schema != lines.SCHEMA:
                reading.problems.append(Problem(number, f"has schema {value.schema}, we read {lines.SCHEMA}"))
            if value.prev != prev:
                reading.problems.append(Problem(number, "does not follow from the line before it: one was changed"))
            _take(reading, number, value)
        prev = sha256(line).hex()
    if not reading.sealed:
        reading.problems.append(Problem(len(body), UNSEALED))
    return reading


def _take(reading: Reading, number: int, line: lines.Line) -> None:  # noqa: C901 - one case a kind
    if reading.sealed and not isinstance(line, lines.ResumeLine):
        reading.problems.append(Problem(number, "stands behind the sealed end"))
    match line:
        case lines.DeploymentLine():
            _take_deployment(reading, number, line)
        case lines.CodeLine():
            _take_code(reading, number, line)
        case lines.BlockLine():
            _take_block(reading, number, line)
        case lines.TransactionLine():
            reading.counted[1] += 1
            reading.transactions.setdefault(line.block, []).append((number, line))
        case lines.ReceiptLine():
            reading.receipts[line.transaction] = (number, line)
        case lines.RewindLine():
            _rewind(reading, line.above)
        case lines.ResumeLine():
            reading.sealed = False
        case lines.EndLine():
            reading.sealed = True
            if [line.blocks, line.transactions] != reading.counted:
                reading.problems.append(Problem(number, "counts other lines than there are"))


def _take_deployment(reading: Reading, number: int, line: lines.DeploymentLine) -> None:
    if reading.deployment is not None:
        reading.problems.append(Problem(number, "is a second deployment"))
    try:
        reading.deployment = Deployment.from_json(msgspec.json.encode(line.deployment), "the archive")
    except InputError as error:
        reading.problems.append(Problem(number, str(error)))


def _take_block(reading: Reading, number: int, line: lines.BlockLine) -> None:
    reading.counted[0] += 1
    before = reading.blocks.get(line.number - 1)
    if line.number in reading.blocks:
        reading.problems.append(Problem(number, f"block {line.number} is there twice"))
    elif reading.blocks and (before is None or before[1].hash != line.parent):
        reading.problems.append(Problem(number, f"block {line.number} does not follow from the one before it"))
    reading.blocks[line.number] = (number, line)


def _rewind(reading: Reading, above: int) -> None:
    reading.rewinds += 1
    for void in [n for n in reading.blocks if n > above]:
        _, block = reading.blocks.pop(void)
        lost = tuple(line for _, line in reading.transactions.pop(void, []))
        reading.gone.append((block, lost))
        for line in lost:
            reading.receipts.pop(line.hash, None)


def _take_code(reading: Reading, number: int, line: lines.CodeLine) -> None:
    try:
        code, address = bytes.fromhex(line.code), bytes.fromhex(line.address)
    except ValueError:
        reading.problems.append(Problem(number, "code or address is not hex"))
        return
    placed = {} if reading.deployment is None else reading.deployment.addresses()
    if line.contract not in placed or placed[line.contract] != address:
        reading.problems.append(Problem(number, f"{line.contract} is not where the deployment says"))
    elif not contract(line.contract).is_code(code):
        reading.problems.append(Problem(number, f"the code is not this version's {line.contract}"))
    reading.codes[line.contract] = code
