"""What a peer must not lose when it is killed, in one file that is replaced whole: its model, its version's fate."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from peerage.effects import PrivateState
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1


class _File(msgspec.Struct, frozen=True):
    schema: int
    version: int
    status: str
    sid: bytes
    head: bytes
    head_transcript: bytes
    head_round: int
    local: bytes
    base: bytes
    metrics: tuple[int, int, int]
    acked: bytes = b""
    been_in: tuple[bytes, ...] = ()
    usual: bytes = b""


def save_state(path: Path, state: PrivateState) -> None:
    """Atomic and synced, the folder too: a reader sees the old state or the new one, a power cut the new one."""
    file = _File(
        SCHEMA,
        state.version,
        state.status,
        state.sid,
        state.head,
        state.head_transcript,
        state.head_round,
        state.local.astype("<f4", copy=False).tobytes(),
        state.base.astype("<f4", copy=False).tobytes(),
        state.metrics,
        state.acked,
        state.been_in,
        b"" if state.usual is None else state.usual.astype("<f4", copy=False).tobytes(),
    )
    partial = path.with_suffix(".partial")
    with partial.open("wb") as out:
        out.write(msgspec.msgpack.encode(file))
        out.flush()
        os.fdatasync(out.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # without it a power cut may bring the old name back, after the lock has left this peer
    finally:
        os.close(folder)


def load_state(path: Path, parameters: int) -> PrivateState | None:
    """The state of an earlier life; InputError when the file is not this federation's."""
    if not path.exists():
        return None
    try:
        file = msgspec.msgpack.decode(path.read_bytes(), type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is no saved state of a peer: {error}") from error
    vectors = [file.local, file.base, *([file.usual] if file.usual else [])]
    if file.schema != SCHEMA or any(len(vector) != 4 * parameters for vector in vectors):
        raise InputError(f"{path} belongs to another model: delete it to start this peer anew")
    return PrivateState(
        version=file.version,
        status=file.status,
        sid=file.sid,
        head=file.head,
        head_transcript=file.head_transcript,
        head_round=file.head_round,
        local=np.frombuffer(file.local, "<f4").astype(np.float32),
        base=np.frombuffer(file.base, "<f4").astype(np.float32),
        metrics=file.metrics,
        acked=file.acked,
        been_in=file.been_in,
        usual=np.frombuffer(file.usual, "<f4").astype(np.float32) if file.usual else None,
    )
