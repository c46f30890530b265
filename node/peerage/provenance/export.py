"""Into other people's registries by file: one in-toto statement for each model, in a signed envelope where a key is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.rundir import write_whole
from peerage_crypto.errors import InputError
from peerage_ledger.provenance.intoto import envelope_of, payload_of, statement_of
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from pathlib import Path

    from peerage_crypto.identity import Account
    from peerage_ledger.provenance.build import Provenance


def write_statements(told: Provenance, folder: Path, account: Account | None) -> list[Path]:
    """`round-12-1ace49e7.intoto.json`, or with a key `….dsse.json`. Writes over its own files of before."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        for node in told.graph.nodes.values():
            if node.aggregate == NOTHING:
                continue
            statement = statement_of(told, node)
            blob = payload_of(statement) if account is None else envelope_of(statement, account)
            kind = "intoto" if account is None else "dsse"
            path = folder / f"round-{node.round}-{node.record.hex()[:8]}.{kind}.json"
            write_whole(path, blob + b"\n")
            written.append(path)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from None
    return written
