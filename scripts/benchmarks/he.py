"""`he`: homomorphic encryption (CKKS, TenSEAL) beside masking on the same vectors: time, bytes, error of the sum."""

from __future__ import annotations

import importlib.util
import time
from typing import TYPE_CHECKING, Any

from benchmarks.result import Result, say, side_by_side

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

MISSING = "TenSEAL is not installed, so CKKS was left out: pip install 'peerage[he]'"
SETTINGS = {
    # NVFlare's TenSEAL recipe, and the leanest that still adds vectors up
    "recipe": (8192, [60, 40, 40, 60]),
    "lean": (8192, [60, 60]),
}
SCALE = 40  # bits


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("he", help="CKKS beside masking: time, bytes, error")
    parser.add_argument("--parameters", type=int, default=200_000)
    parser.add_argument("--peers", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.set_defaults(measure=he)


def he(args: argparse.Namespace) -> Result:
    import numpy as np

    draw = np.random.default_rng(0)
    vectors = [draw.normal(size=args.parameters) * 0.01 for _ in range(args.peers)]
    ours = masking(vectors, args.repeats)
    notes = [
        "client: quantise and mask, or encrypt and serialise, one vector; sum: add all, and take masks off or decrypt.",
        "CKKS runs with one key pair for all peers: whoever holds the secret key reads every single update.",
    ]
    yardsticks: dict[str, Any] = {"ckks": None}
    ratios = {"bytes a parameter, masked / plain float": ours["bytes_per_parameter"] / 4}
    if importlib.util.find_spec("tenseal"):
        found = {name: ckks(vectors, *chosen, args.repeats) for name, chosen in SETTINGS.items()}
        yardsticks = {"ckks": found}
        for name, one in found.items():
            ratios[f"client time, CKKS {name} / masking"] = one["client_seconds"] / ours["client_seconds"]
            ratios[f"bytes, CKKS {name} / masking"] = one["bytes_per_parameter"] / ours["bytes_per_parameter"]
    else:
        say(MISSING)
        notes.append(MISSING)
    settings = {"parameters": args.parameters, "peers": args.peers, "repeats": args.repeats, "ring_bits": 32}
    return Result("he", settings, ours, yardsticks, ratios, (), tuple(notes))


def masking(vectors: list[NDArray[np.float64]], repeats: int) -> dict[str, float]:
    """A complete graph: every vector under its own mask and one for each other peer."""
    import numpy as np

    from peerage_crypto.fixedpoint import dequantise, into_ring, quantise, ring, to_signed
    from peerage_crypto.masking import apply_masks

    words, frac_bits, n = ring(32), 16, len(vectors)
    own = [bytes([1, i]) + bytes(30) for i in range(n)]
    pair = {(i, j): bytes([2, i, j]) + bytes(29) for i in range(n) for j in range(i + 1, n)}

    def client(i: int) -> NDArray[Any]:
        quantised = into_ring(quantise(vectors[i], frac_bits, bytes([i])), words)
        plus = [own[i], *(pair[i, j] for j in range(i + 1, n))]
        return apply_masks(quantised, plus, [pair[j, i] for j in range(i)], words)

    masked = [client(i) for i in range(n)]

    def total() -> NDArray[np.float64]:
        summed = apply_masks(np.add.reduce(masked, dtype=words.dtype), [], own, words)
        return dequantise(to_signed(summed), frac_bits)

    say("he: masking")
    taken = side_by_side({"client": lambda: client(0), "sum": total}, repeats)
    return {
        "client_seconds": taken["client"],
        "sum_seconds": taken["sum"],
        "bytes_per_parameter": masked[0].nbytes / len(vectors[0]),
        "largest_error": float(np.abs(total() - np.sum(vectors, axis=0)).max()),
    }


def ckks(vectors: list[NDArray[np.float64]], degree: int, primes: list[int], repeats: int) -> dict[str, float]:
    import numpy as np
    import tenseal as ts

    context = ts.context(ts.SCHEME_TYPE.CKKS, degree, coeff_mod_bit_sizes=primes)
    context.global_scale = 2.0**SCALE
    slots = degree // 2

    def client(vector: NDArray[np.float64]) -> list[bytes]:
        parts = range(0, len(vector), slots)
        return [ts.ckks_vector(context, vector[start : start + slots]).serialize() for start in parts]

    sent = [timed(client, vector) for vector in vectors[: min(repeats, len(vectors))]]
    say(f"he: CKKS {primes}: {sent[0][0]:.2f} s for one vector")
    blobs = [blob for _, blob in sent] + [client(vector) for vector in vectors[len(sent) :]]
    started = time.perf_counter()
    opened: list[float] = []
    for column in zip(*blobs, strict=True):
        summed = ts.ckks_vector_from(context, column[0])
        for one in column[1:]:
            summed += ts.ckks_vector_from(context, one)
        opened += summed.decrypt()
    error = np.abs(np.array(opened) - np.sum(vectors, axis=0)).max()
    return {
        "client_seconds": sorted(seconds for seconds, _ in sent)[len(sent) // 2],
        "sum_seconds": time.perf_counter() - started,
        "bytes_per_parameter": sum(map(len, blobs[0])) / len(vectors[0]),
        "largest_error": float(error),
    }


def timed(what: Callable[[NDArray[np.float64]], list[bytes]], vector: NDArray[np.float64]) -> tuple[float, list[bytes]]:
    started = time.perf_counter()
    made = what(vector)
    return time.perf_counter() - started, made
