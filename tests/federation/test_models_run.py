"""A real run of a picture model on skewed labels from a file: validated under masks, corrected at home, audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from launched import PATIENT, RunFolder, command, toml

from peerage.audit.run import audit
from peerage.config_toml import load_federation
from peerage.learning.architectures import first_model
from peerage.learning.data import load
from peerage.learning.data_digits import digits
from peerage.learning.model import from_vector, layout, load_safetensors
from peerage.learning.own_rows import right_by_peer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_pictures_from_a_file_are_learnt_and_the_best_round_is_what_counting_in_one_place_says(tmp_path: Path) -> None:
    rows = digits().take(np.arange(600))
    np.savez(tmp_path / "rows.npz", features=rows.features.reshape(-1, 8, 8), labels=rows.labels)
    settings = {
        "peers": 4,
        "rounds": 4,
        "data": {"source": "npz:rows.npz", "partition": "dirichlet:0.5", "validation_donor": "peer-02"},
        "model": {"kind": "cnn", "hidden": 16},
        "training": {"augment": "oversample", "logit_adjustment": 0.5, "counts": "held-out"},
        "merge": {"optimiser": "fedadam"},  # its peers start from the model itself, so that it is what they count
        "timing": PATIENT,
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    told = RunFolder(tmp_path / "r").summary
    assert told["audit"] == {"ok": True, "findings": 0}
    assert told["quality"]["auroc"] > 0.5
    assert set(told["quality"]["by_class"]) == set("0123456789")
    assert "Best by the rows that all peers hold back" in done.stdout + done.stderr

    torch.set_num_threads(1)
    federation = load_federation(tmp_path / "r" / "federation.toml")
    net = first_model(federation, (8, 8), 10)
    from_vector(net, load_safetensors(tmp_path / "r" / "best.safetensors", layout(net)))
    splits = load(federation.data.source, federation.seed, classes=federation.data.classes)
    counted = right_by_peer(net, splits.train, federation)
    share = sum(right for _, right in counted.values()) / sum(held for held, _ in counted.values())
    assert told["best"]["validated"] == pytest.approx(share, abs=1e-6)

    other = tmp_path / "r" / "federation.toml"
    other.write_text(other.read_text().replace("logit_adjustment = 0.5", "logit_adjustment = 0.4"))
    assert not audit(tmp_path / "r").ok
