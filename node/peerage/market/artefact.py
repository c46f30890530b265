"""A model file as it is sold: its canonical parameter bytes can be read out of it, so its name can be checked.

Read here by hand (a length, a JSON header, then raw numbers): a buyer checks a file from strangers before anything else
touches it.
"""

from pathlib import Path
from typing import Any

import msgspec

from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError

MOST_BYTES = 2**31 - 1  # of a file, and what one AES-GCM call takes
_MOST_HEADER = 1 << 24


def read_bounded(path: Path, what: str, most: int = MOST_BYTES) -> bytes:
    """InputError when it cannot be read, or is larger than anything honest."""
    try:
        if path.stat().st_size > most:
            raise InputError(f"{path} has {path.stat().st_size} bytes, more than {what} may have ({most})")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): name {what}") from None


def model_name(blob: bytes) -> bytes:
    """SHA-256 of the canonical parameters in a safetensors file; ValueError when it is none of ours."""
    header, start = _header(blob)
    metadata = header.pop("__metadata__", {})
    if "order" not in metadata:
        raise ValueError("it does not say in which order its tensors are counted")
    order = msgspec.json.decode(metadata["order"], type=list[str])
    if sorted(order) != sorted(header):
        raise ValueError("its order of tensors names others than it holds")
    parts: list[memoryview] = []
    view = memoryview(blob)[start:]
    for name in order:
        first, end = header[name]["data_offsets"]
        if header[name]["dtype"] != "F32" or not 0 <= first <= end <= len(view):
            raise ValueError(f"its tensor {name} is not of 32-bit floats inside the file")
        parts.append(view[first:end])
    return sha256(*parts)


def check_model(blob: bytes, aggregate: bytes, where: str) -> None:
    """InputError unless this is the model with that name."""
    try:
        name = model_name(blob)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{where} is no model file of a federation: {error}") from None
    if name != aggregate:
        raise InputError(f"{where} holds the model {name.hex()[:16]}, not {aggregate.hex()[:16]}")


def _header(blob: bytes) -> tuple[dict[str, Any], int]:
    size = int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or size > min(_MOST_HEADER, len(blob) - 8):
        raise ValueError("its header is longer than the file")
    return msgspec.json.decode(blob[8 : 8 + size], type=dict[str, Any]), 8 + size
