"""PNG of 8 bits a channel, not interlaced (W3C PNG, third edition): grey, colour, palette; transparency is left out."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
MOST_PIXELS = 1 << 24


def read_png(blob: bytes, where: str) -> NDArray[np.uint8]:
    """(rows, columns), or (3, rows, columns) in colour; InputError for what is not in this form."""
    if not blob.startswith(SIGNATURE):
        raise InputError(f"{where} is no PNG")
    try:
        return _decoded(blob, where)
    except (struct.error, zlib.error, IndexError, ValueError) as error:
        raise InputError(f"{where} is a damaged PNG: {error}") from error


def _decoded(blob: bytes, where: str) -> NDArray[np.uint8]:
    head, body, palette = b"", b"", b""
    for kind, data in _chunks(blob):
        match kind:
            case b"IHDR":
                head = data
            case b"PLTE":
                palette = data
            case b"IDAT":
                body += data
            case _:
                pass
    columns, rows, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", head)
    channels = CHANNELS.get(colour, 0)
    if depth != 8 or not channels or interlaced or not 0 < columns * rows <= MOST_PIXELS:
        raise InputError(
            f"{where}: {columns} x {rows} pixels of {depth} bits, colour type {colour}{', interlaced' * interlaced}: "
            f"save it with 8 bits, not interlaced, and at most {MOST_PIXELS} pixels"
        )
    width = columns * channels
    unpacked = zlib.decompressobj().decompress(body, rows * (width + 1) + 1)
    if len(unpacked) != rows * (width + 1):
        raise InputError(f"{where} should hold {rows * (width + 1)} bytes of pixels and holds another number")
    lines = np.frombuffer(unpacked, np.uint8).reshape(rows, width + 1)
    grid = np.zeros((rows, width), np.uint8)
    above = np.zeros(width, np.uint8)
    for row, line in enumerate(lines):
        grid[row] = above = _unfiltered(int(line[0]), line[1:], above, channels, where)
    pixels = grid.reshape(rows, columns, channels)
    if colour == 3:
        pixels = np.frombuffer(palette, np.uint8).reshape(-1, 3)[pixels[:, :, 0]]
    return pixels[:, :, 0] if pixels.shape[2] < 3 else pixels[:, :, :3].transpose(2, 0, 1)


def _chunks(blob: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Checksums are for accidents of a cable; what the pixels are is checked below by their number."""
    at = len(SIGNATURE)
    while at + 12 <= len(blob):
        (length,) = struct.unpack_from(">I", blob, at)
        yield blob[at + 4 : at + 8], blob[at + 8 : at + 8 + length]
        at += 12 + length


def _unfiltered(
    kind: int, line: NDArray[np.uint8], above: NDArray[np.uint8], channels: int, where: str
) -> NDArray[np.uint8]:
    """One line from its differences (PNG, section 9.2): to the left, above, the mean of both, or Paeth's choice."""
    match kind:
        case 0:
            return line
        case 1:
            return np.cumsum(line.reshape(-1, channels), axis=0, dtype=np.uint8).reshape(-1)
        case 2:
            return line + above
        case 3 | 4:
            return _one_by_one(kind, line.tolist(), above.tolist(), channels)
        case _:
            raise InputError(f"{where} has a line filtered by {kind}, which PNG does not have")


def _one_by_one(kind: int, line: list[int], above: list[int], channels: int) -> NDArray[np.uint8]:
    found = [0] * channels + line  # what lies left of the first pixel is zero
    over = [0] * channels + above
    for at in range(channels, len(found)):
        left, up, corner = found[at - channels], over[at], over[at - channels]
        found[at] = (found[at] + ((left + up) // 2 if kind == 3 else _paeth(left, up, corner))) & 255
    return np.array(found[channels:], np.uint8)


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda one: abs(guess - one))  # the first of equals: left, then up
