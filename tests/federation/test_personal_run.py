"""Real peers with heads of their own beside a frozen base: only the part in between leaves them, and is audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from launched import PATIENT, RunFolder, command, toml
from safetensors.numpy import load_file

from peerage.audit.run import audit
from peerage.config_toml import parse_federation
from peerage.learning.architectures import first_model
from peerage.learning.model import layout, save_safetensors, to_vector
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_heads_stay_at_home_and_the_base_is_never_sent(tmp_path: Path) -> None:
    base = first_model(parse_federation("seed = 5\n", where="here"), (64,), 10)
    save_safetensors(tmp_path / "base.safetensors", layout(base), to_vector(base))
    adapted = (("1.down", (4, 64)), ("1.up", (64, 4)))
    start = np.random.default_rng(0).normal(size=512).astype(np.float32) / 10
    save_safetensors(tmp_path / "start.safetensors", adapted, start)
    settings = {
        "peers": 3,
        "rounds": 3,
        "data": {"partition": "shards:3"},
        "model": {"local": ["head"], "adapters": 4, "base": "base.safetensors", "start": "start.safetensors"},
        "training": {"head_epochs": 1},
        "scores": {"openings": "off"},
        "timing": PATIENT,
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    run = RunFolder(tmp_path / "r")
    told = run.summary
    assert told["audit"] == {"ok": True, "findings": 0}
    assert told["rounds"] == 3
    exchanged = load_file(tmp_path / "r" / "model.safetensors")
    assert tuple((name, tensor.shape) for name, tensor in exchanged.items()) == adapted
    assert sha256(start.tobytes()).hex() in {path.name for path in (tmp_path / "r" / "store").iterdir()}
    heads = [load_file(path) for path in sorted((tmp_path / "r" / "secrets").glob("peer-*.model.safetensors"))]
    assert len(heads) == 3
    assert len({head["3.weight"].tobytes() for head in heads}) == 3
    for head in heads:
        assert head["1.base.weight"].tobytes() == to_vector(base)[: 64 * 64].tobytes()
    files = [path for path in (tmp_path / "r").rglob("*") if path.is_file() and "secrets" not in path.parts]
    public = [path.read_bytes() for path in files]
    for head in heads:
        row = head["3.weight"][0].tobytes()
        assert not any(row in blob for blob in public)

    (tmp_path / "start.safetensors").unlink()
    assert audit(tmp_path / "r").ok  # what it began from is in the store, and the sessions say which it is
    save_safetensors(tmp_path / "base.safetensors", layout(base), to_vector(base) * 2)
    assert [f.code for f in audit(tmp_path / "r").findings if f.code == "terms"]  # not what sessions were bound to
    (tmp_path / "base.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        audit(tmp_path / "r")
