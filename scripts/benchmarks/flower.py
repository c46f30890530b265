"""Flower's SecAgg+ client, stage 2, by its own functions. Runs in a Python that has flwr; prints one JSON line.

    python flower.py PARAMETERS MASKS REPEATS

The calls are those that its client makes after decrypting its shares: scale, quantise, weigh, one self mask, a pairwise
mask for each neighbour (with its key agreement), reduce, and turn into bytes.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from statistics import median

import numpy as np
from flwr.common import ndarray_to_bytes
from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
from flwr.common.secure_aggregation.ndarrays_arithmetic import (
    factor_combine,
    parameters_addition,
    parameters_mod,
    parameters_multiply,
    parameters_subtraction,
)
from flwr.common.secure_aggregation.quantization import quantize
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
from flwr.supercore.primitives.asymmetric import generate_key_pairs

CLIPPING, TARGET, MODULUS, WEIGHT = 8.0, 1 << 22, 1 << 32, 0.5


def main() -> None:
    parameters, masks, repeats = map(int, sys.argv[1:])
    values = [np.random.default_rng(1).normal(scale=0.01, size=parameters)]
    mine, _ = generate_key_pairs()
    others = [generate_key_pairs()[1] for _ in range(masks - 1)]

    def client() -> list[bytes]:
        ratio = round(WEIGHT * TARGET)
        quantised = quantize(parameters_multiply(values, ratio / TARGET), CLIPPING, TARGET)
        vector = factor_combine(ratio, quantised)
        shapes = [part.shape for part in vector]
        vector = parameters_addition(vector, pseudo_rand_gen(os.urandom(32), MODULUS, shapes))
        for place, public in enumerate(others):
            mask = pseudo_rand_gen(generate_shared_key(mine, public), MODULUS, shapes)
            vector = (parameters_subtraction if place % 2 else parameters_addition)(vector, mask)
        return [ndarray_to_bytes(part) for part in parameters_mod(vector, MODULUS)]

    sent = sum(map(len, client()))
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        client()
        taken.append(time.perf_counter() - started)
    print(
        json.dumps(
            {"flwr": version("flwr"), "seconds": median(taken), "bytes_per_parameter": round(sent / parameters, 3)}
        )
    )


if __name__ == "__main__":
    main()
