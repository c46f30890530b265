"""A real run that exchanges answers instead of weights: masked, merged, recorded and audited as any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from launched import PATIENT, RunFolder, command, toml
from safetensors.numpy import load_file

from peerage.learning.data import load

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_peers_learn_from_each_others_answers_to_public_rows(tmp_path: Path) -> None:
    public = load("digits", 0).validation
    assert public is not None
    np.savez(tmp_path / "public.npz", features=public.features)
    settings = {
        "peers": 4,
        "rounds": 6,
        "data": {"partition": "dirichlet:0.5"},
        "model": {"questions": "public.npz"},
        "training": {"augment": "oversample", "logit_adjustment": 1.0},
        "scores": {"openings": "off"},
        "timing": PATIENT,
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    told = RunFolder(tmp_path / "r").summary
    assert told["audit"] == {"ok": True, "findings": 0}
    answers = load_file(tmp_path / "r" / "model.safetensors")
    assert {name: tensor.shape for name, tensor in answers.items()} == {"answers": (len(public), 10)}
    right = (answers["answers"].argmax(axis=1) == public.labels).mean()
    assert right > 0.6  # together they know the public rows, whose labels nobody was given
    assert "answers to common questions" in (tmp_path / "r" / "MODEL_CARD.md").read_text()
    own = [load_file(path) for path in sorted((tmp_path / "r" / "secrets").glob("*.model.safetensors"))]
    assert len(own) == 4
    assert not np.array_equal(own[0]["own.1.weight"], own[1]["own.1.weight"])
