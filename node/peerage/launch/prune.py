"""Deleting masked vectors whose dispute window is over. Sums, models and statements stay; so does most of an audit."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from peerage.rundir import RunDir, lock_run_dir, write_whole
from peerage_crypto.errors import InputError
from peerage_crypto.session import SessionTranscript
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, RoundTranscript, decode_round, decode_session

T = TypeVar("T")


class Pruned(msgspec.Struct, frozen=True):
    files: int
    bytes_freed: int
    kept: int
    schema: int = 1


class PrunedList(msgspec.Struct, frozen=True):
    """`pruned.json`: what the auditor may find missing, and will call pruned, not passed."""

    schema: int
    artefacts: tuple[Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")], ...]


def prune_run(run: RunDir, keep: int) -> Pruned:
    """Delete the masked vectors of all rounds but the last `keep`; the list of what went is written first."""
    if not run.store.is_dir() or not run.federation.exists():
        raise InputError(f"{run.root} is no run directory: it has no store/ and federation.toml")
    with lock_run_dir(run):
        sessions = sorted(session_transcripts(run.store), key=lambda s: s.opened.statement.round)
        last = max((s.opened.statement.round for s in sessions), default=0)
        vectors = {m.statement.artefact.hex(): s.opened.statement.round for s in sessions for m in s.manifests}
        vectors |= {g.artefact.hex(): t.round for t in round_transcripts(run.store) for g in t.gradients}
        present = {name: number for name, number in vectors.items() if (run.store / name).is_file()}
        old = sorted(name for name, number in present.items() if number <= last - keep)
        write_whole(run.pruned, msgspec.json.encode(PrunedList(1, tuple(sorted({*already_pruned(run), *old})))) + b"\n")
        freed = 0
        for name in old:
            freed += (run.store / name).stat().st_size
            (run.store / name).unlink()
    return Pruned(len(old), freed, len(present) - len(old))


def already_pruned(run: RunDir) -> tuple[str, ...]:
    if not run.pruned.exists():
        return ()
    try:
        return msgspec.json.decode(run.pruned.read_bytes(), type=PrunedList).artefacts
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{run.pruned} cannot be read: {error}") from None


def session_transcripts(store: Path) -> Iterator[SessionTranscript]:
    return _decoded(store, decode_session)


def round_transcripts(store: Path) -> Iterator[RoundTranscript]:
    return _decoded(store, decode_round)


def _decoded(store: Path, decode: Callable[[bytes], T]) -> Iterator[T]:
    for path in store.iterdir():
        if path.is_file() and path.stat().st_size <= MAX_TRANSCRIPT_BYTES:
            try:
                yield decode(path.read_bytes())
            except ValueError:
                continue  # another kind of artefact
