"""What needs torch, in a process of its own: a job as JSON on stdin, its answer as JSON on stdout.

One training in one place is metered as a peer is: one process, one thread, imports before the meter, data within it.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before the imports below, as in a peer

import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

import msgspec  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from peerage.config import Federation  # noqa: E402, TC001 - msgspec reads it
from peerage.contrast.jobs import Alone, AloneTold, Job, Judge, JudgeTold  # noqa: E402
from peerage.emissions import HostMeter, Meter, devices_of, probe_from_json  # noqa: E402
from peerage.emissions.attribution import PPM  # noqa: E402
from peerage.learning.adam import adam  # noqa: E402
from peerage.learning.baselines import POOLED  # noqa: E402
from peerage.learning.data import Dataset, Splits, carve, load  # noqa: E402
from peerage.learning.learner import HOLDOUT  # noqa: E402
from peerage.learning.model import build, from_canonical, from_vector, layout, size  # noqa: E402
from peerage.learning.partitions import partition  # noqa: E402
from peerage.learning.trainer import TrainSettings, draw_seed, evaluate, train  # noqa: E402
from peerage_crypto.errors import PeerageError  # noqa: E402

if TYPE_CHECKING:
    from torch import nn

NOBODY = bytes(20)  # whose record it is: no peer of any federation


def alone(job: Alone) -> AloneTold:
    """Train in one place until the target or the last epoch, metered; the test rows are looked at after each."""
    federation = job.federation
    probe = probe_from_json(job.probe)
    host = HostMeter(probe, gpu_uj=devices_of(probe))
    meter = Meter(probe, NOBODY, reserved_ppm=PPM, gpu_uj=devices_of(probe))
    splits = _splits(federation)
    rows = pooled_rows(federation, splits)
    net = _first(federation, splits.train)
    settings = TrainSettings(1, federation.training.batch_size, job.learning_rate or federation.training.learning_rate)
    fine_tune = adam() if job.optimiser == "adam" else train
    curve: list[float] = []
    records = []
    for epoch in range(1, job.most_epochs + 1):
        with meter.within("train"):
            fine_tune(net, rows, settings, draw_seed(federation.seed, POOLED, epoch))
        with meter.within("score"):
            curve.append(evaluate(net, splits.test).accuracy)
        records.append(meter.close_round(epoch))
        if job.target is not None and curve[-1] >= job.target:
            break
    whole = host.close(records)
    before = evaluate(_first(federation, splits.train), splits.test).accuracy  # in nobody's record
    return AloneTold(
        curve=(before, *curve),
        rows=len(rows),
        parameters=size(layout(net)),
        records=tuple(record.encode().decode() for record in records),
        host=whole.encode().decode(),
    )


def judge(job: Judge) -> JudgeTold:
    """Test accuracy of the first model and of each aggregate: by us and after the run, so that no peer pays for it."""
    splits = _splits(job.federation)
    net = _first(job.federation, splits.train)
    curve = [evaluate(net, splits.test).accuracy]
    floats = size(layout(net))
    for artefact in job.aggregates:
        from_vector(net, from_canonical((Path(job.store) / artefact).read_bytes(), floats))
        curve.append(evaluate(net, splits.test).accuracy)
    return JudgeTold(tuple(curve))


def pooled_rows(federation: Federation, splits: Splits) -> Dataset:
    """Exactly the rows that the peers train on, in one place: what each holds out stays out."""
    parts = partition(splits.train.labels, federation.data.partition, federation.peers, federation.seed)
    own = [
        carve(splits.train.take(part), HOLDOUT, federation.seed, f"held out by {name}")[0]
        for name, part in zip(federation.peer_names(), parts, strict=True)
    ]
    return Dataset(
        np.concatenate([one.features for one in own]),
        np.concatenate([one.labels for one in own]),
        splits.train.classes,
    )


def _splits(federation: Federation) -> Splits:
    return load(federation.data.source, federation.seed, data_dir=federation.data.data_dir)


def _first(federation: Federation, rows: Dataset) -> nn.Module:
    return build(rows.input_shape, len(rows.classes), federation.seed, hidden=federation.model.hidden)


def main() -> int:
    torch.set_num_threads(1)
    torch.optim.Adam([torch.nn.Parameter(torch.empty(1))])  # building one imports lazily: before the meter
    job: Alone | Judge = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    try:
        told = alone(job) if isinstance(job, Alone) else judge(job)
    except PeerageError as error:
        sys.stderr.write(str(error))
        return error.exit_code
    sys.stdout.buffer.write(msgspec.json.encode(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
