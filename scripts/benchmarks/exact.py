"""`masking` and `reconstruction`: what one peer computes exactly."""

from __future__ import annotations

import json
import subprocess
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from benchmarks.result import Result, at_least, at_most, say, side_by_side
from peerage_crypto import sharing
from peerage_crypto.fixedpoint import into_ring, quantise, ring
from peerage_crypto.masking import apply_masks

if TYPE_CHECKING:
    import argparse

BLOCK = 1 << 18  # bytes of keystream at a time: they stay in the cache
FLOWER = Path(__file__).with_name("flower.py")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("masking", help="a client's masking against the bare keystream, and against Flower's")
    parser.add_argument("--parameters", type=int, default=1_000_000)
    parser.add_argument("--masks", type=int, default=11, help="one self mask and the rest pairwise")
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--ring-bits", type=int, default=32)
    parser.add_argument("--flower", type=Path, help="a Python that has flwr installed; without it Flower is left out")
    parser.set_defaults(measure=masking)
    parser = commands.add_parser("reconstruction", help="opening the secrets of n peers against naive Lagrange")
    parser.add_argument("--peers", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.set_defaults(measure=reconstruction)


def masking(args: argparse.Namespace) -> Result:
    """Quantise a float32 vector and put all masks on it; the floor is the keystreams alone, thrown away."""
    field = ring(args.ring_bits)
    values = np.random.default_rng(1).normal(scale=0.01, size=args.parameters).astype(np.float32)
    keys = [bytes([number]) * 32 for number in range(1, args.masks + 1)]
    plus, minus = keys[: args.masks // 2 + 1], keys[args.masks // 2 + 1 :]
    words = into_ring(quantise(values, 16, b"seed"), field)

    def client() -> object:
        return apply_masks(into_ring(quantise(values, 16, b"seed"), field), plus, minus, field)

    say(f"masking: {args.parameters} parameters, {args.masks} masks")
    taken = side_by_side(
        {
            "client": client,
            "quantise": lambda: into_ring(quantise(values, 16, b"seed"), field),
            "masks": lambda: apply_masks(words, plus, minus, field),
            "floor": lambda: keystreams(keys, args.parameters * field.word_bytes),
        },
        args.repeats,
    )
    flower = ask_flower(args)
    ratios = {"client / floor": taken["client"] / taken["floor"], "masks / floor": taken["masks"] / taken["floor"]}
    aims = [at_most("masks over the keystream floor", ratios["masks / floor"], 2.0)]
    notes = ["The floor is the AES-256-CTR keystreams alone; a client also rounds, adds and copies."]
    if flower is None:
        notes.append("Flower was left out: name a Python that has flwr with --flower.")
    else:
        ratios["Flower / client"] = flower["seconds"] / taken["client"]
        aims.append(at_least("times faster than Flower's SecAgg+ client", ratios["Flower / client"], 8.0))
    ours = {f"{name}_seconds": seconds for name, seconds in taken.items() if name != "floor"}
    return Result(
        "masking",
        {"parameters": args.parameters, "masks": args.masks, "ring_bits": args.ring_bits, "repeats": args.repeats},
        {**ours, "bytes_per_parameter": field.word_bytes},
        {"floor_seconds": taken["floor"], "flower": flower},
        ratios,
        tuple(aims),
        tuple(notes),
    )


def keystreams(keys: list[bytes], count: int) -> None:
    """`count` bytes of each key's stream into one small buffer."""
    zeros, out = memoryview(bytes(BLOCK)), bytearray(BLOCK + 15)
    for key in keys:
        stream = Cipher(AES(key), CTR(bytes(16))).encryptor()
        for start in range(0, count, BLOCK):
            stream.update_into(zeros[: min(BLOCK, count - start)], out)


def ask_flower(args: argparse.Namespace) -> dict[str, object] | None:
    """Flower's own functions in an interpreter of their own, on as many masks and parameters."""
    if args.flower is None:
        return None
    say("masking: Flower's client functions")
    command = [str(args.flower), str(FLOWER), str(args.parameters), str(args.masks), str(min(args.repeats, 7))]
    found: dict[str, object] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def reconstruction(args: argparse.Namespace) -> Result:
    """One secret of each of n peers from two thirds of the others' shares; the naive way inverts per term."""
    peers, threshold = args.peers, 2 * args.peers // 3 + 1
    secrets = [number.to_bytes(32, "big") for number in range(1, peers + 1)]
    say(f"reconstruction: dealing {peers} secrets")
    dealt = []
    for number, secret in enumerate(secrets, 1):
        others = [x for x in range(1, peers + 1) if x != number]
        shares = sharing.split(secret, others, min(threshold, len(others)), bytes([number % 256]) * 32)
        dealt.append(dict(islice(zip(others, shares, strict=True), threshold)))
    everyone = list(range(1, threshold + 1))
    together = [
        dict(zip(everyone, sharing.split(secret, everyone, threshold, bytes(31) + b"\1"), strict=True))
        for secret in secrets
    ]

    def ours(points: list[dict[int, bytes]]) -> list[bytes]:
        sharing._weights.cache_clear()  # noqa: SLF001 - a session starts cold
        return [sharing.combine(one) for one in points]

    assert ours(dealt) == naive_all(dealt) == ours(together) == secrets
    taken = side_by_side(
        {"session": lambda: ours(dealt), "one set": lambda: ours(together), "naive": lambda: naive_all(dealt)},
        args.repeats,
    )
    milliseconds = {name: 1000 * seconds for name, seconds in taken.items()}
    return Result(
        "reconstruction",
        {"peers": peers, "threshold": threshold, "repeats": args.repeats},
        {"session_ms": milliseconds["session"], "one_point_set_ms": milliseconds["one set"]},
        {"naive_lagrange_ms": milliseconds["naive"]},
        {"naive / session": taken["naive"] / taken["session"], "naive / one set": taken["naive"] / taken["one set"]},
        (
            at_most("ms for all secrets as in a session", milliseconds["session"], 50.0),
            at_most("ms for all secrets from one set of points", milliseconds["one set"], 50.0),
        ),
        (
            "session: each secret from the first t of the others, so the point sets differ by whose secret it is.",
            "one set: all secrets from the same t points, as when a peer is no dealer.",
            "Both start with an empty cache of Lagrange weights.",
        ),
    )


def naive_all(dealt: list[dict[int, bytes]]) -> list[bytes]:
    return [naive(points) for points in dealt]


def naive(points: dict[int, bytes]) -> bytes:
    """Lagrange at zero as in the textbook: each term with its own product and inverse."""
    total = 0
    for x, share in points.items():
        above = below = 1
        for other in points:
            if other != x:
                above = above * other % sharing.PRIME
                below = below * (other - x) % sharing.PRIME
        total += int.from_bytes(share, "big") * above * pow(below, -1, sharing.PRIME)
    return (total % sharing.PRIME).to_bytes(32, "big")
